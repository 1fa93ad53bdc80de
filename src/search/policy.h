/*-------------------------------------------------------------------------
 *
 * policy.h
 *	  Decide the next step of a search: a pure function of its settings and
 *	  its state.
 *
 * A search is a funnel of levels (README.md). Stages move documents from one
 * level to the next and update the state. Only policy_next() decides which
 * stage runs, and on how many documents.
 *
 * Plain C without PostgreSQL; never allocates. test/unit/test_policy.c contains
 * a table of states and steps.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_POLICY_H
#define COLBERT_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "search/budget.h"
#include "search/estimates.h"

/*
 * Documents to narrow per row. The best of the narrowed documents are the best
 * of all only while they are a small share, one in this many.
 */
#define POLICY_NARROWED_PER_ROW 12

/* Number of rows that are probably wanted, because a search does not know the LIMIT. */
#define POLICY_LIKELY_LIMIT 10

/* Maximum number of wanted rows: the codes of that number are kept. */
#define POLICY_MAX_WANTED 4096

/* Minimum number of documents that a search narrows first, and in a later step. */
#define POLICY_FIRST_NARROWED  128
#define POLICY_MIN_NARROW_STEP 64

/* The least of both if the index has a share of the documents. */
#define POLICY_MIN_NARROWED 32

/* Number of documents that a search reranks at least in a step. */
#define POLICY_MIN_RERANK_STEP 8

/* Test rows before documents are narrowed if fewer than one in this many passes the filter. */
#define POLICY_TEST_BEFORE_NARROWING 8

/*
 * Bytes per posting while gathering: its ordinal, slots of a hash table that is
 * at least a quarter full, and a place in the list. Buffer and list have up to
 * twice the needed room, since they double.
 */
#define POLICY_GATHER_BYTES 64

/* Parameters that stay constant during a search. */
typedef struct Policy
{
	SearchSettings settings;        /* resolved: none is 0 */
	double         recall;          /* target: share of the wanted documents to find */
	uint64_t       likely_rows;     /* number of rows that are probably wanted */
	bool           may_narrow_more; /* the number of candidates is left to the index */
	bool           may_gather_more; /* the number of probes is left to the index */
	bool           ordered;         /* nearest first; otherwise in any order, as soon as possible */
	double         threshold;       /* minimum score of wanted documents; -INFINITY: none */
	/* share of all documents, here and on other servers, that this index has */
	double   share;
	uint64_t need_rows;  /* number of first rows that must not be late; 0: any row may be */
	bool     need_peers; /* and with them all rows that have the score of the last one */
	bool     filtered;   /* rows must pass a filter */
	bool     has_codes;  /* documents are reranked by codes, otherwise by their sketches */

	/* the index */
	uint32_t  ndirections;
	uint64_t  nodes;         /* 0: none, or none is near the query */
	uint64_t  node_postings; /* mean postings per node, rounded up */
	uint64_t  live_docs;
	WorkCosts costs;

	/* work_mem */
	uint64_t memory;
	uint32_t pool_limit;  /* size to which the pool is cut when it has twice as many */
	uint32_t batch_limit; /* limit for ranked documents and for ready rows */
} Policy;

/* How fetched rows are returned. */
typedef enum SearchPhase
{
	PHASE_NEXT,  /* return each row when no other is expected to beat it */
	PHASE_HOLD,  /* keep all rows until the last one that must not be late is certain */
	PHASE_HELD,  /* return these rows */
	PHASE_SORT,  /* put all remaining rows into a sort */
	PHASE_SORTED /* return the sorted rows */
} SearchPhase;

/* What a search learned from a document that it fetched. */
typedef struct LearnedScore
{
	double estimate;
	double score;
} LearnedScore;

/* The state of a search: the documents on each level, and the statistics so far. */
typedef struct FunnelState
{
	SearchPhase phase;

	/* waiting: gathered, not narrowed */
	uint32_t          waiting;
	uint32_t          probes; /* lists per direction that were gathered; 0: none */
	uint32_t          found;  /* nodes per direction that are known */
	EstimateHistogram waiting_estimates;
	SkewedFit         gather_fit; /* prediction of sketch scores from these estimates */
	/* share of the best reranked documents that half of these lists had not put among the best */
	double late_share;

	uint32_t level; /* number of widenings so far */

	/* pool: narrowed, not reranked */
	uint32_t          pool;
	float             pool_best;  /* with a threshold: the best estimate in the pool */
	uint32_t          pool_above; /* with a threshold: number of documents estimated to reach it */
	bool              pool_below; /* sketch_errors are of documents below the threshold */
	bool              pool_dropped; /* a cut dropped documents since the last sweep began */
	bool              pool_tested;  /* all documents in the pool pass the filter */
	bool              swept;    /* every live document was in the pool, or worse than all kept */
	bool              complete; /* every live document was in the pool */
	uint64_t          narrowed; /* documents narrowed so far */
	EstimateHistogram pool_estimates;

	/* ranked: reranked, not fetched */
	uint32_t ranked;
	float    ranked_best;   /* the best estimate; valid if ranked > 0 */
	bool     has_contender; /* a ranked document may beat policy_doubt() */
	float    contender;     /* the best estimate of such documents */
	bool     ranked_below;  /* score_errors are of documents below the threshold */
	uint32_t batch;         /* number of documents in the next batch */
	bool     batch_due;     /* a batch is reranked next, without asking if it pays */
	/* number of narrowed documents whose sketch scores are at least those of the rows returned */
	double      depth;
	ErrorStats  sketch_errors; /* code scores minus sketch scores */
	EstimateFit sketch_fit;    /* prediction of code scores from sketch scores */
	double      wanted_score;  /* code score of the last wanted document; -INFINITY: not known */
	uint64_t    tested;        /* rows tested by the filter */
	uint64_t    passed;
	uint64_t    gone; /* fetched documents without a visible row */

	/* ready: fetched, not returned */
	uint32_t ready;
	double   ready_best; /* the best score; valid if ready > 0 */
	/* before the first row is returned: score of the last row probably wanted */
	double ready_likely;
	/* score of the last row that must not be late; -INFINITY: not known yet */
	double     bar;
	uint64_t   returned;     /* number of rows returned */
	ErrorStats score_errors; /* exact scores minus estimates, of documents that are not copies */
	/* prediction of exact scores from sketch scores, of the same documents; without codes */
	EstimateFit  score_fit;
	LearnedScore learned;    /* the last that was learned; an estimate of NaN: none */
	uint64_t     copies;     /* fetched documents that were copies of the one learned */
	Ties         score_ties; /* exact scores of copies, by their estimates */

	/* the last time that the search had found enough documents */
	bool     settled;        /* nothing was narrowed or reranked since */
	double   settled_misses; /* number of misses expected at that time */
	ScoreBar settled_bar;    /* policy_bar() at that time */

	/* this search and those of the same round that began before it (siblings.h) */
	double   known_share;  /* share of all documents whose best scores are known */
	uint32_t own_wanted;   /* code scores of this search that reach wanted_score */
	double   other_misses; /* number of misses that the others expect */
	uint64_t others_taken; /* rows of the others that the merge has taken */
} FunnelState;

typedef enum StepKind
{
	STEP_NONE,

	/* from postings to waiting, pool, ranked */
	STEP_WIDEN,  /* gather with more probes, and narrow the best n */
	STEP_NARROW, /* narrow the best n waiting documents */
	STEP_SWEEP,  /* narrow every live document not seen so far */
	STEP_RERANK, /* rerank the best n of the pool */
	STEP_SETTLE, /* enough documents are found, apart from this many expected misses */

	/* below a threshold */
	STEP_RELEARN_SKETCHES, /* forget sketch_errors: learn them below the threshold */
	STEP_RELEARN_SCORES,   /* forget score_errors, for the same reason */
	STEP_DROP_POOL,        /* drop the pool: nothing in it is wanted */
	STEP_DROP_RANKED,      /* drop the ranked documents: none is wanted */
	STEP_DROP_ALL,         /* drop both */

	/* from ranked to rows */
	STEP_FETCH,      /* fetch the document with this estimate */
	STEP_TAKE,       /* return the document with this estimate, unfetched */
	STEP_ENTER,      /* enter another phase */
	STEP_SORT_TABLE, /* fetch every live document into the sort */
	STEP_GIVE,       /* return the best ready row */
	STEP_END         /* return late rows; nothing else is left */
} StepKind;

typedef struct Step
{
	StepKind kind;
	uint32_t n;      /* WIDEN, NARROW, RERANK: number of documents */
	uint32_t probes; /* WIDEN: probes per direction */
	uint32_t ef;     /* WIDEN: candidate list size of the graph search */
	uint32_t level;  /* WIDEN, SWEEP: new number of widenings */
	uint32_t batch;  /* WIDEN, RERANK: size of the batch after this step */
	bool batch_due; /* WIDEN, NARROW, SWEEP: rerank a batch afterwards, without asking if it pays */
	bool test;      /* SWEEP, RERANK: test rows by the filter first */
	bool over_bar;  /* RERANK: skip copies known not to beat the bar */
	ScoreBar    bar;
	double      misses;   /* SETTLE */
	float       estimate; /* FETCH, TAKE */
	SearchPhase phase;    /* ENTER */
	double      held;     /* ENTER PHASE_HELD: return rows of at least this score */
} Step;

extern Step policy_next(const Policy *policy, const FunnelState *state);

/* Return the number of documents that are narrowed first if it is left to the index. */
extern uint32_t policy_first_narrowed(const Policy *policy);

/*
 * Return the number of rows that are probably wanted of all documents, which
 * doubles each time that all of them have been returned.
 */
extern double policy_wanted(const Policy *policy, const FunnelState *state);

/*
 * Return how many of n wanted rows are probably among a share of the documents:
 * 1.8 deviations more than on average, at least 1.
 */
extern uint32_t policy_among(double n, double share);

/*
 * Return true if the wanted rows were returned, so that others follow. Until
 * then, a row of this search that is worse than the bar is one that the merge
 * asked for ahead.
 */
extern bool policy_goes_on(const Policy *policy, const FunnelState *state);

/*
 * Return the score that a document must beat to be among the wanted ones: the
 * code score of the last of them. Rows in hand lower it if they must pass a
 * filter, if rows were returned before, and if the codec has no code scores.
 */
extern ScoreBar policy_bar(const Policy *policy, const FunnelState *state);

/*
 * Return true if no document of the pool is expected to reach the threshold.
 * Its best documents have been reranked.
 */
extern bool policy_pool_is_hopeless(const Policy *policy, const FunnelState *state);

/* Return true if the rule of recall.c may narrow, or probe, more. */
extern bool policy_may_narrow(const Policy *policy, const FunnelState *state);
extern bool policy_may_probe(const Policy *policy, const FunnelState *state);

/*
 * Return the score that no unfetched document may be expected to beat, or
 * -INFINITY if a document must be fetched in any case.
 */
extern double policy_doubt(const FunnelState *state);

#endif /* COLBERT_POLICY_H */
