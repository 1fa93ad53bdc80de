/*-------------------------------------------------------------------------
 *
 * fetch.c
 *	  Fetch heap rows and score them by the stored column.
 *
 * Rows are read under the search's snapshot. No page is locked when the filter
 * runs or a document is detoasted.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <float.h>
#include <math.h>

#include "access/tableam.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "index/docstore.h"
#include "index/versions.h"
#include "miscadmin.h"
#include "multivector/score_memo.h"
#include "search/funnel.h"
#include "search/rows_ahead.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

struct FetchStage
{
	MemoryContext        row_context; /* reset per row: detoasted columns */
	ScoreQuery          *query;
	ScoreMemo           *memo;
	Snapshot             snapshot;
	Relation             table;
	IndexFetchTableData *fetch;
	TupleTableSlot      *slot;
	IndexInfo           *info;
	EState              *estate; /* NULL unless the index is on an expression */
	const RowFilter     *filter; /* NULL: none */
	RowsAhead           *ahead;
};

void
fetch_begin(Search *search, const SearchRequest *request)
{
	FetchStage *stage = palloc0(sizeof(FetchStage));

	stage->row_context =
		AllocSetContextCreate(search->context, "colbert_pg exact row", ALLOCSET_DEFAULT_SIZES);
	stage->query = score_prepare(request->query, search->view->metric);
	stage->memo = score_memo_begin(request->query, stage->query, search->view->metric);
	stage->snapshot = request->snapshot;
	stage->table = request->table;
	stage->fetch = compat_table_fetch_begin(request->table);
	stage->slot = table_slot_create(request->table, NULL);
	stage->info = BuildIndexInfo(search->view->index->rel);
	if (stage->info->ii_Expressions != NIL)
		stage->estate = CreateExecutorState();
	stage->filter = request->filter;
	search->state.learned.estimate = NAN;
	stage->ahead =
		rows_ahead_begin(request->table, request->snapshot, stage->info->ii_IndexAttrNumbers[0],
						 search->view->index->ring != NULL);
	search->fetch = stage;
}

void
fetch_end(Search *search)
{
	FetchStage *stage = search->fetch;

	if (search->late != NULL)
		late_end(search->late);
	rows_ahead_end(stage->ahead);
	table_index_fetch_end(stage->fetch);
	ExecDropSingleTupleTableSlot(stage->slot);
	if (stage->estate != NULL)
		FreeExecutorState(stage->estate);
}

/* ---- rows of the table ---- */

/* Fetch a version of a row into the slot. Returns false if it is not visible. */
static bool
fetch_version(Search *search, const ItemPointerData *tid)
{
	FetchStage     *stage = search->fetch;
	ItemPointerData chain = *tid; /* advances to the visible tuple */
	bool            call_again = false;
	bool            found;

	search->counters.fetched++;
	view_check_row(search->view, stage->table, tid);
	found = table_index_fetch_tuple(stage->fetch, &chain, stage->snapshot, stage->slot, &call_again,
									NULL);
	if (!found)
		view_check_age(search->view, stage->table, tid);
	return found;
}

/*
 * Fetch the visible version of a document's row into the slot and set doc->tid
 * to it. Returns false if no version is visible.
 */
static bool
fetch_row(Search *search, RankedDoc *doc)
{
	DocRows rows;

	if (!doc->has_versions)
		return fetch_version(search, &doc->tid);
	versions_read(search->view, doc->candidate.doc, &rows);
	for (uint32 i = 0; i < rows.count; i++)
	{
		doc->tid = rows.tids[i];
		if (fetch_version(search, &doc->tid))
			return true;
	}
	return false;
}

/* Return true if the row in the slot passes the filter, and count the test. */
static bool
row_passes(Search *search)
{
	const RowFilter *filter = search->fetch->filter;
	bool             passes = filter->passes(filter->arg, search->fetch->slot);

	search->counters.tested++;
	search->counters.passed += passes;
	search->state.tested++;
	search->state.passed += passes;
	return passes;
}

static RankedDoc
row_of(uint32 doc, const DocEntry *entry)
{
	return (RankedDoc) {.candidate.doc = doc,
						.tid = entry->tid,
						.has_versions = (entry->flags & DOC_VERSIONS) != 0};
}

bool
fetch_admits(Search *search, uint32 doc, const DocEntry *entry)
{
	RankedDoc row = row_of(doc, entry);
	bool      admitted = fetch_row(search, &row);

	/* A row that is not visible counts as one that does not pass. */
	if (admitted)
		admitted = row_passes(search);
	else
		search->state.tested++;
	ExecClearTuple(search->fetch->slot);
	return admitted;
}

/* Return the indexed value of the row in the slot. */
static Datum
indexed_value(FetchStage *stage, bool *isnull)
{
	AttrNumber attno = stage->info->ii_IndexAttrNumbers[0];
	Datum      values[INDEX_MAX_KEYS];
	bool       nulls[INDEX_MAX_KEYS];

	if (attno != 0)
		return slot_getattr(stage->slot, attno, isnull);
	GetPerTupleExprContext(stage->estate)->ecxt_scantuple = stage->slot;
	FormIndexDatum(stage->info, stage->slot, stage->estate, values, nulls);
	*isnull = nulls[0];
	return values[0];
}

/* Score the row in the slot. Returns false if its document is NULL by now. */
static bool
score_row(Search *search, double *score)
{
	FetchStage   *stage = search->fetch;
	MemoryContext old = MemoryContextSwitchTo(stage->row_context);
	bool          isnull;
	Datum         value = indexed_value(stage, &isnull);

	if (!isnull)
	{
		*score = score_document(stage->query, multivector_from_datum(value));
		score_memo_put(stage->memo, value, *score);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(stage->row_context);
	if (stage->estate != NULL)
		ResetPerTupleExprContext(stage->estate);
	search->counters.scored += !isnull;
	return !isnull;
}

/*
 * Fetch, test and score one row. Returns false if it is not visible, does not
 * pass the filter, or is NULL.
 */
static bool
get_row(Search *search, RankedDoc *doc, ExactRow *row)
{
	FetchStage *stage = search->fetch;
	bool        found = fetch_row(search, doc);

	if (found && stage->filter != NULL && !doc->tested)
		found = row_passes(search);
	found = found && score_row(search, &row->score);
	ExecClearTuple(stage->slot);
	if (!found)
		return false;
	if (search->view->metric == METRIC_L2)
		row->score = -row->score;
	row->doc = doc->candidate.doc;
	row->tid = doc->tid;
	return true;
}

/* ---- to the late rows or the ready rows ---- */

static void
add_late(Search *search, const ExactRow *row)
{
	if (search->late == NULL)
		search->late = late_begin(search->context);
	late_add(search->late, row);
}

/* Add a row to the ready rows. If it beats a row already returned, it is late and comes last. */
static void
add_row(Search *search, const ExactRow *row)
{
	bool is_late =
		search->policy.ordered && search->state.returned > 0 && row->score > search->last_given;

	if (search->siblings != NULL)
		siblings_add_row(search->siblings, row->score);
	search->counters.late += is_late;
	if (is_late || search->state.phase == PHASE_SORT)
		add_late(search, row);
	else
		ready_push(search->context, &search->ready, *row);
}

/* Request the pages of the best ranked documents if they may be on disk. */
static void
request_rows(Search *search)
{
	const RankedList *ranked = &search->ranked;
	ItemPointerData   tids[ROWS_AHEAD_MAX];
	uint32            n = rows_ahead_wanted(search->fetch->ahead, ranked->count);

	for (uint32 i = 0; i < n; i++)
		tids[i] = ranked->items[ranked->count - 1 - i].tid;
	if (n > 0)
		rows_ahead_request(search->fetch->ahead, tids, n);
}

/* Number of copies whose errors do not count: eight documents are known to have copies by then. */
#define MAX_COPIES 64

/*
 * Learn the error of an estimate. That of copies is learned once: counted for
 * each of them, it would hide how much the estimates of other documents are off.
 * Documents without keys have equal estimates, too, but ties.h never takes them
 * for copies: a search that waits for other errors would fetch all of them. Below
 * a threshold, policy.c bounds that without codes.
 */
static void
learn_error(Search *search, double estimate, double score)
{
	FunnelState *state = &search->state;
	bool         no_codes = !search->policy.has_codes;

	if (estimate == state->learned.estimate && score == state->learned.score &&
		(state->copies < MAX_COPIES || (no_codes && state->ranked_below)))
	{
		state->copies++;
		return;
	}
	errors_learn(&state->score_errors, score - estimate);
	if (no_codes)
		fit_learn(&state->score_fit, estimate, score);
	state->learned = (LearnedScore) {.estimate = estimate, .score = score};
}

void
fetch_document(Search *search, float estimate)
{
	FunnelState *state = &search->state;
	RankedDoc    doc;
	ExactRow     row;
	instr_time   start;
	bool         found;

	COLBERT_PAUSE("exact-fetch");
	stage_start(search, &start);
	request_rows(search);
	doc = funnel_take(search, estimate);
	found = get_row(search, &doc, &row);
	state->gone += !found && search->fetch->filter == NULL;
	/* A document without rows whose sketches are of another epoch has no estimate to learn from. */
	if (found && doc.candidate.score < FLT_MAX)
	{
		learn_error(search, doc.candidate.score, row.score);
		if (!search->policy.has_codes)
			state->sketch_fit.prior = errors_deviation(&state->score_errors);
		ties_follow(&state->score_ties, doc.candidate.score);
		ties_learn(&state->score_ties, doc.candidate.score, row.score);
	}
	stage_stop(search, STAGE_EXACT, start);
	if (found && row.score >= search->policy.threshold)
		add_row(search, &row);
}

bool
fetch_tid(Search *search, float estimate, ItemPointer tid)
{
	RankedDoc doc = funnel_take(search, estimate);
	bool      found = true;

	if (doc.has_versions && search->fetch != NULL)
	{
		found = fetch_row(search, &doc);
		ExecClearTuple(search->fetch->slot);
	}
	*tid = doc.tid;
	return found;
}

static void
sort_document(IndexView *view, uint32 doc, const DocEntry *entry, void *arg)
{
	Search   *search = arg;
	RankedDoc ranked = row_of(doc, entry);
	ExactRow  row;

	CHECK_FOR_INTERRUPTS();
	if (entry->state == DOC_LIVE && get_row(search, &ranked, &row))
		add_late(search, &row);
}

void
fetch_table(Search *search)
{
	instr_time start;

	stage_start(search, &start);
	docstore_walk(search->view, sort_document, search);
	stage_stop(search, STAGE_EXACT, start);
	search->counters.exhaustive = true;
}

void
fetch_sort_ready(Search *search)
{
	while (search->ready.count > 0)
	{
		ExactRow row = ready_pop(&search->ready);

		add_late(search, &row);
	}
}
