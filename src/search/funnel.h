/*-------------------------------------------------------------------------
 *
 * funnel.h
 *	  The levels of a search, and the stages between them. For the files of
 *	  this folder.
 *
 * Memory: a bit per document, and lists whose lengths follow from work_mem. If
 * they cannot hold all documents that were narrowed, the worst are dropped and
 * found again by another sweep.
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

/* A candidate and where its heap row is. */
typedef struct RankedDoc
{
	Candidate       candidate;
	ItemPointerData tid;
	bool            tested;       /* its row passes the filter */
	bool            has_versions; /* tid is of the first of several versions (versions.h) */
} RankedDoc;

typedef struct RankedList
{
	RankedDoc *items; /* best last; given from the end */
	uint32     count;
	uint32     capacity;
} RankedList;

typedef struct FetchStage FetchStage;

struct Search
{
	IndexView     *view;
	MemoryContext  context; /* of everything of this search */
	Policy         policy;
	FunnelState    state;
	OrderNeed      need;
	SearchQuery    query;
	Finder        *finder; /* NULL: there are no nodes, or none is near the query */
	CandidateList  waiting;
	CandidateList  pool;
	RankedList     ranked;
	ReadyRows      ready;
	LateRows      *late; /* NULL: none so far */
	double         last_given;
	uint8         *seen;  /* bit per document: is or was in the pool, or does not pass */
	Bands          bands; /* of the batches so far */
	uint64         given; /* documents taken from ranked */
	FetchStage    *fetch; /* NULL: no table is read */
	SearchCounters counters;
};

/* ---- funnel.c ---- */

/* Set the limits that follow from work_mem. */
extern void funnel_begin(Search *search);

/* Bring the state up to date with the levels. */
extern void funnel_observe(Search *search);

/* Add narrowed documents to the pool, and empty the list. */
extern void funnel_add(Search *search, CandidateList *list);

/* If the pool has grown to twice its limit, drop the worse half: another sweep finds it again. */
extern void funnel_cut_pool(Search *search);

/* Count the documents of the pool that are estimated to reach a threshold; and their estimates. */
extern void funnel_survey_pool(Search *search);
extern void funnel_fill_histogram(Search *search);
extern void funnel_drop_pool(Search *search);

/* Move the best n of the pool to its front, passing over copies known not to beat the bar. Returns how many there are. */
extern uint32 funnel_select(Search *search, uint32 n, const ScoreBar *bar);

/* Take the first n out of the pool. */
extern void funnel_remove(Search *search, uint32 n);

/* Room for n more ranked documents. Returns where they go. */
extern RankedDoc *funnel_reserve_ranked(Search *search, uint32 n);

/* Take the ranked document of an estimate. */
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

/* Gather the documents of the nodes near each direction, the best "limit" in front. */
extern void gather_documents(Search *search, uint32 probes, uint32 ef, uint32 limit);

/* ---- narrow.c: from waiting to the pool, by sketches ---- */

/* Documents whose score by what came before was not above "most". */
typedef struct NarrowWorse
{
	float         most;
	CandidateList list; /* has room for them */
} NarrowWorse;

/*
 * Score documents by their sketches, replacing their scores, and drop those
 * that are not live. worse: NULL if nobody asks.
 */
extern void narrow_list(Search *search, CandidateList *list, NarrowWorse *worse);

/* Narrow the best n that wait. */
extern void narrow_waiting(Search *search, uint32 n);

/* Narrow every pending document: they are in no posting list. */
extern void narrow_pending(Search *search);

/* Narrow every live document that is not seen; test: only those whose rows pass, also of the pool. */
extern void narrow_all(Search *search, bool test);

/* ---- rerank.c: from the pool to ranked, by codes ---- */

/* Score these by their code rows, and add them to the ranked ones, in order. test: only those whose rows pass. */
extern void rerank_list(Search *search, const Candidate *candidates, uint32 count, bool test);
extern void rerank_pool(Search *search, const Step *step);

/* ---- fetch.c: from ranked to ready rows, by the stored column ---- */

extern void fetch_begin(Search *search, const SearchRequest *request);
extern void fetch_end(Search *search);

/* Does the document's row pass the filter? It is counted. */
extern bool fetch_admits(Search *search, uint32 doc, const DocEntry *entry);

/* Fetch the ranked document of this estimate. */
extern void fetch_document(Search *search, float estimate);

/* Take the ranked document of this estimate without scoring it; false if no version of its row is visible. */
extern bool fetch_tid(Search *search, float estimate, ItemPointer tid);

/* Fetch every live document into the sort. */
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
