/*-------------------------------------------------------------------------
 *
 * funnel.h
 *	  The levels of a search, and the stages that move documents between them.
 *	  Private to this folder.
 *
 * Memory: one bit per document, and lists whose lengths depend on work_mem. If
 * the lists cannot hold all narrowed documents, the worst are dropped and found
 * again by another sweep.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_FUNNEL_H
#define COLBERT_FUNNEL_H

#include "search/candidates.h"
#include "search/late.h"
#include "search/policy.h"
#include "search/query.h"
#include "search/ready.h"
#include "search/search.h"
#include "search/siblings.h"
#include "storage/readahead.h"

/* A candidate and the location of its heap row. */
typedef struct RankedDoc
{
	Candidate       candidate;
	ItemPointerData tid;
	bool            tested : 1; /* its row passes the filter */
	bool            is_new : 1; /* no document before it had the same sketch score */
	bool has_versions : 1;      /* tid is that of the first of several versions (versions.h) */
} RankedDoc;

typedef struct RankedList
{
	RankedDoc *items; /* worst first; documents are taken from the end */
	uint32     count;
	uint32     capacity;
} RankedList;

typedef struct FetchStage FetchStage;

/* Distinct floats: a hash table with open addressing. */
typedef struct FloatSet
{
	uint32 *bits; /* of the float, plus 1; 0: an empty slot */
	uint32  size; /* a power of 2 */
	uint32  count;
} FloatSet;

/* Pairs of documents whose sketch scores are distinct. */
typedef struct PairList
{
	EstimatePair *items;
	uint32        count;
	uint32        capacity;
	FloatSet      outcomes;
	PairMoments   moments;
} PairList;

typedef struct Gathered Gathered;

struct Search
{
	IndexView     *view;
	MemoryContext  context; /* holds all memory of this search */
	Policy         policy;
	FunnelState    state;
	OrderNeed      need;
	SearchQuery    query;
	Finder        *finder;   /* NULL: there are no nodes, or none is near the query */
	Gathered      *gathered; /* documents of the probed lists; NULL: none */
	CandidateList  waiting;
	PairList       narrowed;         /* estimates and sketch scores */
	PairSums       pairs_left;       /* the part of them that siblings know */
	uint64         narrowed_waiting; /* documents narrowed from the lists */
	double         gather_prior; /* deviation of sketch scores from estimates before any is known */
	CandidateList  pool;
	FloatSet       reranked; /* sketch scores */
	CandidateList  codes;    /* code scores of the best reranked documents */
	uint32         wanted;   /* the wanted score is that of this number of documents */
	Siblings      *siblings; /* NULL: none */
	double         shards;   /* number of shards on other machines and this one */
	uint64         changes;  /* siblings->changes when the wanted score was determined */
	RankedList     ranked;
	ReadyRows      ready;
	LateRows      *late; /* NULL: none so far */
	double         last_given;
	uint8         *seen;  /* one bit per document: is or was in the pool, or fails the filter */
	Bands          bands; /* sketch estimates of the batches so far */
	uint64         given; /* documents taken from ranked */
	FetchStage    *fetch; /* NULL: no table is read */
	ReadAhead      ahead[STAGE_COUNT];
	SearchCounters counters;
};

/* ---- funnel.c ---- */

/* Set the limits that depend on work_mem, and the initial state. */
extern void funnel_begin(Search *search);

/* Update the state from the levels. */
extern void funnel_observe(Search *search);

/* Add narrowed documents to the pool, and empty the list. */
extern void funnel_add(Search *search, CandidateList *list);

/*
 * If the pool has grown to twice its limit, drop the worse half. Another sweep
 * finds those documents again.
 */
extern void funnel_cut_pool(Search *search);

/*
 * Update the statistics of the pool: the documents estimated to reach a
 * threshold, and the histogram of estimates.
 */
extern void funnel_survey_pool(Search *search);
extern void funnel_fill_histogram(Search *search);
extern void funnel_drop_pool(Search *search);

/*
 * Move the best n documents of the pool to its front, skipping copies known not
 * to beat the bar. Returns their number, which may be less than n. bar: NULL
 * skips none.
 */
extern uint32 funnel_select(Search *search, uint32 n, const ScoreBar *bar);

/* Remove the first n documents from the pool. */
extern void funnel_remove(Search *search, uint32 n);

/* Add a float to a set. Returns false if it was in it. A full set takes every float as new. */
extern bool floats_add(Search *search, FloatSet *set, float value);

/* Leave siblings the errors that this search has learned. */
extern void funnel_leave_errors(Search *search);

/* Leave siblings the expected misses of this search, in place of its last ones. */
extern void funnel_settle(Search *search, double misses);

/* Add the code scores of reranked documents. */
extern void funnel_add_codes(Search *search, const RankedDoc *docs, uint32 n);

/* Make room for n more ranked documents. Returns the address of the first. */
extern RankedDoc *funnel_reserve_ranked(Search *search, uint32 n);

/* Remove and return a ranked document with this estimate. */
extern RankedDoc funnel_take(Search *search, float estimate);

static inline bool
funnel_seen(const Search *search, uint32 doc)
{
	return search->seen[doc >> 3] & (1 << (doc & 7));
}

static inline void
funnel_mark_seen(Search *search, uint32 doc)
{
	search->seen[doc >> 3] |= 1 << (doc & 7);
}

/* ---- gather.c: from postings to waiting ---- */

/*
 * Gather the documents of the nodes near each direction into search->waiting,
 * replacing its contents.
 */
extern void gather_documents(Search *search, uint32 probes, uint32 ef);

/*
 * Forget the lists and their documents. A search of all documents does not need
 * them, and one that returned a row seldom does.
 */
extern void gather_forget(Search *search);

/*
 * Return the share of the best n reranked documents that half of the lists had
 * not put among as many documents as are narrowed. There must be lists.
 */
extern double gather_late_share(Search *search, uint32 n);

/* ---- narrow.c: from waiting to the pool, by sketches ---- */

/*
 * Score documents by their sketches, replacing their scores, and remove those
 * that are not live. The list is left in the order of ordinals.
 *
 * pairs: receives their estimates and sketch scores; may be NULL.
 */
extern void narrow_list(Search *search, CandidateList *list, PairList *pairs);

/* Narrow the best n waiting documents. */
extern void narrow_waiting(Search *search, uint32 n);

/* Narrow every pending document, since posting lists do not contain them. */
extern void narrow_pending(Search *search);

/*
 * Narrow every live document not seen so far. test: drop documents whose rows
 * fail the filter, including those already in the pool.
 */
extern void narrow_all(Search *search, bool test);

/* ---- rerank.c: from the pool to ranked, by codes ---- */

/*
 * Score documents by their code rows, and merge them into the ranked documents.
 * test: drop documents whose rows fail the filter.
 */
extern void rerank_list(Search *search, const Candidate *candidates, uint32 count, bool test);
extern void rerank_pool(Search *search, const Step *step);

/* ---- fetch.c: from ranked to ready rows, by the stored column ---- */

extern void fetch_begin(Search *search, const SearchRequest *request);
extern void fetch_end(Search *search);

/* Return true if the document's row is visible and passes the filter, and count the test. */
extern bool fetch_admits(Search *search, uint32 doc, const DocEntry *entry);

/* Fetch and score the ranked document with this estimate. */
extern void fetch_document(Search *search, float estimate);

/*
 * Take the ranked document with this estimate without scoring it. Returns false
 * if no version of its row is visible.
 */
extern bool fetch_tid(Search *search, float estimate, ItemPointer tid);

/* Fetch and score every live document, and add the rows to the sort. */
extern void fetch_table(Search *search);

/* Move the ready rows into the sort. */
extern void fetch_sort_ready(Search *search);

/* ---- counters ---- */

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

#endif /* COLBERT_FUNNEL_H */
