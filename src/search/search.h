/*-------------------------------------------------------------------------
 *
 * search.h
 *	  Search an index: a funnel of stages, each of which scores fewer
 *	  documents than the one before, and more exactly (README.md).
 *
 * A search returns rows in the exact order of the score of the stored column. A
 * row that beats one already returned is late: it is kept, and late rows come
 * best first after everything else. If the first n rows must not be late, none
 * is returned before n rows are in hand that no other is expected to beat. If
 * the caller asks for more rows, the rest comes from a sort of all that are
 * left.
 *
 * Rows that fail the filter are dropped before they are scored, as early as it
 * pays. They are never detoasted, and never make another row late.
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

typedef struct Search   Search;
typedef struct Siblings Siblings; /* siblings.h */

/* The order in which documents are wanted: nearest first, or any order as soon as possible. */
typedef enum SearchOrder
{
	SEARCH_NEAREST_FIRST,
	SEARCH_UNORDERED
} SearchOrder;

/*
 * The first rows of a search that must not be late, because a plan node above
 * relies on their order.
 */
typedef struct OrderNeed
{
	uint64 rows; /* 0: any row may be late */
	/* these rows, all rows that tie with the last of them, and the row after those */
	bool peers;
} OrderNeed;

#define ORDER_NEED_ALL PG_UINT64_MAX

/* The quals of a statement on a table row. Called with no lock held; must not change the slot. */
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
	/*
	 * documents below this similarity are not wanted, but may be returned if
	 * estimates cannot tell; -INFINITY: all are wanted
	 */
	double    threshold;
	OrderNeed need;
	uint64    likely_rows; /* number of rows that are probably wanted; 0: not known */

	/*
	 * Searches whose rows are merged with those of this one. NULL: none, or the
	 * first rows must not be late. share: of their documents, what this index has.
	 */
	Siblings *siblings;
	double    share;

	/* Rows are read with table_index_fetch_tuple under the snapshot. */
	Relation         table; /* NULL: no table is read; only for SEARCH_UNORDERED */
	Snapshot         snapshot;
	const RowFilter *filter; /* filter that returned rows must pass; NULL: none */
} SearchRequest;

/* Begin a search. Allocates in a child of the current context. */
extern Search *search_begin(IndexView *view, const SearchRequest *request);

/*
 * Return the next row in exact order. Without an order, return a row that may
 * reach the threshold, whose score the caller must check. Returns false at the
 * end.
 */
extern bool search_next(Search *search, ItemPointer tid);
extern void search_end(Search *search);

/* Return the counters of the search so far. */
extern const SearchCounters *search_counters(const Search *search);

#endif /* COLBERT_SEARCH_H */
