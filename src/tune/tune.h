/*-------------------------------------------------------------------------
 *
 * tune.h
 *	  colbert_tune: the cheapest settings of an index that reach a recall on
 *	  a sample of queries.
 *
 *	tune.c			the function in SQL: who may, what comes out, ALTER INDEX
 *	exact.c	the exact answers, by one pass through the table
 *	trial.c	recall and time of searches with given settings
 *	descent.c	which settings to try
 *
 * The exact answers and all searches see the table under one snapshot, so
 * that what differs is the index's doing. Predicate and expressions of the
 * index run with the rights of the table's owner, as they do in REINDEX.
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
	double       least; /* the exact k-th score: what an answer must reach; larger is nearer */
} TuneQuery;

/* What was found out about some settings. */
typedef struct Trial
{
	int            number;   /* the first is 0 */
	SearchSettings asked;    /* 0 where the index is to choose */
	bool           complete; /* else it was given up, being too bad or too slow */
	double         recall;   /* share of the k best, over all queries */
	double         ms;       /* of a search: the median over queries of fastest */
	double         total_ms; /* of all queries, the first time */
	double        *fastest;  /* ms of each query, of all times it was searched for */
} Trial;

typedef struct TrialSearch TrialSearch;

typedef struct Tune
{
	Relation   heap;
	Relation   index;
	Snapshot   snapshot;
	Metric     metric;
	Datum      sample; /* the queries as they were given: multivector[] */
	TuneQuery *queries;
	int        nqueries;
	int        k;
	int        wanted; /* answers that there are to a query: k, or all rows */
	double     target;

	/* What the settings are chosen by. */
	uint32 query_tokens; /* median */
	uint32 nodes;
	uint32 docs;

	IndexInfo      *info;
	EState         *estate; /* for expressions of the index */
	TupleTableSlot *slot;

	TrialSearch *search;
	List        *trials; /* of Trial, in the order in which they were made */
	TimestampTz  told;   /* when progress was last told of */
} Tune;

/* Tell of progress now and then: true where it is time to. */
extern bool tune_time_to_tell(Tune *tune);

/* Sets least of each query, and wanted: 0 where the index has no row that can be seen. */
extern void tune_exact(Tune *tune);

/* trial.c: before the first trial, and after the last. */
extern void tune_begin_trials(Tune *tune);
extern void tune_end_trials(Tune *tune);

/*
 * Search with these settings. With a rival, a trial that reached the target,
 * they are given up once they cannot reach it any more, or take far longer
 * than the rival; else both are timed in turns. Once for the same settings,
 * but where they were given up and there is no rival now.
 */
extern Trial *tune_try(Tune *tune, const SearchSettings *asked, Trial *rival);

/* Time trials that are complete again, in turns: whatever else the machine does meanwhile, it does to all of them. */
extern void tune_time(Tune *tune, List *trials);

/* Order of a List of Trial. */
extern int tune_cheapest_first(const ListCell *a, const ListCell *b);

extern bool tune_reaches(const Tune *tune, const Trial *trial);

/* Try settings; returns the cheapest that reach the target, NULL where none do. The first trial is of all left to the index. */
extern Trial *tune_descend(Tune *tune);

#endif /* COLBERT_TUNE_H */
