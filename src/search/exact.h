/*-------------------------------------------------------------------------
 *
 * exact.h
 *	  The last stage of a search: heap rows in the exact order of the score of
 *	  the stored column.
 *
 * Rows are fetched in the order of their estimates, a window ahead: the best
 * row in hand is emitted once its exact score is above what the next estimate
 * could still become, judged by the errors of the estimates seen so far. A
 * row that beats one already emitted is late: it is held back and comes, best
 * first, when nothing else is left.
 *
 * Where some of the first rows must not be late, none is emitted before that
 * many are in hand that nothing else is expected to beat. Whoever asks for
 * more then gets all that is left, sorted.
 *
 * Rows that a filter does not let pass are dropped before they are scored, as
 * early as it pays: they are never detoasted, and never make another row late.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_EXACT_H
#define COLBERT_EXACT_H

#include "search/search.h"

typedef struct ExactStage ExactStage;

/*
 * Rows from the first on among which none may be late, because something
 * above the scan builds on their order.
 */
typedef struct OrderNeed
{
	uint64 rows;  /* 0: any row may be late */
	bool   peers; /* these rows, those that score as the last of them, and the row after these */
} OrderNeed;

#define ORDER_NEED_ALL PG_UINT64_MAX

/* Quals of the statement on a row of the table. Called with no lock held; leaves the slot as it is. */
typedef struct RowFilter
{
	bool (*passes)(void *arg, TupleTableSlot *row);
	void *arg;
} RowFilter;

/*
 * heap rows are read with table_index_fetch_tuple under the snapshot; columns
 * as the index's definition says. filter: NULL, or what rows must pass to be
 * emitted; it has to outlive the stage.
 */
extern ExactStage *exact_begin(Search *search, Relation heap, Snapshot snapshot,
							   const MultiVector *query, const RowFilter *filter);

/* Before the first row: which ones must not be late. */
extern void exact_set_need(ExactStage *stage, OrderNeed need);

/* The next row in exact order; false at the end of all live documents. */
extern bool exact_next(ExactStage *stage, ItemPointer tid);

/*
 * The next row that may be above the floor of the search, in no order: the
 * caller looks at its score. False at the end.
 */
extern bool exact_next_above(ExactStage *stage, ItemPointer tid);
extern void exact_end(ExactStage *stage);

#endif /* COLBERT_EXACT_H */
