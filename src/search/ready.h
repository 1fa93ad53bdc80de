/*-------------------------------------------------------------------------
 *
 * ready.h
 *	  Keep rows that were fetched and not returned yet, best first.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_READY_H
#define COLBERT_READY_H

#include "search/late.h"
#include "search/policy.h"

/* A max-heap of rows by score. */
typedef struct ReadyRows
{
	ExactRow *rows;
	uint32    count;
	uint32    capacity;
	double    likely[POLICY_LIKELY_LIMIT]; /* the best scores ever pushed, descending */
	uint32    nlikely;
	double    bar;      /* last measured; -INFINITY: not yet */
	uint32    measured; /* number of rows at that time */
} ReadyRows;

extern void     ready_push(MemoryContext context, ReadyRows *ready, ExactRow row);
extern ExactRow ready_pop(ReadyRows *ready);

/*
 * Return the score of the row with this number, counted from 1, or -INFINITY if
 * there are not enough rows yet.
 *
 * peers: return instead the score of the best row below it and below the rows
 * that tie with it. scale: magnitude of the terms whose difference a score is.
 *
 * The score can only rise as rows are pushed. It is measured again when the
 * number of rows has grown by a sixteenth.
 */
extern double ready_measure(ReadyRows *ready, uint64 row, bool peers, double scale);

#endif /* COLBERT_READY_H */
