/*-------------------------------------------------------------------------
 *
 * ready.h
 *	  Rows that were fetched and not given yet, the best first.
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
	double    likely[POLICY_LIKELY_LIMIT]; /* the best scores of all that were pushed, descending */
	double    bar;                         /* as measured last; -INFINITY: not yet */
	uint32    measured;                    /* rows that there were then */
} ReadyRows;

extern void     ready_push(MemoryContext context, ReadyRows *ready, ExactRow row);
extern ExactRow ready_pop(ReadyRows *ready);

/*
 * Measure the score of the row of this number; with peers, of the best row that
 * scores below it and below its peers. scale: of the terms that a score is a
 * difference of. -INFINITY if it is not ready yet. Measured again when there
 * are a sixteenth more rows: it only rises.
 */
extern double ready_measure(ReadyRows *ready, uint64 row, bool peers, double scale);

#endif /* COLBERT_READY_H */
