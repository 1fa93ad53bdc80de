/*-------------------------------------------------------------------------
 *
 * exact.c
 *	  The last stage of a search: heap rows in exact order.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <float.h>
#include <math.h>

#include "access/tableam.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "index/versions.h"
#include "miscadmin.h"
#include "multivector/score_memo.h"
#include "search/exact.h"
#include "search/late.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Rows fetched before the first is emitted: enough to know how large errors are. */
#define FIRST_WINDOW 8

/* Documents below the floor that teach how far estimates are off. */
#define FLOOR_WINDOW 32

/*
 * An estimate is taken to be off by its mean error and so many standard
 * deviations; more of them as long as few errors tell how large these are.
 */
#define ERROR_DEVIATIONS    3.0
#define ERRORS_FOR_ONE_MORE 12.0

/* A max-heap of rows by score: what is fetched and not emitted. */
typedef struct RowHeap
{
	ExactRow *rows;
	uint32    count;
	uint32    capacity;
} RowHeap;

struct ExactStage
{
	Search              *search;
	MemoryContext        context;
	MemoryContext        row_context; /* reset for each row: detoasted columns */
	ScoreQuery          *query;
	ScoreMemo           *memo;
	Snapshot             snapshot;
	Relation             heap;
	IndexFetchTableData *fetch;
	TupleTableSlot      *slot;
	IndexInfo           *info;
	EState              *estate; /* only where the index is on an expression */
	const RowFilter     *filter;
	RowHeap              ready;
	uint32               ready_limit; /* then the best is emitted, whatever may come */
	LateRows            *late;        /* NULL: none so far */
	bool                 emitted_any;
	double               last_emitted;
	OrderNeed            need;
	double               bar;         /* held rows that score at least this may be emitted */
	uint32               bar_count;   /* rows in hand when the bar was measured; 0: not yet */
	bool                 holding;     /* rows are fetched until the bar is out of doubt */
	bool                 held;        /* the bar is final */
	bool                 sorted;      /* everything that is left is in late */
	ErrorStats           errors;      /* of estimates, against exact scores */
	Ties                 ties;        /* what copies of a document are known to score */
	bool                 below_floor; /* errors are those of documents below the floor, and after */
};

/* ---- heap of rows ---- */

static inline bool
row_nearer(const ExactRow *a, const ExactRow *b)
{
	return a->score > b->score || (a->score == b->score && a->doc < b->doc);
}

static void
rows_push(MemoryContext context, RowHeap *heap, ExactRow row)
{
	uint32 at = heap->count;

	if (heap->count == heap->capacity)
	{
		uint32 capacity = Max(heap->capacity * 2, 64);
		Size   size = mul_size(capacity, sizeof(ExactRow));

		heap->rows = heap->rows == NULL ? MemoryContextAllocHuge(context, size)
										: repalloc_huge(heap->rows, size);
		heap->capacity = capacity;
	}
	heap->count++;
	while (at > 0 && row_nearer(&row, &heap->rows[(at - 1) / 2]))
	{
		heap->rows[at] = heap->rows[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	heap->rows[at] = row;
}

static ExactRow
rows_pop(RowHeap *heap)
{
	ExactRow top = heap->rows[0];
	ExactRow last = heap->rows[--heap->count];
	uint32   at = 0;

	for (;;)
	{
		uint32 child = 2 * at + 1;

		if (child >= heap->count)
			break;
		if (child + 1 < heap->count && row_nearer(&heap->rows[child + 1], &heap->rows[child]))
			child++;
		if (!row_nearer(&heap->rows[child], &last))
			break;
		heap->rows[at] = heap->rows[child];
		at = child;
	}
	if (heap->count > 0)
		heap->rows[at] = last;
	return top;
}

/* ---- scoring a heap row ---- */

/* Fetch a version of a row into the slot; false where it is not visible. */
static bool
fetch_version(ExactStage *stage, const ItemPointerData *tid)
{
	ItemPointerData chain = *tid; /* moves on to the visible tuple */
	bool            call_again = false;
	bool            found;

	stage->search->counters.fetched++;
	view_check_row(stage->search->view, stage->heap, tid);
	found = table_index_fetch_tuple(stage->fetch, &chain, stage->snapshot, stage->slot, &call_again,
									NULL);
	if (!found)
		view_check_age(stage->search->view, stage->heap, tid);
	return found;
}

/* Fetch the row of a document into the slot, by its visible version; false where none is. */
static bool
fetch_row(ExactStage *stage, RankedDoc *doc)
{
	DocRows rows;

	if (!doc->has_versions)
		return fetch_version(stage, &doc->tid);
	versions_read(stage->search->view, doc->candidate.doc, &rows);
	for (uint32 i = 0; i < rows.count; i++)
	{
		doc->tid = rows.tids[i];
		if (fetch_version(stage, &doc->tid))
			return true;
	}
	return false;
}

/* Does the row in the slot pass the filter? */
static bool
row_passes(ExactStage *stage)
{
	bool passes = stage->filter->passes(stage->filter->arg, stage->slot);

	stage->search->counters.tested++;
	stage->search->counters.passed += passes;
	return passes;
}

static RankedDoc
row_of(uint32 doc, const DocEntry *entry)
{
	return (RankedDoc) {.candidate.doc = doc,
						.tid = entry->tid,
						.has_versions = (entry->flags & DOC_VERSIONS) != 0};
}

/* Of the search: is the row of this document visible, and wanted? */
static bool
admits(void *arg, uint32 doc, const DocEntry *entry)
{
	ExactStage *stage = arg;
	RankedDoc   row = row_of(doc, entry);
	bool        admitted = fetch_row(stage, &row) && row_passes(stage);

	ExecClearTuple(stage->slot);
	return admitted;
}

ExactStage *
exact_begin(Search *search, Relation heap, Snapshot snapshot, const MultiVector *query,
			const RowFilter *filter)
{
	MemoryContext old = MemoryContextSwitchTo(search->context);
	ExactStage   *stage = palloc0(sizeof(ExactStage));

	stage->search = search;
	stage->context = search->context;
	stage->row_context =
		AllocSetContextCreate(search->context, "colbert_pg exact row", ALLOCSET_DEFAULT_SIZES);
	stage->query = score_prepare(query, search->view->metric);
	stage->memo = score_memo_begin(query, stage->query, search->view->metric);
	stage->snapshot = snapshot;
	stage->heap = heap;
	stage->fetch = table_index_fetch_begin(heap);
	stage->slot = table_slot_create(heap, NULL);
	stage->info = BuildIndexInfo(search->view->index->rel);
	if (stage->info->ii_Expressions != NIL)
		stage->estate = CreateExecutorState();
	stage->ready_limit = search->batch_limit;
	stage->ties.blank = search->sketch_fit.ties.blank;
	stage->filter = filter;
	if (filter != NULL)
		search->filter = (SearchFilter) {admits, stage};
	MemoryContextSwitchTo(old);
	return stage;
}

void
exact_set_need(ExactStage *stage, OrderNeed need)
{
	stage->need = need;
	stage->bar = -INFINITY;
}

void
exact_end(ExactStage *stage)
{
	if (stage->late != NULL)
		late_end(stage->late);
	table_index_fetch_end(stage->fetch);
	ExecDropSingleTupleTableSlot(stage->slot);
	if (stage->estate != NULL)
		FreeExecutorState(stage->estate);
}

/* The indexed value of the row in the slot. */
static Datum
indexed_value(ExactStage *stage, bool *isnull)
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

/* Score the row in the slot; false where its document is NULL by now. */
static bool
score_row(ExactStage *stage, double *score)
{
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
	stage->search->counters.scored += !isnull;
	return !isnull;
}

/* Fetch, test and score one row; false where it is not visible, not wanted or NULL. */
static bool
get_row(ExactStage *stage, RankedDoc *doc, ExactRow *row)
{
	bool found = fetch_row(stage, doc);

	if (found && stage->filter != NULL && !doc->tested)
	{
		found = row_passes(stage);
		stage->search->tested++;
		stage->search->passed += found;
	}
	found = found && score_row(stage, &row->score);
	ExecClearTuple(stage->slot);
	if (!found)
		return false;
	if (stage->search->view->metric == METRIC_L2)
		row->score = -row->score;
	row->doc = doc->candidate.doc;
	row->tid = doc->tid;
	return true;
}

static void
add_late(ExactStage *stage, const ExactRow *row)
{
	if (stage->late == NULL)
		stage->late = late_begin(stage->context);
	late_add(stage->late, row);
}

/* A row that beats one already emitted comes last. */
static void
keep_row(ExactStage *stage, ExactRow row)
{
	if (!stage->emitted_any || row.score <= stage->last_emitted)
	{
		rows_push(stage->context, &stage->ready, row);
		return;
	}
	stage->search->counters.late++;
	add_late(stage, &row);
}

/*
 * Fetch a document of an estimate that was peeked at; false where there is no
 * such row to be seen, or it is below the floor.
 */
static bool
take_next(ExactStage *stage, float estimate, ExactRow *row)
{
	RankedDoc  doc;
	instr_time start;
	bool       wanted = false;

	if (!search_next(stage->search, estimate, &doc))
		return false;
	COLBERT_PAUSE("exact-fetch");
	stage_start(stage->search, &start);
	if (get_row(stage, &doc, row))
	{
		/* A document whose sketches are of another epoch, and that has no rows, has no estimate. */
		if (doc.candidate.score < FLT_MAX)
		{
			errors_learn(&stage->errors, row->score - doc.candidate.score);
			ties_follow(&stage->ties, doc.candidate.score);
			ties_learn(&stage->ties, doc.candidate.score, row->score);
		}
		wanted = row->score >= stage->search->floor;
	}
	stage_stop(stage->search, STAGE_EXACT, start);
	return wanted;
}

/* Is no document that is estimated at this, or worse, expected to reach the floor? (floor.c) */
static bool
is_below_floor(ExactStage *stage, float estimate)
{
	if (estimate >= stage->search->floor)
		return false;
	if (!stage->below_floor)
	{
		stage->below_floor = true;
		memset(&stage->errors, 0, sizeof(ErrorStats));
	}
	return stage->errors.count >= FLOOR_WINDOW &&
		   errors_bound(&stage->errors, estimate, FLOOR_DEVIATIONS) < stage->search->floor;
}

/* What a document of this estimate is taken to score at the most. */
static double
expected_at_most(const ExactStage *stage, double estimate)
{
	return errors_bound(&stage->errors, estimate,
						ERROR_DEVIATIONS + ERRORS_FOR_ONE_MORE / Max(stage->errors.count, 1));
}

#define SELECT_NAME         select_scores
#define SELECT_TYPE         double
#define SELECT_NEARER(a, b) ((a) > (b))
#include "base/select_template.h"

/* The nth best score of the rows in hand, n of them at least. */
static double
nth_score(const ExactStage *stage, uint32 n)
{
	const RowHeap *ready = &stage->ready;
	double *scores = MemoryContextAllocHuge(stage->context, mul_size(ready->count, sizeof(double)));
	double  last = INFINITY;

	for (uint32 i = 0; i < ready->count; i++)
		scores[i] = ready->rows[i].score;
	select_scores(scores, ready->count, n);
	for (uint32 i = 0; i < n; i++)
		last = Min(last, scores[i]);
	pfree(scores);
	return last;
}

/* Distances are differences, in which scores that differ by less than this share may be the same. */
#define PEER_SLACK 1e-12

/* The score of the last row that must not be late, of more rows in hand; -INFINITY where it is not in hand yet. */
static double
needed_score(const ExactStage *stage)
{
	double last;
	double peers;
	double after = -INFINITY;

	last = nth_score(stage, (uint32) stage->need.rows);
	if (!stage->need.peers)
		return last;
	peers = last - PEER_SLACK * (fabs(last) + stage->search->query.tokens.count);
	for (uint32 i = 0; i < stage->ready.count; i++)
		if (stage->ready.rows[i].score < peers)
			after = Max(after, stage->ready.rows[i].score);
	return after;
}

/* As rows come in, the score is measured again each time they are this share more: it only rises. */
#define MEASURE_AGAIN 16

/* The score that no document that is not fetched may be expected to beat; -INFINITY where one must be fetched. */
static double
score_in_doubt(ExactStage *stage)
{
	uint32 count = stage->ready.count;

	if (!stage->holding)
		return count > 0 ? stage->ready.rows[0].score : -INFINITY;
	if (count >= stage->need.rows && (stage->bar_count < stage->need.rows ||
									  count > stage->bar_count + stage->bar_count / MEASURE_AGAIN))
	{
		stage->bar = needed_score(stage);
		stage->bar_count = count;
	}
	return stage->bar;
}

/*
 * The score that a document has to beat to be worth looking for: that of the
 * row that is emitted next. Before the first one, that of the last row that a
 * LIMIT is likely to ask for: what is found after rows were emitted that it
 * beats comes late.
 */
static double
score_to_beat(const ExactStage *stage)
{
	const RowHeap *ready = &stage->ready;

	if (stage->holding)
		return stage->bar;
	if (stage->emitted_any)
		return ready->rows[0].score;
	return nth_score(stage, Min(ready->count, SEARCH_LIKELY_LIMIT));
}

/* The best estimate, from this one on, of a document that may beat the row in doubt; false where there is none. */
static bool
may_be_better(ExactStage *stage, float *estimate)
{
	double best = score_in_doubt(stage);
	double score;

	if (stage->ready.count == 0 || stage->errors.count < FIRST_WINDOW)
		return true;
	while (ties_outcome(&stage->ties, *estimate, &score))
	{
		if (score > best)
			return true;
		if (!search_peek_below(stage->search, *estimate, estimate))
			return false;
	}
	return expected_at_most(stage, *estimate) > best;
}

/* Look for documents that beat the rows in hand; false where none is expected. */
static bool
look_for_more(ExactStage *stage)
{
	double   score = score_to_beat(stage);
	ScoreBar bar = {.score = score - stage->errors.mean, .exact = score, .ties = &stage->ties};

	return search_more_above(stage->search, &bar);
}

/*
 * Fetch until the row that is emitted next, or the last one that must not be
 * late, is above what any document not fetched is expected to score: first those that are reranked, then those in the pool.
 */
static void
fetch_enough(ExactStage *stage)
{
	for (;;)
	{
		float    estimate;
		ExactRow row;

		CHECK_FOR_INTERRUPTS();
		if (stage->ready.count >= stage->ready_limit || !search_peek(stage->search, &estimate))
			return;
		if (is_below_floor(stage, estimate))
			search_drop_ranked(stage->search);
		else if (may_be_better(stage, &estimate))
		{
			if (take_next(stage, estimate, &row))
				keep_row(stage, row);
		}
		else if (!look_for_more(stage))
			return;
	}
}

/* ---- rows that must not be late ---- */

/* Fetch the first rows, all before any is emitted; as deep as for one that is emitted at once. */
static void
hold(ExactStage *stage)
{
	float estimate;

	fetch_enough(stage);
	stage->holding = true;
	fetch_enough(stage);
	if (stage->ready.count >= stage->ready_limit)
		stage->bar = INFINITY;
	else if (!search_peek(stage->search, &estimate))
		stage->bar = -INFINITY;
	stage->held = true;
}

/* Add a live document's row to the sort. */
static void
sort_document(IndexView *view, uint32 doc, const DocEntry *entry, void *arg)
{
	ExactStage *stage = arg;
	RankedDoc   ranked = row_of(doc, entry);
	ExactRow    row;

	CHECK_FOR_INTERRUPTS();
	if (entry->state == DOC_LIVE && get_row(stage, &ranked, &row))
		add_late(stage, &row);
}

/* Add what the search has not given yet to the sort. */
static void
sort_found(ExactStage *stage)
{
	float    estimate;
	ExactRow row;

	while (search_peek(stage->search, &estimate))
	{
		CHECK_FOR_INTERRUPTS();
		if (is_below_floor(stage, estimate))
			search_drop_ranked(stage->search);
		else if (take_next(stage, estimate, &row))
		{
			stage->search->counters.late += stage->emitted_any && row.score > stage->last_emitted;
			add_late(stage, &row);
		}
	}
}

/*
 * Sort everything that is left. Before anything was searched for, every
 * document is scored exactly, as a sequential scan would.
 */
static void
sort_rest(ExactStage *stage)
{
	instr_time start;

	if (!stage->held && stage->search->floor == -INFINITY)
	{
		stage_start(stage->search, &start);
		docstore_walk(stage->search->view, sort_document, stage);
		stage_stop(stage->search, STAGE_EXACT, start);
		stage->search->counters.exhaustive = true;
	}
	else
	{
		while (stage->ready.count > 0)
		{
			ExactRow row = rows_pop(&stage->ready);

			add_late(stage, &row);
		}
		sort_found(stage);
	}
	stage->sorted = true;
}

/* Have the next row ready, in ready or in late. */
static void
prepare_next(ExactStage *stage)
{
	const RowHeap *ready = &stage->ready;

	if (stage->sorted)
		return;
	if (stage->need.rows == 0)
		fetch_enough(stage);
	else if (stage->need.rows >= stage->ready_limit)
		sort_rest(stage);
	else
	{
		if (!stage->held)
			hold(stage);
		if (stage->bar > -INFINITY && (ready->count == 0 || ready->rows[0].score < stage->bar))
			sort_rest(stage);
	}
}

bool
exact_next(ExactStage *stage, ItemPointer tid)
{
	ExactRow row;

	prepare_next(stage);

	if (stage->ready.count > 0)
	{
		row = rows_pop(&stage->ready);
		stage->emitted_any = true;
		stage->last_emitted = row.score;
	}
	else if (stage->late == NULL || !late_next(stage->late, &row))
		return false;
	stage->search->counters.emitted++;
	*tid = row.tid;
	return true;
}

/* Let a document that has several versions name the visible one; false where none is. */
static bool
find_version(ExactStage *stage, RankedDoc *doc)
{
	bool found = fetch_row(stage, doc);

	ExecClearTuple(stage->slot);
	return found;
}

bool
exact_next_above(ExactStage *stage, ItemPointer tid)
{
	float estimate;

	while (search_peek(stage->search, &estimate))
	{
		CHECK_FOR_INTERRUPTS();
		if (estimate >= stage->search->floor)
		{
			RankedDoc doc;

			search_next(stage->search, estimate, &doc);
			if (doc.has_versions && !find_version(stage, &doc))
				continue;
			*tid = doc.tid;
			stage->search->counters.emitted++;
			return true;
		}
		if (is_below_floor(stage, estimate))
			search_drop_ranked(stage->search);
		else
		{
			ExactRow row;

			if (!take_next(stage, estimate, &row))
				continue;
			*tid = row.tid;
			stage->search->counters.emitted++;
			return true;
		}
	}
	return false;
}
