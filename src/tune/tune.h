/*-------------------------------------------------------------------------
 *
 * tune.h
 *	  colbert_tune: find the cheapest settings of an index that reach a recall
 *	  on a sample of queries.
 *
 *	tune.c		the SQL function: permissions, result, ALTER INDEX
 *	parts.c		the index, or the indexes of all partitions
 *	exact.c		the exact answers, from one pass over the table
 *	best.c		the best scores of each query
 *	read_exact.c	the exact answers, from a table of them
 *	trial.c		recall and time of searches with given settings
 *	merged.c	one search of all parts
 *	descent.c	the choice of settings to try
 *
 * An index of a partitioned table is searched as a whole: the scans of all
 * partitions have the same settings, look for the wanted rows together
 * (search/siblings.h), and their rows are merged as by MergeAppend.
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

typedef struct Tune Tune;

/* An index that is searched: the index itself, or that of a partition. */
typedef struct TunePart
{
	Tune           *tune;
	Relation        heap;
	Relation        index;
	double          documents;
	IndexInfo      *info;
	EState         *estate; /* for expressions of the index */
	TupleTableSlot *slot;   /* the last row of the scan */
	ScanNeeds       needs;  /* any row may be late */
	IndexScanDesc   scan;
	double          score;   /* of the row in slot; larger is nearer */
	int64           answers; /* exact answers among its rows, for all queries; -1: not known */
	int64           hits;    /* of the last call of tune_parts_alone */
	double          ms;      /* its mean share of a search, of the same call */
} TunePart;

typedef struct MergedSearch MergedSearch;

struct Tune
{
	Relation   heap;  /* of the index that is named */
	Relation   index; /* the same, or the parent of all parts */
	TunePart  *parts;
	int        nparts;
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
	uint32 nodes;        /* of the part that has most */
	uint32 docs;         /* of the part that has most */

	MergedSearch *search;
	List         *trials; /* of Trial, in chronological order */
	TimestampTz   told;   /* time of the last progress message */
};

/* Return true if a progress message is due. Messages are rate-limited. */
extern bool tune_time_to_tell(Tune *tune);

/*
 * Compute the exact answers. Sets least of each query, and wanted, which is 0
 * if the index has no visible row.
 */
extern void tune_exact(Tune *tune);

/*
 * read_exact.c: read the exact answers from a table, with the rights of the
 * current user. Sets least of each query, and wanted. It does not say which part
 * has an answer.
 */
extern void tune_read_exact(Tune *tune, Oid table);

/*
 * The k best scores of each query, of which the worst is on top of a heap, and
 * the parts that have them. Raises 54000 if they do not fit in
 * maintenance_work_mem. Larger is nearer. part may be NULL.
 */
typedef struct BestScores BestScores;
extern BestScores        *tune_best_begin(Tune *tune);
extern void               tune_best_add(BestScores *best, int query, double score, TunePart *part);
extern int                tune_best_count(const BestScores *best, int query);

/*
 * Set least of each query, and count the answers of each part; wanted is the
 * number of answers to each query. Frees the scores.
 */
extern void tune_best_end(BestScores *best);

/*
 * parts.c: open the index with this OID, or all indexes of the partitions below
 * it, each table before its index. Rejects an index that is not valid, or too
 * new for the snapshot, because the planner would not use it.
 */
extern void tune_open_parts(Tune *tune, Oid oid);
extern void tune_close_parts(Tune *tune);

/* merged.c: called before the first search and after the last. */
extern void merged_begin(Tune *tune);
extern void merged_end(Tune *tune);

/* Called for each row that a search returns, with the part whose slot holds it. */
typedef void (*MergedRow)(TunePart *part, const TuneQuery *query, void *arg);

/*
 * Search for a query once with these settings, and take the wanted rows. row:
 * NULL if the rows do not matter. Adds the time of each part to part->ms and
 * returns that of all, in ms. Scores of rows, and row(), are not timed.
 */
extern double merged_search(Tune *tune, const SearchSettings *settings, const TuneQuery *query,
							MergedRow row, void *arg);

/* Return true if a row scores at least as high as the exact k-th. */
extern bool merged_is_hit(TunePart *part, const TuneQuery *query);

/* Measure hits and time of each part with the settings of a trial, by one round of searches. */
extern void tune_parts_alone(Tune *tune, const Trial *trial);

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
