/*-------------------------------------------------------------------------
 *
 * merged.c
 *	  One search of all parts of an index.
 *
 * The scans run as below MergeAppend: each returns its first row, then the part
 * of the best row returns the next one. A row's score is computed from the
 * table, as the executor does; a late row takes its place when it comes.
 *
 * One part needs no scores.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/tableam.h"
#include "base/clock.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "lib/binaryheap.h"
#include "miscadmin.h"
#include "search/siblings.h"
#include "tune/tune.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

struct MergedSearch
{
	ScanKeyData   key;
	Siblings     *siblings;  /* NULL if there is one part */
	double        documents; /* of all parts */
	binaryheap   *rows;      /* parts that have a row, the best on top */
	MemoryContext context;   /* reset for each query */
};

/* ---- what scans are told ---- */

/* Return the number of rows that a trial takes, like a client with a LIMIT. */
static uint64
wanted_rows(void *arg)
{
	return ((const TunePart *) arg)->tune->wanted;
}

/* Join the other parts. The first one begins a round. */
static Siblings *
join_siblings(void *arg, double *share)
{
	const TunePart     *part = arg;
	const MergedSearch *search = part->tune->search;

	if (part == part->tune->parts)
		siblings_begin_round(search->siblings);
	*share = search->documents > 0 ? part->documents / search->documents : 1;
	return search->siblings;
}

static int
best_first(Datum a, Datum b, void *arg)
{
	double x = ((const TunePart *) DatumGetPointer(a))->score;
	double y = ((const TunePart *) DatumGetPointer(b))->score;

	return x < y ? -1 : x > y;
}

static void
begin_part(Tune *tune, TunePart *part)
{
	part->info = BuildIndexInfo(part->index);
	part->estate = CreateExecutorState();
	part->slot = table_slot_create(part->heap, NULL);
	part->scan = compat_index_beginscan_ordered(part->heap, part->index, tune->snapshot, 1);
	part->needs = (ScanNeeds) {
		.rows = wanted_rows, .siblings = tune->nparts > 1 ? join_siblings : NULL, .arg = part};
	colbert_set_needs(part->scan, &part->needs);
}

void
merged_begin(Tune *tune)
{
	Relation index = tune->parts[0].index;
	Oid      type = index->rd_opcintype[0];
	Oid      operator= get_opfamily_member(index->rd_opfamily[0], type, type, STRATEGY_NULLS_LAST);
	MergedSearch *search = palloc0(sizeof(MergedSearch));

	/* ORDER BY the indexed expression's distance to a query, NULLs last. */
	ScanKeyEntryInitialize(&search->key, SK_ORDER_BY, 1, STRATEGY_NULLS_LAST, type, InvalidOid,
						   get_opcode(operator), (Datum) 0);
	search->context = AllocSetContextCreate(CurrentMemoryContext, "colbert_pg tune query",
											ALLOCSET_DEFAULT_SIZES);
	search->rows = binaryheap_allocate(tune->nparts, best_first, NULL);
	if (tune->nparts > 1)
		search->siblings = siblings_create();
	for (int i = 0; i < tune->nparts; i++)
	{
		search->documents += tune->parts[i].documents;
		begin_part(tune, &tune->parts[i]);
	}
	tune->search = search;
}

void
merged_end(Tune *tune)
{
	for (int i = 0; i < tune->nparts; i++)
	{
		TunePart *part = &tune->parts[i];

		index_endscan(part->scan);
		ExecDropSingleTupleTableSlot(part->slot);
		FreeExecutorState(part->estate);
	}
	MemoryContextDelete(tune->search->context);
}

/* ---- scores ---- */

/* Return the score of the row in a part's slot; -INFINITY: its document is NULL. */
static double
score_row(TunePart *part, const TuneQuery *query)
{
	ExprContext  *econtext = GetPerTupleExprContext(part->estate);
	MemoryContext old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	Datum         values[INDEX_MAX_KEYS];
	bool          nulls[INDEX_MAX_KEYS];
	double        score = -INFINITY;

	econtext->ecxt_scantuple = part->slot;
	FormIndexDatum(part->info, part->slot, part->estate, values, nulls);
	if (!nulls[0])
	{
		score = score_document(query->score, multivector_from_datum(values[0]));
		if (part->tune->metric == METRIC_L2)
			score = -score;
	}
	MemoryContextSwitchTo(old);
	ResetExprContext(econtext);
	return score;
}

bool
merged_is_hit(TunePart *part, const TuneQuery *query)
{
	return (part->tune->nparts > 1 ? part->score : score_row(part, query)) >= query->least;
}

/* ---- a search ---- */

/* Begin the scan of a part. Returns the time in ms. */
static double
begin_scan(TunePart *part, const SearchSettings *settings)
{
	instr_time start;

	CHECK_FOR_INTERRUPTS();
	colbert_set_settings(part->scan, settings);
	INSTR_TIME_SET_CURRENT(start);
	index_rescan(part->scan, NULL, 0, &part->tune->search->key, 1);
	return milliseconds_since(start);
}

/* Fetch the next row of a part and add the time to *ms. Returns false at the end. */
static bool
next_row(TunePart *part, const TuneQuery *query, double *ms)
{
	instr_time start;
	bool       found;
	double     taken;

	INSTR_TIME_SET_CURRENT(start);
	found = index_getnext_slot(part->scan, ForwardScanDirection, part->slot);
	taken = milliseconds_since(start);
	part->ms += taken;
	*ms += taken;
	if (found && part->tune->nparts > 1)
		part->score = score_row(part, query);
	return found;
}

/* Take the wanted rows of the only part. */
static void
take_rows(TunePart *part, const TuneQuery *query, MergedRow row, void *arg, double *ms)
{
	for (int n = 0; n < part->tune->wanted && next_row(part, query, ms); n++)
		if (row != NULL)
			row(part, query, arg);
}

/* Take the wanted rows of several parts. */
static void
merge_rows(Tune *tune, const TuneQuery *query, MergedRow row, void *arg, double *ms)
{
	binaryheap *rows = tune->search->rows;

	binaryheap_reset(rows);
	for (int i = 0; i < tune->nparts; i++)
		if (next_row(&tune->parts[i], query, ms))
			binaryheap_add_unordered(rows, PointerGetDatum(&tune->parts[i]));
	binaryheap_build(rows);
	for (int n = 0; n < tune->wanted && !binaryheap_empty(rows); n++)
	{
		TunePart *best = (TunePart *) DatumGetPointer(binaryheap_first(rows));

		if (row != NULL)
			row(best, query, arg);
		if (n + 1 == tune->wanted)
			break;
		if (next_row(best, query, ms))
			binaryheap_replace_first(rows, PointerGetDatum(best));
		else
			(void) binaryheap_remove_first(rows);
	}
}

double
merged_search(Tune *tune, const SearchSettings *settings, const TuneQuery *query, MergedRow row,
			  void *arg)
{
	MergedSearch *search = tune->search;
	MemoryContext old = MemoryContextSwitchTo(search->context);
	double        ms = 0;

	search->key.sk_argument = PointerGetDatum(query->vector);
	for (int i = 0; i < tune->nparts; i++)
		ms += begin_scan(&tune->parts[i], settings);
	if (tune->nparts == 1)
		take_rows(&tune->parts[0], query, row, arg, &ms);
	else
		merge_rows(tune, query, row, arg, &ms);
	for (int i = 0; i < tune->nparts; i++)
		ExecClearTuple(tune->parts[i].slot);
	MemoryContextSwitchTo(old);
	MemoryContextReset(search->context);
	return ms;
}
