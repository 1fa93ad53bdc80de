/*-------------------------------------------------------------------------
 *
 * trial.c
 *	  Recall and time of index scans with given settings.
 *
 * In the first round, every query is searched for once and the rows found are
 * compared with the exact answers. If the recall is worth it, further rounds
 * measure time. Only the scans are timed: starting them, and fetching k rows in
 * exact order. The fastest time of each query counts, because other load on
 * the machine makes searches slower, never faster.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <float.h>

#include "tune/tune.h"

/* Number of searches per query each time that trials are timed. */
#define ROUNDS 2

/* A trial that takes longer than this multiple of its rival's time is given up. */
#define TOO_SLOW 2.0

/* Tolerance for a recall that float8 cannot represent exactly. */
#define SHARE_TOLERANCE 1e-9

static int
compare_doubles(const void *a, const void *b)
{
	double x = *(const double *) a;
	double y = *(const double *) b;

	return x < y ? -1 : x > y;
}

/* Search for a query once and record the time. */
static void
search_once(Tune *tune, Trial *trial, int query, MergedRow row, void *arg)
{
	double ms = merged_search(tune, &trial->asked, &tune->queries[query], row, arg);

	trial->total_ms += ms;
	trial->fastest[query] = Min(trial->fastest[query], ms);
}

static void
count_hit(TunePart *part, const TuneQuery *query, void *hits)
{
	*(int *) hits += merged_is_hit(part, query);
}

/* Set recall and complete, unless the trial is given up. */
static void
measure_recall(Tune *tune, Trial *trial, const Trial *rival)
{
	int64 all = (int64) tune->nqueries * tune->wanted;
	int64 hits = 0;
	int64 misses = 0;

	for (int i = 0; i < tune->nqueries; i++)
	{
		int these = 0;

		search_once(tune, trial, i, count_hit, &these);
		hits += these;
		misses += tune->wanted - these;
		if (rival != NULL && (misses > (1 - tune->target + SHARE_TOLERANCE) * all ||
							  trial->total_ms > rival->total_ms * TOO_SLOW))
			return;
	}
	trial->recall = (double) hits / all;
	trial->complete = true;
}

static double
median(const double *values, int n)
{
	double *sorted = palloc(mul_size(n, sizeof(double)));
	double  result;

	memcpy(sorted, values, n * sizeof(double));
	qsort(sorted, n, sizeof(double), compare_doubles);
	result = n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
	pfree(sorted);
	return result;
}

void
tune_time(Tune *tune, List *trials)
{
	ListCell *cell;

	for (int search = 0; search < ROUNDS * tune->nqueries; search++)
		foreach (cell, trials)
		{
			Trial *trial = lfirst(cell);
			double total_ms = trial->total_ms;

			search_once(tune, trial, search % tune->nqueries, NULL, NULL);
			trial->total_ms = total_ms;
		}
	foreach (cell, trials)
	{
		Trial *trial = lfirst(cell);

		trial->ms = median(trial->fastest, tune->nqueries);
	}
}

static void
count_part(TunePart *part, const TuneQuery *query, void *arg)
{
	part->hits += merged_is_hit(part, query);
}

void
tune_parts_alone(Tune *tune, const Trial *trial)
{
	for (int i = 0; i < tune->nparts; i++)
	{
		tune->parts[i].hits = 0;
		tune->parts[i].ms = 0;
	}
	for (int i = 0; i < tune->nqueries; i++)
		(void) merged_search(tune, &trial->asked, &tune->queries[i], count_part, NULL);
	for (int i = 0; i < tune->nparts; i++)
		tune->parts[i].ms /= tune->nqueries;
}

bool
tune_reaches(const Tune *tune, const Trial *trial)
{
	return trial->complete && trial->recall >= tune->target - SHARE_TOLERANCE;
}

static bool
same_settings(const SearchSettings *a, const SearchSettings *b)
{
	return a->probes == b->probes && a->ef_search == b->ef_search &&
		   a->candidates == b->candidates && a->rerank == b->rerank && a->recall == b->recall;
}

static Trial *
find_trial(Tune *tune, const SearchSettings *asked)
{
	ListCell *cell;

	foreach (cell, tune->trials)
	{
		Trial *trial = lfirst(cell);

		if (same_settings(&trial->asked, asked))
			return trial;
	}
	return NULL;
}

static Trial *
begin_trial(Tune *tune, const SearchSettings *asked)
{
	Trial *trial = palloc0(sizeof(Trial));

	trial->asked = *asked;
	trial->fastest = palloc(mul_size(tune->nqueries, sizeof(double)));
	for (int i = 0; i < tune->nqueries; i++)
		trial->fastest[i] = DBL_MAX;
	trial->number = list_length(tune->trials);
	tune->trials = lappend(tune->trials, trial);
	return trial;
}

Trial *
tune_try(Tune *tune, const SearchSettings *asked, Trial *rival)
{
	Trial *trial = find_trial(tune, asked);

	if (trial != NULL && (trial->complete || rival != NULL))
		return trial;
	if (trial == NULL)
		trial = begin_trial(tune, asked);
	trial->total_ms = 0;

	measure_recall(tune, trial, rival);
	if (trial->complete)
		tune_time(tune, rival != NULL ? list_make2(rival, trial) : list_make1(trial));

	ereport(DEBUG1,
			(errmsg_internal("target %g, probes %u, ef_search %u, candidates %u, rerank %u: %s, "
							 "recall %.4f, %.3f ms",
							 asked->recall, asked->probes, asked->ef_search, asked->candidates,
							 asked->rerank, trial->complete ? "measured" : "given up",
							 trial->recall, trial->ms)));
	if (tune_time_to_tell(tune))
		ereport(NOTICE, (errmsg("settings tried: %d", list_length(tune->trials))));
	return trial;
}
