/*-------------------------------------------------------------------------
 *
 * search.h
 *	  The pipeline of a search: find -> gather -> narrow -> rerank -> exact.
 *
 *	find	the nodes nearest to each query token (finder)
 *	gather	their postings, summed to an estimate a document
 *	narrow	the best of these, and all pending ones, by their sketches
 *	rerank	the best of those by their code rows
 *	exact	fetch the heap row, score the stored column, emit in exact order
 *
 * A search is asked for documents in the order of their estimates. Whenever
 * it runs out it reranks more of what it narrowed; it widens (more probes, in
 * the end every live document) before what it narrowed is too little to tell
 * which come next. It gives each live document that is admitted exactly once,
 * and ends only when all were given.
 *
 * Memory: a bit a document, and lists whose lengths follow from work_mem
 * (pool.c). Where they cannot hold all documents that were narrowed, the
 * worst are dropped, and found again by another pass through all of them.
 *
 * Nothing here holds a lock or a pin between calls.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SEARCH_H
#define COLBERT_SEARCH_H

#include "access/relscan.h"
#include "index/view.h"
#include "search/budget.h"
#include "search/candidates.h"
#include "search/counters.h"
#include "search/estimates.h"
#include "search/query.h"

/* A candidate and where its heap row is. */
typedef struct RankedDoc
{
	Candidate       candidate;
	ItemPointerData tid;
	bool            tested;       /* its row is one that the filter admits */
	bool            has_versions; /* tid is of the first of several versions (versions.h) */
} RankedDoc;

/*
 * The most tokens of a query: preparing one, which no interrupt ends, takes
 * microseconds a token. Real queries have tens; a page as a query, a thousand.
 */
#define SEARCH_MOST_QUERY_TOKENS 65536

/* Is this row wanted? Asked of rows that are scored, before they are, where there are quals to test. */
typedef struct SearchFilter
{
	bool (*admits)(void *arg, uint32 doc, const DocEntry *entry); /* NULL: all are */
	void *arg;
} SearchFilter;

/* Whether the nearest documents are wanted first, or all as soon as can be. */
typedef enum SearchOrder
{
	SEARCH_NEAREST_FIRST,
	SEARCH_UNORDERED
} SearchOrder;

typedef struct Search
{
	IndexView        *view;
	MemoryContext     context; /* everything of this search */
	SearchSettings    settings;
	SearchQuery       query;
	void             *finder; /* NULL where there are no nodes */
	SearchFilter      filter;
	CandidateList     pool;         /* narrowed, not reranked yet */
	uint32            pool_limit;   /* the pool is cut to these when it is twice as many */
	bool              pool_dropped; /* by a cut, since the last pass began */
	bool              pool_tested;  /* all in the pool were admitted */
	RankedDoc        *ranked;       /* reranked, best last; given from the end */
	uint32            nranked;
	uint32            ranked_capacity;
	uint32            batch; /* documents that the next batch reranks */
	uint32            batch_limit;
	uint64            narrowed; /* documents that have been narrowed so far */
	Bands             bands;    /* of the batches so far */
	double            depth;    /* how many were narrowed that looked as good as what was given */
	uint64            given;
	uint64            tested;        /* rows that the filter was asked about */
	uint64            passed;        /* rows that it admitted */
	uint32            level;         /* widenings so far */
	bool              complete;      /* every live document has been in the pool */
	bool              passed_all;    /* or was dropped from it, being worse than all that stayed */
	uint8            *seen;          /* bit a document: is or was in the pool, or is not admitted */
	float             pool_best;     /* the best estimate in the pool */
	ErrorStats        sketch_errors; /* of sketches, against code rows */
	SearchOrder       order;
	double            floor;       /* documents below are not wanted; -INFINITY where all are */
	bool              below_floor; /* nothing in the pool is estimated to reach the floor */
	EstimateHistogram pool_estimates;
	EstimateFit       sketch_fit; /* code rows, from sketches */
	CandidateList     waiting;    /* gathered, not narrowed, not seen */
	uint32            chunk;      /* how many of those that wait are narrowed next */
	uint32 nworse; /* documents of the last chunk, the worse half of it as they were gathered */
	EstimateHistogram worse_estimates; /* by their sketches */
	bool              may_narrow_more; /* the number of candidates was left to the index */
	SearchCounters    counters;
	bool              may_gather_more; /* that of probes, too */
} Search;

/* ---- search.c ---- */

/* settings: 0 where the index chooses. Allocates in a child of the current context. */
extern Search *search_begin(IndexView *view, const MultiVector *query,
							const SearchSettings *settings);
extern void    search_end(Search *search);

/*
 * From now on documents below a similarity (larger is nearer) are not wanted,
 * but for those that cannot be told from others.
 */
extern void search_set_floor(Search *search, double floor, SearchOrder order);

/* None of the documents that were reranked and not taken is wanted. */
extern void search_drop_ranked(Search *search);

/* The next document's estimate; false when all were given. */
extern bool search_peek(Search *search, float *estimate);

/* The next estimate below this one of those reranked so far. */
extern bool search_peek_below(const Search *search, float estimate, float *below);

/* Take a document of an estimate that was peeked at. */
extern bool search_next(Search *search, float estimate, RankedDoc *doc);

/*
 * Rerank, narrow or gather more where that is expected to bring a document
 * above the bar; false where it is not.
 */
extern bool search_more_above(Search *search, const ScoreBar *bar);

/* ---- pool.c ---- */

/*
 * What gathering takes for a posting, at the most: its ordinal, slots of a
 * table that is at least a quarter full, and a place in the list; buffer and
 * list have twice the room as they grow.
 */
#define SEARCH_GATHER_BYTES 64

/*
 * The best of what was narrowed are the best of all documents only as long
 * as they are few among those that were narrowed: one in so many.
 */
#define SEARCH_NARROWED_FOR_EACH 12

/* Rows that are likely wanted where few pass: the LIMIT is unknown to a scan. */
#define SEARCH_LIKELY_LIMIT 10

/* One row in so many passes: test rows first, in the order of the directory, and narrow what is left. */
#define SEARCH_FEW_BEFORE_NARROWING 8

/* Set the limits that follow from work_mem. */
extern void pool_begin(Search *search);

/* Should more be narrowed before the next batch is taken? */
extern bool pool_is_short(const Search *search);

/* More documents into the pool, narrowed; the last time sets complete. */
extern void pool_widen(Search *search);

/* Narrow the best of those that wait, into the pool. */
extern void pool_narrow_waiting(Search *search, uint32 n);

/* Where the pool has grown to twice its limit, drop the worse half: another pass finds it again. */
extern void pool_cut(Search *search);

/* Nothing that is in the pool is wanted. */
extern void pool_give_up(Search *search);

/* ---- the stages ---- */

/* gather.c: nodes of each token, then the documents of their postings, the best in front, into list. */
extern void search_gather(Search *search, uint32 probes, uint32 ef, uint32 limit,
						  CandidateList *list);

/*
 * narrow.c: score documents by sketch, replacing their scores; drops those
 * that are not live. Those whose score was not above that of worse are added
 * to its list, which has room for them; NULL where nobody asks.
 */
typedef struct NarrowWorse
{
	float         most;
	CandidateList list;
} NarrowWorse;

extern void search_narrow(Search *search, CandidateList *list, NarrowWorse *worse);

/* narrow.c: drop those that are not admitted; before documents are narrowed, or after. */
extern void search_test(Search *search, CandidateList *list);

/* narrow.c: score every live document that is not seen by sketch, into the pool, which is cut on the way. */
extern void search_narrow_all(Search *search);

/* rerank.c: score by code rows those that are admitted, and add them to search->ranked, in order. */
extern void search_rerank(Search *search, const Candidate *candidates, uint32 count);

/* ---- floor.c ---- */

/* A document that seems to miss the floor by more than so many deviations is given up. */
#define FLOOR_DEVIATIONS 3.0

/* Is the next widening to go to every document? */
extern bool floor_wants_all(const Search *search);

/* How many of the pool to rerank next. */
extern uint32 floor_batch(Search *search);

/* Is nothing in the pool, whose best are reranked, expected to reach the floor? */
extern bool floor_ends_pool(const Search *search);

static inline bool
search_seen(const Search *search, uint32 doc)
{
	return search->seen[doc >> 3] & (1 << (doc & 7));
}

static inline void
search_mark_seen(Search *search, uint32 doc)
{
	search->seen[doc >> 3] |= 1 << (doc & 7);
}

static inline void
search_forget(Search *search, uint32 doc)
{
	search->seen[doc >> 3] &= ~(1 << (doc & 7));
}

static inline bool
search_admits(Search *search, uint32 doc, const DocEntry *entry)
{
	bool admitted = search->filter.admits(search->filter.arg, doc, entry);

	search->tested++;
	search->passed += admitted;
	return admitted;
}

/* Do so few rows pass that it is cheaper to test them than to take them a stage further? share: one in so many. */
static inline bool
search_few_pass(const Search *search, uint32 share)
{
	return search->filter.admits != NULL && search->passed * share < search->tested;
}

static inline void
stage_start(Search *search, instr_time *start)
{
	counters_start(&search->counters, start);
}

static inline void
stage_stop(Search *search, SearchStage stage, instr_time start)
{
	counters_stop(&search->counters, stage, start);
}

#endif /* COLBERT_SEARCH_H */
