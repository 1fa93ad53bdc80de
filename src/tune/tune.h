/*-------------------------------------------------------------------------
 *
 * tune.h
 *	  colbert_tune: find the cheapest settings of an index that reach a recall
 *	  on a sample of queries.
 *
 *	tune.c		the SQL function: permissions, result, ALTER INDEX
 *	exact.c		the exact answers, from one pass over the table
 *	best.c		the best scores of each query
 *	read_exact.c	the exact answers, from a table of them
 *	trial.c		recall and time of searches with given settings
 *	descent.c	the choice of settings to try
 *
 * The exact answers and all searches use one snapshot, so that any difference
 * between them is due to the index. Predicate and expressions of the index run
 * with the rights of the table's owner, as in REINDEX.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_TUNE_H
#define COLBERT_TUNE_H

#include "access/access.h"
#include "multivector/score.h"
#include "nodes/execnodes.h"

typedef struct TuneQuery
{
	MultiVector *vector;
	ScoreQuery  *score;
	double       least; /* the exact k-th score, which an answer must reach; larger is nearer */
} TuneQuery;

/* Measurements of one combination of settings. */
typedef struct Trial
{
	int            number;   /* counted from 0 */
	SearchSettings asked;    /* 0 for settings that the index chooses */
	bool           complete; /* false if it was given up as too slow or too poor */
	double         recall;   /* fraction of the k best documents found, over all queries */
	double         ms;       /* time per search: the median of fastest */
	double         total_ms; /* of all queries, in the first round */
	double        *fastest;  /* least time of each query in any round, in ms */
} Trial;

typedef struct TrialSearch TrialSearch;

typedef struct Tune
{
	Relation   heap;
	Relation   index;
	Snapshot   snapshot;
	Metric     metric;
	Datum      sample; /* the queries as passed: multivector[] */
	TuneQuery *queries;
	int        nqueries;
	int        k;
	int        wanted; /* answers expected per query: k, or the number of rows if less */
	double     target;

	/* Input to the choice of settings. */
	uint32 query_tokens; /* median */
	uint32 nodes;
	uint32 docs;

	IndexInfo      *info;
	EState         *estate; /* for expressions of the index */
	TupleTableSlot *slot;

	TrialSearch *search;
	List        *trials; /* of Trial, in chronological order */
	TimestampTz  told;   /* time of the last progress message */
} Tune;

/* Return true if a progress message is due. Messages are rate-limited. */
extern bool tune_time_to_tell(Tune *tune);

/*
 * Compute the exact answers. Sets least of each query, and wanted, which is 0
 * if the index has no visible row.
 */
extern void tune_exact(Tune *tune);

/*
 * read_exact.c: read the exact answers from a table, with the rights of the
 * current user. Sets least of each query, and wanted.
 */
extern void tune_read_exact(Tune *tune, Oid table);

/*
 * The k best scores of each query, of which the worst is on top of a heap.
 * Raises 54000 if they do not fit in maintenance_work_mem. Larger is nearer.
 */
typedef struct BestScores BestScores;
extern BestScores        *tune_best_begin(Tune *tune);
extern void               tune_best_add(BestScores *best, int query, double score);
extern int                tune_best_count(const BestScores *best, int query);

/* Set least of each query; wanted is the number of answers to each. Frees the scores. */
extern void tune_best_end(BestScores *best);

/* trial.c: called before the first trial and after the last. */
extern void tune_begin_trials(Tune *tune);
extern void tune_end_trials(Tune *tune);

/*
 * Measure the recall and time of these settings.
 *
 * If there is a rival, which is a trial that reached the target, the new trial
 * is given up as soon as it cannot reach the target or takes far longer than
 * the rival. Otherwise both are timed in turns.
 *
 * Settings are measured only once. They are measured again if they were given
 * up and there is no rival now.
 */
extern Trial *tune_try(Tune *tune, const SearchSettings *asked, Trial *rival);

/*
 * Time complete trials again, in turns, so that other load on the machine
 * affects all of them alike.
 */
extern void tune_time(Tune *tune, List *trials);

/* Compare function for a List of Trial. */
extern int tune_cheapest_first(const ListCell *a, const ListCell *b);

extern bool tune_reaches(const Tune *tune, const Trial *trial);

/*
 * Try settings and return the cheapest that reach the target, or NULL if none
 * do. The first trial leaves all settings to the index.
 */
extern Trial *tune_descend(Tune *tune);

#endif /* COLBERT_TUNE_H */
