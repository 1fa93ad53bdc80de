/*-------------------------------------------------------------------------
 *
 * pool.c
 *	  The documents that a search has narrowed and not reranked yet.
 *
 * The pool is filled at growing width: the settings' probes and candidates,
 * with all pending documents; then four times the probes and candidates, and
 * so on; in the end passes through every live document that was not seen.
 *
 * Memory follows from work_mem. A pool that grows to twice its limit is cut
 * to the best of it, and what is dropped counts as not seen. Only a pass that
 * dropped nothing has seen every document, so passes are repeated until then,
 * each time the pool runs out: a search that is given little memory takes
 * longer, and its result is the same.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <float.h>

#include "miscadmin.h"
#include "search/search.h"

/* A widening multiplies probes and candidates by this. */
#define WIDEN_FACTOR 4

/* With less than this a search would make no progress worth a pass. */
#define MIN_POOL  4096
#define MIN_BATCH 1024

/*
 * Where few rows pass, how deep the search has to go is foreseen. The first
 * rows tell little about the share that passes, hence so many more are taken
 * to have passed.
 */
#define PASSED_BEFOREHAND 3

/*
 * The pool, at twice its limit in a list that doubles as it grows, and the
 * documents of a batch, reranked and fetched, take about as much as work_mem
 * each; gathering takes it for the time of a widening.
 */
void
pool_begin(Search *search)
{
	Size memory = (Size) work_mem * 1024;

	search->pool_limit =
		(uint32) Min(Max(memory / (4 * sizeof(Candidate)), MIN_POOL), PG_UINT32_MAX / 8);
	search->batch_limit =
		(uint32) Min(Max(memory / (4 * sizeof(RankedDoc)), MIN_BATCH), PG_UINT32_MAX / 8);
}

static void
cut_to_limit(Search *search)
{
	CandidateList *pool = &search->pool;

	candidates_select(pool->items, pool->count, search->pool_limit);
	for (uint32 i = search->pool_limit; i < pool->count; i++)
		search_forget(search, pool->items[i].doc);
	pool->count = search->pool_limit;
	search->pool_dropped = true;
}

void
pool_cut(Search *search)
{
	if (search->pool.count / 2 >= search->pool_limit)
		cut_to_limit(search);
}

void
pool_give_up(Search *search)
{
	search->pool.count = 0;
	/* What a cut dropped was worse than what is left. */
	if (search->passed_all)
		search->complete = true;
}

/* Narrow these documents, which are marked as seen, into the pool. */
static void
narrow_into_pool(Search *search, CandidateList *list, NarrowWorse *worse)
{
	search_narrow(search, list, worse);
	search->narrowed += list->count;
	for (uint32 i = 0; i < list->count; i++)
	{
		candidates_add(&search->pool, list->items[i].doc, list->items[i].score);
		search->pool_best = Max(search->pool_best, list->items[i].score);
	}
	pool_cut(search);
	list->count = 0;
}

/* Pending documents are in no posting list: all of them are narrowed with the first batch. */
static void
add_pending(Search *search)
{
	IndexView    *view = search->view;
	CandidateList list = {0};

	for (uint32 i = 0; i < view->npending; i++)
	{
		uint32 doc = view->pending[i];

		if (doc >= parray_nitems(view->index, ARRAY_DOCS) || search_seen(search, doc))
			continue;
		candidates_add(&list, doc, 0);
		search_mark_seen(search, doc);
		search->counters.pending++;
		if (list.count == search->pool_limit)
			narrow_into_pool(search, &list, NULL);
	}
	narrow_into_pool(search, &list, NULL);
	if (list.items != NULL)
		pfree(list.items);
}

/* Every live document that was not seen. */
static void
widen_to_all(Search *search)
{
	search->pool_dropped = false;
	search->pool_tested = search_few_pass(search, SEARCH_FEW_BEFORE_NARROWING);
	if (search->pool_tested)
		search_test(search, &search->pool);
	search_narrow_all(search);
	search->complete = !search->pool_dropped;
	search->passed_all = true;
	search->counters.exhaustive = true;
	search->counters.passes++;
}

/* The best score of the worse half of a list, which is put in some order. */
static float
median_score(CandidateList *list)
{
	uint32 half = list->count / 2;
	float  best = -FLT_MAX;

	candidates_select(list->items, list->count, half);
	for (uint32 i = half; i < list->count; i++)
		best = Max(best, list->items[i].score);
	return best;
}

void
pool_narrow_waiting(Search *search, uint32 n)
{
	CandidateList *waiting = &search->waiting;
	CandidateList  list = {0};
	NarrowWorse    worse = {0};

	n = Min(n, waiting->count);
	candidates_select(waiting->items, waiting->count, n);
	for (uint32 i = 0; i < n; i++)
	{
		search_mark_seen(search, waiting->items[i].doc);
		candidates_add(&list, waiting->items[i].doc, waiting->items[i].score);
	}
	waiting->count -= n;
	memmove(waiting->items, waiting->items + n, (size_t) waiting->count * sizeof(Candidate));

	worse.most = median_score(&list);
	worse.list.items = palloc_extended(mul_size(Max(n, 1), sizeof(Candidate)), MCXT_ALLOC_HUGE);
	narrow_into_pool(search, &list, &worse);
	histogram_fill(&search->worse_estimates, worse.list.items, worse.list.count,
				   &search->sketch_fit);
	search->nworse = worse.list.count;
	pfree(worse.list.items);
	if (list.items != NULL)
		pfree(list.items);
}

/* The documents that this many probes per token gather. */
static void
widen_by_probes(Search *search, uint32 probes, uint32 ef, uint32 limit)
{
	if (search->waiting.items != NULL)
		pfree(search->waiting.items);
	memset(&search->waiting, 0, sizeof(CandidateList));
	search_gather(search, probes, ef, limit, &search->waiting);
	search->chunk = limit;
	pool_narrow_waiting(search, limit);
}

/* Is so wide a search no better than a pass through all documents, or too large for work_mem? */
static bool
is_too_wide(const Search *search, uint64 factor)
{
	const SearchSettings *settings = &search->settings;
	const MetaPageData   *meta = &search->view->index->meta;
	uint64                nodes = meta_nitems(meta, ARRAY_NODES);
	uint64                postings;

	if (search->finder == NULL ||
		settings->probes * factor * (factor > 1 ? WIDEN_FACTOR : 1) > nodes ||
		settings->candidates * factor * 2 > meta->documents.live_docs)
		return true;
	postings = settings->probes * factor * search->query.directions.count *
			   (meta->nodes.postings / nodes + 1);
	return factor > 1 && postings * SEARCH_GATHER_BYTES > (uint64) work_mem * 1024;
}

/*
 * How many documents should have been narrowed for what is given next. The
 * first "rerank" are what the settings are for.
 */
static uint64
wanted(const Search *search)
{
	double depth = search->depth;

	if (search->filter.admits != NULL)
		depth = Max(depth, (double) SEARCH_LIKELY_LIMIT * search->tested /
							   (search->passed + PASSED_BEFOREHAND));
	return depth <= search->settings.rerank ? 0 : (uint64) (depth * SEARCH_NARROWED_FOR_EACH);
}

bool
pool_is_short(const Search *search)
{
	if (search->complete)
		return false;
	if (search->pool.count == 0 && search->nranked == 0)
		return true;
	/* The worse half of what a pass kept is no better than what it dropped, give or take an error. */
	if (search->pool_dropped)
		return search->pool.count < search->pool_limit / 2;
	return search->narrowed < wanted(search);
}

void
pool_widen(Search *search)
{
	const SearchSettings *settings = &search->settings;
	uint64                factor = 1;

	if (search->waiting.count > 0)
	{
		pool_narrow_waiting(search, Min(search->waiting.count, search->pool_limit));
		return;
	}
	if (search->level == 0)
		add_pending(search);
	else
		search->counters.widenings++;
	for (uint32 i = 0; i < search->level; i++)
		factor *= WIDEN_FACTOR;
	while (search->level > 0 && settings->candidates * factor < wanted(search) &&
		   !is_too_wide(search, factor))
	{
		factor *= WIDEN_FACTOR;
		search->level++;
	}
	search->below_floor = false;
	if (floor_wants_all(search) || is_too_wide(search, factor))
		widen_to_all(search);
	else
	{
		search->level++;
		/* What is new is looked at anew: as deep as the search has come. */
		search->batch =
			Max(Min(search->batch, (uint32) (wanted(search) / SEARCH_NARROWED_FOR_EACH)),
				search->settings.rerank);
		widen_by_probes(search, (uint32) (settings->probes * factor),
						(uint32) (settings->ef_search * factor),
						(uint32) Min(settings->candidates * factor, search->pool_limit));
	}
}
