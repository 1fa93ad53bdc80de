/*-------------------------------------------------------------------------
 *
 * search.h
 *	  From a query to rows: a funnel of stages, each of which scores fewer
 *	  documents than the one before, and more exactly (README.md).
 *
 * A search gives rows in the exact order of the score of the stored column.
 * A row that beats one given before is late: it is held back and comes, best
 * first, when nothing else is left. If some of the first rows must not be
 * late, none is given before that many are in hand that nothing else is
 * expected to beat; whoever asks for more then gets all that is left, sorted.
 *
 * Rows that a filter does not let pass are dropped before they are scored, as
 * early as it pays: they are never detoasted, and never make another row late.
 *
 * Nothing here holds a lock or a pin between calls.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SEARCH_H
#define COLBERT_SEARCH_H

#include "executor/tuptable.h"
#include "index/view.h"
#include "search/counters.h"
#include "utils/snapshot.h"

typedef struct Search Search;

/* Whether the nearest documents are wanted first, or all as soon as can be. */
typedef enum SearchOrder
{
	SEARCH_NEAREST_FIRST,
	SEARCH_UNORDERED
} SearchOrder;

/* Rows from the first on among which none may be late, because something above the scan builds on their order. */
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
 * Maximum tokens per query. Preparing a query is not interruptible and costs
 * microseconds per token. Real queries have tens of tokens; a page as a query,
 * a thousand.
 */
#define SEARCH_MAX_QUERY_TOKENS 65536

/* A search request. Everything that it points to must outlive the search. */
typedef struct SearchRequest
{
	const MultiVector *query;
	SearchSettings     settings; /* 0: the index chooses */
	SearchOrder        order;
	double             threshold; /* documents below this similarity are not wanted, except if
								   * estimates cannot tell; -INFINITY: all are wanted */
	OrderNeed          need;

	/* Rows are read by table_index_fetch_tuple under the snapshot. */
	Relation         table; /* NULL: none is read; only for SEARCH_UNORDERED */
	Snapshot         snapshot;
	const RowFilter *filter; /* what rows must pass to be given; NULL: nothing */
} SearchRequest;

/* Allocates in a child of the current context. */
extern Search *search_begin(IndexView *view, const SearchRequest *request);

/*
 * Give the next row: in exact order; or, without an order, one that may reach
 * the threshold, whose score the caller looks at. False at the end.
 */
extern bool search_next(Search *search, ItemPointer tid);
extern void search_end(Search *search);

/* What the search has done so far. */
extern const SearchCounters *search_counters(const Search *search);

#endif /* COLBERT_SEARCH_H */
