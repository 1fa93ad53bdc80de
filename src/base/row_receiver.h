/*-------------------------------------------------------------------------
 *
 * row_receiver.h
 *	  A destination that passes each row of an SPI statement to a function.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_ROW_RECEIVER_H
#define COLBERT_ROW_RECEIVER_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "tcop/dest.h"

static inline void
row_receiver_startup(DestReceiver *receiver, int operation, TupleDesc desc)
{
}

static inline void
row_receiver_end(DestReceiver *receiver)
{
}

/*
 * Make a receiver, to be the first member of the caller's state. SPI accepts
 * any destination, but with DestNone it does not report SPI_OK_SELECT.
 */
static inline DestReceiver
row_receiver(bool (*receive)(TupleTableSlot *slot, DestReceiver *receiver))
{
	return (DestReceiver) {
		.receiveSlot = receive,
		.rStartup = row_receiver_startup,
		.rShutdown = row_receiver_end,
		.rDestroy = row_receiver_end,
		.mydest = DestTuplestore,
	};
}

#endif /* COLBERT_ROW_RECEIVER_H */
