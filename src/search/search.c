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

SearchCounters search_last;

/*
 * What 0 means, measured on MedQuAD and on ten and fifty times as many documents
 * (doc/performance.md). A short query has fewer chances to meet a document,
 * so it probes more nodes a token, and its estimates are coarser, so it
 * narrows more of what it meets. Among more nodes, more of them are near.
 */
#define AUTO_PROBES_ONE_TOKEN		640.0
#define AUTO_PROBES_FALL			-1.5
#define LEAST_AUTO_PROBES			8.0
#define MOST_AUTO_PROBES			40.0
#define AUTO_PROBES_NODES			16384
#define AUTO_PROBES_GROWTH			0.25
#define AUTO_CANDIDATES_ALL_TOKENS	9600
#define LEAST_AUTO_CANDIDATES		400
#define MOST_AUTO_CANDIDATES		1700
#define AUTO_RERANK					64

static uint32
auto_probes(uint32 ntokens, uint32 nodes)
{
	double		probes = AUTO_PROBES_ONE_TOKEN * pow(ntokens, AUTO_PROBES_FALL);
	double		growth = pow((double) Max(nodes, AUTO_PROBES_NODES) / AUTO_PROBES_NODES, AUTO_PROBES_GROWTH);

	return (uint32) (Min(Max(probes, LEAST_AUTO_PROBES), MOST_AUTO_PROBES) * growth);
}

SearchSettings
search_resolve(uint32 ntokens, uint32 nodes, const SearchSettings *asked)
{
	SearchSettings settings = *asked;

	/* Asked for ef_search alone, all that it finds is probed: the classical recipe. */
	if (settings.probes == 0)
		settings.probes = settings.ef_search > 0 ? settings.ef_search : auto_probes(ntokens, nodes);
	if (settings.ef_search == 0)
		settings.ef_search = settings.probes;
	settings.ef_search = Max(settings.ef_search, settings.probes);
	if (settings.candidates == 0)
		settings.candidates = Min(Max(AUTO_CANDIDATES_ALL_TOKENS / ntokens, LEAST_AUTO_CANDIDATES), MOST_AUTO_CANDIDATES);
	if (settings.rerank == 0)
		settings.rerank = AUTO_RERANK;
	settings.candidates = Max(settings.candidates, settings.rerank);
	return settings;
}

static void
prepare_query(Search *search, const MultiVector *mv)
{
	IndexView  *view = search->view;
	SearchQuery *query = &search->query;
	uint32		n = mv->ntokens;
	Size		nslots = Max(n, SKETCH_BLOCK_TOKENS);
	float	   *scratch;

	query->ntokens = n;
	query->tokens = palloc_extended(mul_size(n, view->dim * sizeof(float)), MCXT_ALLOC_HUGE);
	view_prepare_tokens(view, mv, 0, n, query->tokens);
	query->norms = palloc_extended(mul_size(n, sizeof(float)), MCXT_ALLOC_HUGE);
	view_prepared_norms(view, mv, query->tokens, n, query->norms);
	for (uint32 i = 0; i < n; i++)
		query->norms[i] *= query->norms[i];

	query->state = palloc_extended(mul_size(mul_size(n, SKETCH_BLOCK_TOKENS), sizeof(float)), MCXT_ALLOC_HUGE);
	scratch = palloc_extended(mul_size(n, (view->sketch.rotation->padded + 1) * sizeof(float)), MCXT_ALLOC_HUGE);
	query->sketch = sketch_query_prepare(&view->sketch, query->tokens, n,
										 palloc_extended(sketch_query_size(&view->sketch, n), MCXT_ALLOC_HUGE), scratch);
	pfree(scratch);

	if (coder_has_rows(&view->coder))
	{
		void	   *memory = palloc_extended(view->coder.codec->query_size(view->coder.shape, n), MCXT_ALLOC_HUGE);

		query->rows = view->coder.codec->query_prepare(&view->coder, query->tokens, n, memory);
		nslots = Max(nslots, view->coder.codec->query_slots(query->rows));
	}
	query->keys = palloc_extended(mul_size(nslots, sizeof(float)), MCXT_ALLOC_HUGE);
}

static void
check_query(const IndexView *view, const MultiVector *query)
{
	view_check_dims(view, query);
	if (query->ntokens > SEARCH_MOST_QUERY_TOKENS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a search by an index takes a query of at most %d tokens, not %u", SEARCH_MOST_QUERY_TOKENS, query->ntokens),
				 errhint("SET enable_indexscan = off, or reduce the query by pool_tokens().")));
}

Search *
search_begin(IndexView *view, const MultiVector *query, const SearchSettings *settings)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "colbert search", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Search	   *search = palloc0(sizeof(Search));

	check_query(view, query);
	search->view = view;
	search->context = context;
	search->settings = search_resolve(query->ntokens, view->meta.arrays[ARRAY_NODES].nitems, settings);
	search->batch = search->settings.rerank;
	search->floor = -INFINITY;
	search->may_narrow_more = settings->candidates == 0;
	pool_begin(search);
	search->seen = palloc_extended(view->meta.arrays[ARRAY_DOCS].nitems / 8 + 1, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	prepare_query(search, query);
	if (has_nodes(&view->meta))
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

/* Remember between which estimates a batch lies. */
static void
add_band(Search *search, const Candidate *batch, uint32 count)
{
	Band	   *band;

	if (search->nbands < SEARCH_BANDS)
		search->bands[search->nbands++] = (Band) {0, -FLT_MAX, FLT_MAX};
	band = &search->bands[search->nbands - 1];
	band->count += count;
	for (uint32 i = 0; i < count; i++)
	{
		band->best = Max(band->best, batch[i].score);
		band->worst = Min(band->worst, batch[i].score);
	}
}

/* How many of the documents that were taken are estimated, by their sketches, to be at least as near? */
static double
depth_of(const Search *search, float score)
{
	double		estimate = score - search->sketch_errors.mean;
	double		depth = 0;

	for (uint32 i = 0; i < search->nbands; i++)
	{
		const Band *band = &search->bands[i];

		if (estimate <= band->worst)
			depth += band->count;
		else if (estimate < band->best)
			depth += band->count * (band->best - estimate) / (band->best - band->worst);
	}
	/* Where none is left out, those that were given are all that there are, but for equals. */
	return search->filter.admits != NULL ? depth : Min(depth, search->given);
}

/* Rerank the best n of the pool. */
static void
rerank_batch(Search *search, uint32 n)
{
	CandidateList *pool = &search->pool;

	n = Min(n, pool->count);
	candidates_select(pool->items, pool->count, n);
	add_band(search, pool->items, n);
	search_rerank(search, pool->items, n);
	search->counters.batches++;
	pool->count -= n;
	if (pool->count > 0)
		memmove(pool->items, pool->items + n, (size_t) pool->count * sizeof(Candidate));
	search->pool_best = -FLT_MAX;
	for (uint32 i = 0; i < pool->count; i++)
		search->pool_best = Max(search->pool_best, pool->items[i].score);
	histogram_fill(&search->pool_estimates, pool->items, pool->count);
	search->batch = Min(search->batch * 2, search->batch_limit);
}

/*
 * As many documents as this that come after a row and score above it are let
 * be, if reranking would find them. Where few rows are wanted of many, missing
 * one weighs more; and where all in the pool are wanted ones, reranking them
 * costs little beside having found them.
 */
#define UNRANKED_LET_BE				1e-1
#define UNRANKED_LET_BE_FILTERED	1e-2
#define UNRANKED_LET_BE_TESTED		1e-4

/*
 * Narrowing is worth one document in so many sketches (blocks of a document
 * times query tokens). What the next of those that wait hold is judged by the
 * worse half of what was narrowed last: where postings say little, as of
 * random vectors, those are as good as the better half; on MedQuAD, where they
 * say much, hardly any of them comes out above.
 */
#define SKETCHES_FOR_ONE 3000.0

/* Is narrowing more of those that wait expected to pay? */
static bool
narrowing_pays(const Search *search, double score)
{
	const ArrayMeta *arrays = search->view->meta.arrays;
	double		blocks = (double) arrays[ARRAY_SKETCHES].nitems / Max(arrays[ARRAY_DOCS].nitems, 1);
	double		work = search->nworse * blocks * search->query.ntokens;

	return search->may_narrow_more && search->waiting.count > 0 && search->nworse > 0 &&
		fit_expected_above(&search->sketch_fit, &search->worse_estimates, score) * SKETCHES_FOR_ONE > work;
}

bool
search_more_above(Search *search, double score)
{
	double		let_be = search->pool_tested ? UNRANKED_LET_BE_TESTED :
		search->filter.admits != NULL ? UNRANKED_LET_BE_FILTERED : UNRANKED_LET_BE;
	MemoryContext old;
	uint32		worth = 0;
	bool		more = true;

	if (search->nranked >= search->batch_limit)
		return false;
	old = MemoryContextSwitchTo(search->context);
	if (search->pool.count > 0 && !floor_ends_pool(search))
		worth = fit_worth(&search->sketch_fit, &search->pool_estimates, score, let_be);
	if (worth > 0)
		rerank_batch(search, Min(worth, floor_batch(search)));
	else if (narrowing_pays(search, score))
	{
		pool_narrow_waiting(search, search->chunk);
		histogram_fill(&search->pool_estimates, search->pool.items, search->pool.count);
		search->chunk = Min(search->chunk * 2, search->pool_limit);
	}
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
		rerank_batch(search, floor_batch(search));
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

bool
search_next(Search *search, RankedDoc *doc)
{
	if (!fill(search))
		return false;
	*doc = search->ranked[--search->nranked];
	search->given++;
	search->depth = Max(search->depth, depth_of(search, doc->candidate.score));
	return true;
}
