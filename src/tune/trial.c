/*-------------------------------------------------------------------------
 *
 * trial.c
 *	  Recall and time of index scans with given settings.
 *
 * In the first round, every query is searched for once and the rows found are
 * compared with the exact answers. If the recall is worth it, further rounds
 * measure time. Only the scan is timed: starting it, and fetching k rows in
 * exact order. The fastest time of each query counts, because other load on
 * the machine makes searches slower, never faster.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <float.h>

#include "access/tableam.h"
#include "base/clock.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "tune/tune.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* Number of searches per query each time that trials are timed. */
#define ROUNDS 2

/* A trial that takes longer than this multiple of its rival's time is given up. */
#define TOO_SLOW 2.0

/* Tolerance for a recall that float8 cannot represent exactly. */
#define SHARE_TOLERANCE 1e-9

struct TrialSearch
{
	ScanNeeds        needs; /* any row may be late */
	IndexScanDesc    scan;
	ScanKeyData      key;
	ItemPointerData *tids;    /* of the rows found */
	MemoryContext    context; /* reset for each query */
};

static int
compare_doubles(const void *a, const void *b)
{
	double x = *(const double *) a;
	double y = *(const double *) b;

	return x < y ? -1 : x > y;
}

/* Return the number of rows that a trial takes, like a client with a LIMIT. */
static uint64
wanted_rows(void *arg)
{
	return ((const Tune *) arg)->wanted;
}

void
tune_begin_trials(Tune *tune)
{
	Relation index = tune->index;
	Oid      type = index->rd_opcintype[0];
	Oid      operator= get_opfamily_member(index->rd_opfamily[0], type, type, STRATEGY_NULLS_LAST);
	TrialSearch *search = palloc0(sizeof(TrialSearch));

	tune->info = BuildIndexInfo(index);
	tune->estate = CreateExecutorState();
	tune->slot = table_slot_create(tune->heap, NULL);
	/* ORDER BY the indexed expression's distance to a query, NULLs last. */
	ScanKeyEntryInitialize(&search->key, SK_ORDER_BY, 1, STRATEGY_NULLS_LAST, type, InvalidOid,
						   get_opcode(operator), (Datum) 0);
	search->tids = palloc(mul_size(tune->wanted, sizeof(ItemPointerData)));
	search->context = AllocSetContextCreate(CurrentMemoryContext, "colbert_pg tune query",
											ALLOCSET_DEFAULT_SIZES);
	search->scan = compat_index_beginscan_ordered(tune->heap, index, tune->snapshot, 1);
	search->needs = (ScanNeeds) {.rows = wanted_rows, .arg = tune};
	colbert_set_needs(search->scan, &search->needs);
	tune->search = search;
}

void
tune_end_trials(Tune *tune)
{
	index_endscan(tune->search->scan);
	MemoryContextDelete(tune->search->context);
	ExecDropSingleTupleTableSlot(tune->slot);
	FreeExecutorState(tune->estate);
}

/* Search for a query once and record the time. Return the number of rows found. */
static int
search_once(Tune *tune, Trial *trial, int query)
{
	TrialSearch  *search = tune->search;
	MemoryContext old = MemoryContextSwitchTo(search->context);
	instr_time    start;
	int           found = 0;
	double        ms;

	CHECK_FOR_INTERRUPTS();
	colbert_set_settings(search->scan, &trial->asked);
	search->key.sk_argument = PointerGetDatum(tune->queries[query].vector);
	INSTR_TIME_SET_CURRENT(start);
	index_rescan(search->scan, NULL, 0, &search->key, 1);
	while (found < tune->wanted &&
		   index_getnext_slot(search->scan, ForwardScanDirection, tune->slot))
		search->tids[found++] = tune->slot->tts_tid;
	ms = milliseconds_since(start);
	ExecClearTuple(tune->slot);
	MemoryContextSwitchTo(old);
	MemoryContextReset(search->context);

	trial->total_ms += ms;
	trial->fastest[query] = Min(trial->fastest[query], ms);
	return found;
}

/* Return true if a row scores at least as high as the exact k-th. Larger is nearer. */
static bool
is_hit(Tune *tune, const TuneQuery *query, ItemPointer tid)
{
	Datum  values[INDEX_MAX_KEYS];
	bool   nulls[INDEX_MAX_KEYS];
	double score;

	if (!table_tuple_fetch_row_version(tune->heap, tid, tune->snapshot, tune->slot))
		return false;
	FormIndexDatum(tune->info, tune->slot, tune->estate, values, nulls);
	if (nulls[0])
		return false;
	score = score_document(query->score, multivector_from_datum(values[0]));
	return (tune->metric == METRIC_L2 ? -score : score) >= query->least;
}

/* Return the number of hits among the rows just found. */
static int
count_hits(Tune *tune, const TuneQuery *query, int found)
{
	ExprContext *econtext = GetPerTupleExprContext(tune->estate);
	int          hits = 0;

	econtext->ecxt_scantuple = tune->slot;
	for (int i = 0; i < found; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);

		hits += is_hit(tune, query, &tune->search->tids[i]);
		MemoryContextSwitchTo(old);
		ExecClearTuple(tune->slot);
		ResetExprContext(econtext);
	}
	return hits;
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
		int these = count_hits(tune, &tune->queries[i], search_once(tune, trial, i));

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

			(void) search_once(tune, trial, search % tune->nqueries);
			trial->total_ms = total_ms;
		}
	foreach (cell, trials)
	{
		Trial *trial = lfirst(cell);

		trial->ms = median(trial->fastest, tune->nqueries);
	}
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
