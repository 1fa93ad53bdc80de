/*-------------------------------------------------------------------------
 *
 * policy.h
 *	  What a search does next: a pure function of its settings and its state.
 *
 * A search is a funnel of levels (README.md). Stages move documents from one
 * level to the next and keep the state up to date; only policy_next() decides
 * which of them runs, and on how many documents.
 *
 * Plain C without PostgreSQL; never allocates. test/unit/test_policy.c holds a
 * table of states and steps.
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
 * The best of the narrowed documents are the best of all only while they are
 * few: one of this many.
 */
#define POLICY_NARROWED_PER_ROW 12

/* Rows that are likely wanted: a search does not know the LIMIT. */
#define POLICY_LIKELY_LIMIT 10

/* If fewer than one row of this many passes the filter, rows are tested before documents are narrowed. */
#define POLICY_TEST_BEFORE_NARROWING 8

/*
 * Bytes that gathering takes per posting: its ordinal, slots of a table that
 * is at least a quarter full, and a place in the list; buffer and list have
 * twice the room as they grow.
 */
#define POLICY_GATHER_BYTES 64

/* The constants of a search. */
typedef struct Policy
{
	SearchSettings settings;        /* resolved: none is 0 */
	bool           may_narrow_more; /* the number of candidates was left to the index */
	bool           may_gather_more; /* that of probes, too */
	bool           ordered;         /* the nearest first; if not, all as soon as can be */
	double         threshold;       /* documents below are not wanted; -INFINITY: all are */
	uint64_t       need_rows;       /* first rows of which none may be late; 0: any may be */
	bool           filtered;        /* rows have to pass a filter */
	bool           has_codes;       /* documents are reranked by codes; if not, by their sketches */

	/* the index */
	uint32_t ndirections;
	uint64_t nodes;         /* 0: none, or none is near the query */
	uint64_t node_postings; /* of a node, on average, rounded up */
	uint64_t live_docs;
	double   doc_blocks; /* sketch blocks of a document */

	/* work_mem */
	uint64_t memory;
	uint32_t pool_limit;  /* the pool is cut to these when it is twice as many */
	uint32_t batch_limit; /* ranked or fetched documents that are enough */
} Policy;

/* What is done with the rows that are fetched. */
typedef enum SearchPhase
{
	PHASE_NEXT,  /* each is given when no other is expected to beat it */
	PHASE_HOLD,  /* all are kept until the last row that must not be late is out of doubt */
	PHASE_HELD,  /* these are given */
	PHASE_SORT,  /* everything that is left goes into a sort */
	PHASE_SORTED /* which is given */
} SearchPhase;

/* The state of a search: the documents on each level, and the statistics so far. */
typedef struct FunnelState
{
	SearchPhase phase;

	/* waiting: gathered, not narrowed */
	uint32_t waiting;
	uint32_t chunk; /* documents that are narrowed next */
	uint32_t level; /* widenings so far */

	/* pool: narrowed, not reranked */
	uint32_t pool;
	float    pool_best;    /* with a threshold: the best estimate in the pool */
	uint32_t pool_above;   /* with a threshold: documents estimated to reach it */
	bool     pool_below;   /* sketch_errors are those of documents below the threshold */
	bool     pool_dropped; /* a cut dropped documents since the last sweep began */
	bool     pool_tested;  /* all in the pool pass the filter */
	bool     swept;        /* every live document was in the pool, or worse than all that stayed */
	bool     complete;     /* every live document was in the pool */
	uint64_t narrowed;     /* documents so far */
	EstimateHistogram pool_estimates;
	uint32_t nworse; /* documents of the last chunk: the half that was gathered as the worse */
	EstimateHistogram worse_estimates; /* their sketch scores */

	/* ranked: reranked, not fetched */
	uint32_t ranked;
	float    ranked_best; /* the best estimate, if there is one */
	bool has_contender; /* some are not known, as copies are, to be no better than policy_doubt() */
	float    contender; /* the best estimate of these */
	bool     ranked_below; /* score_errors are those of documents below the threshold */
	uint32_t batch;        /* documents of the next batch */
	bool     batch_due;    /* a batch is reranked next, whatever is expected of it */
	double depth; /* narrowed documents whose sketch scores are at least those of the given rows */
	ErrorStats  sketch_errors; /* code scores less sketch scores */
	EstimateFit sketch_fit;    /* code scores, from sketch scores */
	uint64_t    tested;        /* rows that the filter was asked about */
	uint64_t    passed;

	/* ready: fetched, not given */
	uint32_t ready;
	double   ready_best; /* the best score, if there is one */
	double
		ready_likely; /* before the first row is given: the score of the last one likely wanted */
	double     bar; /* the score of the last row that must not be late; -INFINITY: not ready yet */
	bool       gave;
	ErrorStats score_errors; /* exact scores less estimates */
	Ties       score_ties;   /* exact scores of copies, by their estimates */
} FunnelState;

typedef enum StepKind
{
	STEP_NONE,

	/* from postings to waiting, pool, ranked */
	STEP_WIDEN,  /* gather by more probes, and narrow the best n */
	STEP_NARROW, /* narrow the best n that wait */
	STEP_SWEEP,  /* narrow every live document that is not seen */
	STEP_RERANK, /* rerank the best n of the pool */

	/* below a threshold */
	STEP_RELEARN_SKETCHES, /* forget sketch_errors: what follows is below the threshold */
	STEP_RELEARN_SCORES,   /* forget score_errors, for the same reason */
	STEP_DROP_POOL,        /* nothing in the pool is wanted */
	STEP_DROP_RANKED,      /* no ranked document is wanted */
	STEP_DROP_ALL,         /* neither of both */

	/* from ranked to rows */
	STEP_FETCH,      /* fetch the document of this estimate */
	STEP_TAKE,       /* give the document of this estimate, unfetched */
	STEP_ENTER,      /* enter another phase */
	STEP_SORT_TABLE, /* fetch every live document into the sort */
	STEP_GIVE,       /* give the best ready row */
	STEP_END         /* give late rows; nothing else is left */
} StepKind;

typedef struct Step
{
	StepKind    kind;
	uint32_t    n;         /* WIDEN, NARROW, RERANK: documents */
	uint32_t    probes;    /* WIDEN: per direction */
	uint32_t    ef;        /* WIDEN */
	uint32_t    level;     /* WIDEN, SWEEP: widenings that count as done */
	uint32_t    chunk;     /* WIDEN, NARROW: documents narrowed after these */
	uint32_t    batch;     /* WIDEN, RERANK: documents of the batch after this step */
	bool        batch_due; /* WIDEN, NARROW, SWEEP: a batch follows whatever is expected */
	bool        test;      /* SWEEP, RERANK: rows are tested by the filter first */
	bool        over_bar;  /* RERANK: copies known not to beat the bar are passed over */
	ScoreBar    bar;
	float       estimate; /* FETCH, TAKE */
	SearchPhase phase;    /* ENTER */
	double      held;     /* ENTER PHASE_HELD: rows of at least this score are given */
} Step;

extern Step policy_next(const Policy *policy, const FunnelState *state);

/* The score that no unfetched document may be expected to beat; -INFINITY if one has to be fetched. */
extern double policy_doubt(const FunnelState *state);

#endif /* COLBERT_POLICY_H */
