/*-------------------------------------------------------------------------
 *
 * narrow.c
 *	  Score documents by their sketches.
 *
 * Documents are processed in the order of their ordinals, so that each page of
 * the directory is read once and sketches are read in file order.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <float.h>
#include <math.h>

#include "base/array.h"
#include "index/docstore.h"
#include "miscadmin.h"
#include "search/funnel.h"
#include "search/runs.h"

/* Number of runs collected before they are scored. */
#define WALK_BATCH 4096

/* Number of candidates to prefetch directory pages ahead. */
#define LOOK_UP_AHEAD 8

/* Number of blocks scored at a time. The kernels process two together. */
#define PART_BLOCKS 2

static inline bool
is_live(const DocEntry *entry)
{
	return entry->state == DOC_LIVE && entry->ntokens > 0 && entry->ntokens <= entry->capacity;
}

/* Score a run of sketch blocks. The last run of a document sets its estimate. */
static void
score_blocks(Search *search, const Run *run, const uint8 *blocks, void *arg)
{
	SearchQuery *query = &search->query;
	Candidate   *candidates = arg;

	if (run->first)
		for (uint32 i = 0; i < query->directions.count * SKETCH_BLOCK_TOKENS; i++)
			query->state[i] = -INFINITY;
	kernels->sketch_blocks(query->sketch, blocks, run->count, query->state);
	if (!run->last)
		return;
	kernels->sketch_finish(query->sketch, query->state, query->keys);
	for (uint32 i = 0; run->zero && i < query->directions.count; i++)
		query->keys[i] = Max(query->keys[i], 0);
	candidates[run->which].score = query_score(search->view, query, &query->directions);
}

/*
 * Add the runs of a live document's sketches. If they are of another epoch, the
 * document keeps the score FLT_MAX, so that it is reranked first.
 */
static void
add_sketches(Search *search, RunList *runs, const DocEntry *entry, Candidate *candidates,
			 uint32 which)
{
	candidates[which].score = FLT_MAX;
	if (entry->epoch == search->view->index->meta.nodes.epoch)
		runs_add(search, runs, which, entry);
}

/* State of narrowing a list of candidates. */
typedef struct Narrowing
{
	Search    *search;
	Candidate *items;
	uint32     kept;   /* items 0 .. kept - 1 are live */
	float     *before; /* previous estimates of these items */
	RunList    runs;
} Narrowing;

/* Keep the live candidates among items from .. to - 1, which share one directory page. */
static void
look_up(Narrowing *narrowing, uint32 from, uint32 to)
{
	IndexView *view = narrowing->search->view;
	Candidate *items = narrowing->items;
	uint32     first = items[from].doc;
	char      *data;
	Buffer     buffer = parray_read(view->index, ARRAY_DOCS, first, &data);
	uint32     nlive = 0;
	DocEntry   entries[PAGE_PAYLOAD / sizeof(DocEntry)];

	/* Copy the entries, because adding runs allocates and must not happen under the page lock. */
	for (uint32 i = from; data != NULL && i < to; i++)
	{
		const DocEntry *entry = (const DocEntry *) data + (items[i].doc - first);

		if (is_live(entry))
		{
			entries[nlive] = *entry;
			items[narrowing->kept + nlive++] = items[i];
		}
	}
	UnlockReleaseBuffer(buffer);
	for (uint32 i = 0; i < nlive; i++)
	{
		uint32 which = narrowing->kept++;

		narrowing->before[which] = items[which].score;
		add_sketches(narrowing->search, &narrowing->runs, &entries[i], items, which);
	}
}

/* No further pairs are kept if there are at least this many. */
#define ENOUGH_PAIRS 8192

/*
 * Keep the pairs of an estimate and a sketch score. Copies count once, and the
 * first document of all does not count (rerank.c find_leader).
 */
static void
keep_pairs(Search *search, const Narrowing *narrowing, PairList *pairs)
{
	uint32 n = Min(narrowing->kept, ENOUGH_PAIRS - Min(pairs->count, ENOUGH_PAIRS));
	uint32 leader = 0;

	for (uint32 i = 1; i < n; i++)
		if (narrowing->before[i] > narrowing->before[leader])
			leader = i;
	if (pairs->count > 0)
		leader = n;
	pairs->items = array_reserve(pairs->items, &pairs->capacity, (Size) pairs->count + n,
								 sizeof(EstimatePair), search->context);
	for (uint32 i = 0; i < n; i++)
	{
		const Candidate *item = &narrowing->items[i];
		EstimatePair     pair = {item->doc, narrowing->before[i], item->score};

		if (i == leader || !(fabsf(item->score) < FLT_MAX) ||
			!floats_add(search, &pairs->outcomes, item->score))
			continue;
		pairs->items[pairs->count++] = pair;
		moments_add(&pairs->moments, &pair);
	}
}

/* Candidates in the order of ordinals, for readahead.h. */
typedef struct EntryPages
{
	const ColbertIndex *index;
	const Candidate    *items;
} EntryPages;

/* Return the block of a candidate's directory entry. */
static BlockNumber
entry_block(const void *arg, uint32 i)
{
	const EntryPages *pages = arg;
	uint32            slot;

	return parray_block(pages->index, ARRAY_DOCS, pages->items[i].doc, &slot);
}

void
narrow_list(Search *search, CandidateList *list, PairList *pairs)
{
	ColbertIndex *index = search->view->index;
	Narrowing     narrowing = {.search = search, .runs = {ARRAY_SKETCHES, PART_BLOCKS}};
	EntryPages    entries = {.index = index};
	PageSequence  pages = {&search->ahead[STAGE_NARROW], index->rel, entry_block, &entries,
						   list->count};
	instr_time    start;

	if (list->count == 0)
		return;
	stage_start(search, &start);
	readahead_resume(&search->ahead[STAGE_NARROW]);
	candidates_sort_by_doc(list);
	entries.items = list->items;
	narrowing.items = list->items;
	narrowing.before = palloc_extended(mul_size(list->count, sizeof(float)), MCXT_ALLOC_HUGE);
	for (uint32 from = 0, to; from < list->count; from = to)
	{
		uint32 ahead = Min(from + LOOK_UP_AHEAD, list->count - 1);
		uint32 first = list->items[from].doc;
		uint32 end = first + parray_run(index, ARRAY_DOCS, first);

		for (to = from + 1; to < list->count && list->items[to].doc < end; to++)
			;
		readahead_step(&pages, from);
		parray_prefetch(index, ARRAY_DOCS, list->items[ahead].doc);
		look_up(&narrowing, from, to);
		if (narrowing.runs.count >= WALK_BATCH)
			runs_score(search, &narrowing.runs, score_blocks, list->items);
	}
	list->count = narrowing.kept;
	runs_score(search, &narrowing.runs, score_blocks, list->items);
	if (pairs != NULL)
		keep_pairs(search, &narrowing, pairs);
	pfree(narrowing.before);
	if (narrowing.runs.runs != NULL)
		pfree(narrowing.runs.runs);
	search->counters.narrowed += narrowing.kept;
	stage_stop(search, STAGE_NARROW, start);
}

/* ---- waiting and pending documents ---- */

void
narrow_waiting(Search *search, uint32 n)
{
	CandidateList *waiting = &search->waiting;
	CandidateList  list = {0};

	n = Min(n, waiting->count);
	if (n == 0)
		return;
	candidates_select(waiting->items, waiting->count, n);
	histogram_count(&search->state.waiting_estimates, waiting->items, n, -1);
	for (uint32 i = 0; i < n; i++)
	{
		funnel_mark_seen(search, waiting->items[i].doc);
		candidates_add(&list, waiting->items[i].doc, waiting->items[i].score);
	}
	waiting->count -= n;
	search->narrowed_waiting += n;
	if (search->counters.asked.candidates == 0)
		search->counters.settings.candidates = (uint32) search->narrowed_waiting;
	memmove(waiting->items, waiting->items + n, (size_t) waiting->count * sizeof(Candidate));
	narrow_list(search, &list, &search->narrowed);
	funnel_add(search, &list);
	if (list.items != NULL)
		pfree(list.items);
}

void
narrow_pending(Search *search)
{
	IndexView    *view = search->view;
	CandidateList list = {0};

	for (uint32 i = 0; i < view->npending; i++)
	{
		uint32 doc = view->pending[i];

		if (doc >= parray_nitems(view->index, ARRAY_DOCS) || funnel_seen(search, doc))
			continue;
		candidates_add(&list, doc, 0);
		funnel_mark_seen(search, doc);
		search->counters.pending++;
		if (list.count == search->policy.pool_limit)
		{
			narrow_list(search, &list, NULL);
			funnel_add(search, &list);
		}
	}
	narrow_list(search, &list, NULL);
	funnel_add(search, &list);
	if (list.items != NULL)
		pfree(list.items);
}

/* ---- all documents ---- */

/* Remove documents from the pool whose rows fail the filter. */
static void
test_pool(Search *search)
{
	CandidateList *list = &search->pool;
	uint32         kept = 0;
	instr_time     start;

	stage_start(search, &start);
	candidates_sort_by_doc(list);
	for (uint32 i = 0; i < list->count; i++)
	{
		DocEntry entry;

		CHECK_FOR_INTERRUPTS();
		if (docstore_entry(search->view, list->items[i].doc, &entry) && is_live(&entry) &&
			fetch_admits(search, list->items[i].doc, &entry))
			list->items[kept++] = list->items[i];
	}
	list->count = kept;
	stage_stop(search, STAGE_NARROW, start);
}

typedef struct NarrowAll
{
	Search *search;
	RunList runs;
} NarrowAll;

/*
 * Score the collected runs. The pool may be cut only afterwards, because runs
 * refer to its items.
 */
static void
score_batch(NarrowAll *all)
{
	runs_score(all->search, &all->runs, score_blocks, all->search->pool.items);
	funnel_cut_pool(all->search);
}

static void
narrow_visit(IndexView *view, uint32 doc, const DocEntry *entry, void *arg)
{
	NarrowAll *all = arg;
	Search    *search = all->search;

	if (!is_live(entry) || funnel_seen(search, doc))
		return;
	funnel_mark_seen(search, doc);
	if (search->state.pool_tested)
	{
		CHECK_FOR_INTERRUPTS();
		if (!fetch_admits(search, doc, entry))
			return;
	}
	candidates_add(&search->pool, doc, 0);
	add_sketches(search, &all->runs, entry, search->pool.items, search->pool.count - 1);
	search->state.narrowed++;
	search->counters.narrowed++;
	if (all->runs.count >= WALK_BATCH)
		score_batch(all);
}

void
narrow_all(Search *search, bool test)
{
	FunnelState *state = &search->state;
	NarrowAll    all = {search, {ARRAY_SKETCHES, PART_BLOCKS}};
	instr_time   start;

	gather_forget(search);
	/* The sweep visits the documents that wait. */
	if (search->waiting.items != NULL)
		pfree(search->waiting.items);
	search->waiting = (CandidateList) {0};
	state->pool_dropped = false;
	state->pool_tested = test;
	if (test)
		test_pool(search);
	stage_start(search, &start);
	docstore_walk(search->view, narrow_visit, &all);
	score_batch(&all);
	if (all.runs.runs != NULL)
		pfree(all.runs.runs);
	stage_stop(search, STAGE_NARROW, start);
	state->complete = !state->pool_dropped;
	state->swept = true;
	search->counters.exhaustive = true;
	search->counters.passes++;
}
