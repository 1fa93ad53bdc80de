/*-------------------------------------------------------------------------
 *
 * subtransaction.h
 *	  Catch an error that a subtransaction ended in.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SUBTRANSACTION_H
#define COLBERT_SUBTRANSACTION_H

#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/*
 * Within PG_CATCH: abort the subtransaction, and return its error, which is
 * caught and may be rethrown.
 *
 * context, owner: those of before the subtransaction; the error is allocated
 * in that context, and both are current again.
 */
static inline ErrorData *
subtransaction_catch(MemoryContext context, ResourceOwner owner)
{
	ErrorData *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

#endif /* COLBERT_SUBTRANSACTION_H */
