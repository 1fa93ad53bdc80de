/*-------------------------------------------------------------------------
 *
 * search.c
 *	  The driver of a search: batches of documents in estimated order.
 *
 * The pool holds documents that were narrowed and not reranked. A batch takes
 * the best of it. Batches double, so that a scan of everything stays n log n,
 * up to what memory allows.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <float.h>
#include <math.h>

#include "index/docstore.h"
#include "miscadmin.h"
#include "search/search.h"
#include "utils/memutils.h"

/*
 * Probes beyond these, which were left to the index, are to leave what they
 * gather within work_mem.
 */
#define MIN_PROBES_OF_ROOM 40

static void
fit_probes(Search *search)
{
	const MetaPageData *meta = &search->view->meta;
	uint32              nodes = Max(meta->arrays[ARRAY_NODES].nitems, 1);
	double              postings = (double) meta->postings / nodes + 1;
	double              each = postings * search->query.directions.count * SEARCH_GATHER_BYTES;
	double              room = Max(work_mem * 1024.0 / each, MIN_PROBES_OF_ROOM);

	if (search->settings.probes <= room)
		return;
	if (search->settings.ef_search == search->settings.probes)
		search->settings.ef_search = (uint32) room;
	search->settings.probes = (uint32) room;
}

static void
check_query(const IndexView *view, const MultiVector *query)
{
	view_check_dims(view, query);
	if (query->ntokens > SEARCH_MOST_QUERY_TOKENS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a search by an index takes a query of at most %d tokens, not %u",
						SEARCH_MOST_QUERY_TOKENS, query->ntokens),
				 errhint("SET enable_indexscan = off, or reduce the query by pool_tokens().")));
}

Search *
search_begin(IndexView *view, const MultiVector *query, const SearchSettings *settings)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg search", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Search       *search = palloc0(sizeof(Search));

	check_query(view, query);
	search->view = view;
	search->context = context;
	query_prepare(view, query, &search->query);
	search->sketch_fit.ties.blank = query_blank_score(view, &search->query);
	search->settings = budget_resolve(
		budget_directions(search->query.directions.weights, search->query.directions.count),
		view->meta.arrays[ARRAY_NODES].nitems, settings);
	if (settings->probes == 0 && settings->ef_search == 0)
		fit_probes(search);
	search->batch = search->settings.rerank;
	search->floor = -INFINITY;
	search->may_narrow_more = settings->candidates == 0;
	search->may_gather_more = settings->candidates == 0 && settings->probes == 0;
	pool_begin(search);
	search->seen = palloc_extended(view->meta.arrays[ARRAY_DOCS].nitems / 8 + 1,
								   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	/* A query of zeros says nothing of where to look. */
	if (has_nodes(&view->meta) && search->query.tokens.weights[0] > 0)
		search->finder = view->finder->open(&view->index, &view->meta, &view->sketch);

	search->counters = (SearchCounters) {
		.valid = true,
		.index = RelationGetRelid(view->index.rel),
		.user = GetUserId(),
		.searches = 1,
		.asked = *settings,
		.settings = search->settings,
		.query_tokens = query->ntokens,
	};
	MemoryContextSwitchTo(old);
	return search;
}

void
search_end(Search *search)
{
	if (search->finder != NULL)
		search->view->finder->close(search->finder);
	MemoryContextDelete(search->context);
}

/* How many of the documents that were taken are estimated, by their sketches, to be at least as near? */
static double
depth_of(const Search *search, float score)
{
	double depth = bands_count_above(&search->bands, score - search->sketch_errors.mean);

	/* Where none is left out, those that were given are all that there are, but for equals. */
	return search->filter.admits != NULL ? depth : Min(depth, search->given);
}

/* Move copies that are known not to beat the bar to the end of the pool. Returns how many others there are. */
static uint32
put_copies_last(Search *search, const ScoreBar *bar)
{
	Candidate *items = search->pool.items;
	uint32     end = search->pool.count;
	double     outcome;

	for (uint32 i = 0; i < end;)
	{
		Candidate item = items[i];

		if (!ties_outcome(&search->sketch_fit.ties, item.score, &outcome) ||
			!fit_copies_are_below(outcome, bar))
			i++;
		else
		{
			items[i] = items[--end];
			items[end] = item;
		}
	}
	return end;
}

/* Rerank the best n of the pool; with a bar, passing over copies that are known not to beat it. */
static void
rerank_batch(Search *search, uint32 n, const ScoreBar *bar)
{
	CandidateList *pool = &search->pool;
	uint32         count = bar == NULL ? pool->count : put_copies_last(search, bar);

	n = Min(n, count);
	candidates_select(pool->items, count, n);
	bands_add(&search->bands, pool->items, n);
	search_rerank(search, pool->items, n);
	search->counters.batches++;
	pool->count -= n;
	if (pool->count > 0)
		memmove(pool->items, pool->items + n, (size_t) pool->count * sizeof(Candidate));
	search->pool_best = -FLT_MAX;
	for (uint32 i = 0; i < pool->count; i++)
		search->pool_best = Max(search->pool_best, pool->items[i].score);
	histogram_fill(&search->pool_estimates, pool->items, pool->count, &search->sketch_fit);
	search->batch = Min(search->batch * 2, search->batch_limit);
}

/*
 * As many documents as this that come after a row and score above it are let
 * be, if reranking would find them. Where few rows are wanted of many, missing
 * one weighs more; and where all in the pool are wanted ones, reranking them
 * costs little beside having found them.
 */
#define MAX_EXPECTED_MISSES          1e-1
#define MAX_EXPECTED_MISSES_FILTERED 1e-2
#define MAX_EXPECTED_MISSES_TESTED   1e-4

/*
 * Narrowing is worth one document in so many sketches (blocks of a document
 * times query tokens). What the next of those that wait hold is judged by the
 * worse half of what was narrowed last: where postings say little, as of
 * random vectors, those are as good as the better half; on MedQuAD, where they
 * say much, hardly any of them comes out above.
 */
#define SKETCHES_FOR_ONE 3000.0

/* Could more be found, by a search whose width was left to the index? A threshold has rules of its own. */
static bool
may_gather_more(const Search *search)
{
	return search->may_gather_more && !search->complete && !search->pool_dropped &&
		   search->floor == -INFINITY;
}

/* Is narrowing more documents expected to pay? */
static bool
narrowing_pays(const Search *search, const ScoreBar *bar)
{
	const ArrayMeta *arrays = search->view->meta.arrays;
	double blocks = (double) arrays[ARRAY_SKETCHES].nitems / Max(arrays[ARRAY_DOCS].nitems, 1);
	double work = search->nworse * blocks * search->query.directions.count;

	return search->may_narrow_more && search->nworse > 0 &&
		   (search->waiting.count > 0 || may_gather_more(search)) &&
		   fit_expected_above(&search->sketch_fit, &search->worse_estimates, bar) *
				   SKETCHES_FOR_ONE >
			   work;
}

/* Narrow more of those that wait; where none do, gather more. */
static void
narrow_more(Search *search)
{
	CandidateList *pool = &search->pool;

	if (search->waiting.count > 0)
	{
		pool_narrow_waiting(search, search->chunk);
		search->chunk = Min(search->chunk * 2, search->pool_limit);
	}
	else
		pool_widen(search);
	histogram_fill(&search->pool_estimates, pool->items, pool->count, &search->sketch_fit);
}

bool
search_more_above(Search *search, const ScoreBar *bar)
{
	double        max_misses = search->pool_tested             ? MAX_EXPECTED_MISSES_TESTED
							   : search->filter.admits != NULL ? MAX_EXPECTED_MISSES_FILTERED
															   : MAX_EXPECTED_MISSES;
	MemoryContext old;
	uint32        worth = 0;
	bool          more = true;

	if (search->nranked >= search->batch_limit)
		return false;
	old = MemoryContextSwitchTo(search->context);
	if (search->pool.count > 0 && !floor_ends_pool(search))
		worth = fit_count_promising(&search->sketch_fit, &search->pool_estimates, bar, max_misses);
	if (worth > 0)
		rerank_batch(search, Min(worth, floor_batch(search)), bar);
	else if (narrowing_pays(search, bar))
		narrow_more(search);
	else
		more = false;
	MemoryContextSwitchTo(old);
	return more;
}

/* Make ranked hold what comes next, if anything is left. */
static bool
fill(Search *search)
{
	MemoryContext old = MemoryContextSwitchTo(search->context);

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (search->nranked == 0 && floor_ends_pool(search))
			pool_give_up(search);
		if (pool_is_short(search))
			pool_widen(search);
		else if (search->nranked > 0 || search->pool.count == 0)
			break;
		rerank_batch(search, floor_batch(search), NULL);
	}
	MemoryContextSwitchTo(old);
	return search->nranked > 0;
}

bool
search_peek(Search *search, float *score)
{
	if (!fill(search))
		return false;
	*score = search->ranked[search->nranked - 1].candidate.score;
	return true;
}

/* How many of ranked have an estimate below this. */
static uint32
count_below(const Search *search, float estimate)
{
	uint32 low = 0;
	uint32 high = search->nranked;

	while (low < high)
	{
		uint32 middle = low + (high - low) / 2;

		if (search->ranked[middle].candidate.score < estimate)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool
search_peek_below(const Search *search, float estimate, float *below)
{
	uint32 n = count_below(search, estimate);

	if (n == 0)
		return false;
	*below = search->ranked[n - 1].candidate.score;
	return true;
}

bool
search_next(Search *search, float estimate, RankedDoc *doc)
{
	uint32 place;

	if (!fill(search))
		return false;
	/* The last of those with this estimate; of a damaged page's that is no number, any. */
	place = Max(count_below(search, nextafterf(estimate, INFINITY)), 1) - 1;
	*doc = search->ranked[place];
	search->nranked--;
	memmove(search->ranked + place, search->ranked + place + 1,
			(size_t) (search->nranked - place) * sizeof(RankedDoc));
	search->given++;
	search->depth = Max(search->depth, depth_of(search, doc->candidate.score));
	return true;
}
