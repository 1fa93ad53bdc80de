/*-------------------------------------------------------------------------
 *
 * query.c
 *	  Prepare the query of a search for every stage.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "base/vec.h"
#include "search/query.h"
#include "utils/memutils.h"

static void
allocate_tokens(WeightedTokens *tokens, uint32 count, uint32 dim)
{
	tokens->count = count;
	tokens->tokens =
		palloc_extended(mul_size(mul_size(count, dim), sizeof(float)), MCXT_ALLOC_HUGE);
	tokens->squares = palloc_extended(mul_size(count, sizeof(float)), MCXT_ALLOC_HUGE);
	tokens->weights = palloc_extended(mul_size(count, sizeof(float)), MCXT_ALLOC_HUGE);
}

/*
 * Set tokens to the distinct query tokens. Except for L2, tokens of length 0
 * are dropped, because they add the same to every document's score.
 */
static void
take_tokens(const IndexView *view, const MultiVector *mv, WeightedTokens *tokens)
{
	uint32 *slots =
		palloc_extended(mul_size(directions_slots(mv->ntokens), sizeof(uint32)), MCXT_ALLOC_HUGE);

	allocate_tokens(tokens, mv->ntokens, view->dim);
	view_prepare_tokens(view, mv, 0, mv->ntokens, tokens->tokens);
	view_prepared_norms(view, mv, tokens->tokens, mv->ntokens, tokens->squares);
	for (uint32 t = 0; t < mv->ntokens; t++)
	{
		tokens->squares[t] *= tokens->squares[t];
		tokens->weights[t] = view->metric == METRIC_L2 || mv->norms[t] > 0;
	}
	directions_merge_equal(tokens, view->dim, slots);
	pfree(slots);
}

/* Set directions to the directions of the tokens, or to the tokens if no two are near copies. */
static void
take_directions(const IndexView *view, const WeightedTokens *tokens, WeightedTokens *directions)
{
	DirectionSpace space = {view->dim, view->mean,
							view->metric != METRIC_L2 ? view->index->meta.nodes.token_norm : 0};
	float         *scratch;

	*directions = *tokens;
	if (tokens->count < 2 || tokens->count > DIRECTIONS_MAX_TOKENS)
		return;
	allocate_tokens(directions, tokens->count, view->dim);
	scratch = palloc_extended(mul_size(mul_size(tokens->count, view->dim), sizeof(float)),
							  MCXT_ALLOC_HUGE);
	directions_group(tokens, &space, scratch, directions);
	pfree(scratch);
	if (directions->count == tokens->count)
		*directions = *tokens;
}

static void
prepare_sketch(const IndexView *view, const WeightedTokens *directions, SearchQuery *query)
{
	uint32 n = directions->count;
	float *scratch = palloc_extended(
		mul_size(n, (view->sketch.rotation->padded + 1) * sizeof(float)), MCXT_ALLOC_HUGE);

	query->sketch = sketch_query_prepare(
		&view->sketch, directions->tokens, n,
		palloc_extended(sketch_query_size(&view->sketch, n), MCXT_ALLOC_HUGE), scratch);
	pfree(scratch);
}

static void
prepare_rows(const IndexView *view, const WeightedTokens *tokens, SearchQuery *query)
{
	if (!coder_has_rows(&view->coder))
		return;
	query->rows = coder_query_prepare(
		&view->coder, tokens->tokens, tokens->count,
		palloc_extended(coder_query_size(&view->coder, tokens->count), MCXT_ALLOC_HUGE));
}

/* Prepare tokens, directions, and the query for sketches and for rows. */
static void
prepare_all(const IndexView *view, const MultiVector *mv, SearchQuery *query)
{
	const WeightedTokens *tokens = &query->tokens;
	const WeightedTokens *directions = &query->directions;

	take_tokens(view, mv, &query->tokens);
	take_directions(view, tokens, &query->directions);
	prepare_sketch(view, directions, query);
	prepare_rows(view, tokens, query);
}

/* ---- a query that several searches share ---- */

/*
 * Means and lengths of tokens that differ by at most this part of a token's
 * length give nearly the same directions.
 */
#define ALIKE 0.1f

/* Return true if a search can use the tokens and directions of the shared query. */
static bool
is_alike(const IndexView *view, const SharedQuery *shared)
{
	const MetaPageData *meta = &view->index->meta;
	float               length = ALIKE * shared->token_norm;

	return meta->shape.seed == shared->shape.seed && view->dim == shared->shape.dim &&
		   view->column_dim == shared->shape.column_dim &&
		   meta->documents.scale_log2 == shared->scale_log2 &&
		   fabsf(meta->nodes.token_norm - shared->token_norm) <= length &&
		   vec_squared_distance(view->mean, shared->mean, view->dim) <= length * length;
}

/* Take over the shared query. */
static void
take_shared(const IndexView *view, const SharedQuery *shared, SearchQuery *query)
{
	const MetaShape *shape = &view->index->meta.shape;

	query->tokens = shared->query.tokens;
	query->directions = shared->query.directions;
	if (view->sketch.has_add)
		prepare_sketch(view, &query->directions, query);
	else
		query->sketch = sketch_query_recentre(
			&view->sketch, query->directions.tokens, shared->query.sketch,
			palloc_extended(sketch_query_recentred_size(query->directions.count), MCXT_ALLOC_HUGE));
	if (shape->codec == shared->shape.codec && coder_codebook_floats(&view->coder) == 0)
		query->rows = shared->query.rows;
	else
		prepare_rows(view, &query->tokens, query);
}

/* Prepare the shared query. */
static void
prepare_shared(const IndexView *view, const MultiVector *mv, SharedQuery *shared)
{
	const MetaPageData *meta = &view->index->meta;
	MemoryContext       old = MemoryContextSwitchTo(shared->context);

	shared->shape = meta->shape;
	shared->scale_log2 = meta->documents.scale_log2;
	shared->token_norm = meta->nodes.token_norm;
	shared->mean = palloc(view->dim * sizeof(float));
	memcpy(shared->mean, view->mean, view->dim * sizeof(float));
	prepare_all(view, mv, &shared->query);
	shared->is_prepared = true;
	MemoryContextSwitchTo(old);
}

void
query_prepare(IndexView *view, const MultiVector *mv, SharedQuery *shared, SearchQuery *query)
{
	uint32 nslots;

	/* The mean of an index without nodes is not trained. */
	if (shared != NULL && !shared->is_prepared && has_nodes(&view->index->meta))
		prepare_shared(view, mv, shared);
	if (shared != NULL && shared->is_prepared && is_alike(view, shared))
		take_shared(view, shared, query);
	else
		prepare_all(view, mv, query);

	nslots = Max(query->tokens.count, SKETCH_BLOCK_TOKENS);
	if (query->rows != NULL)
		nslots = Max(nslots, coder_query_slots(&view->coder, query->rows));
	query->keys = palloc_extended(mul_size(nslots, sizeof(float)), MCXT_ALLOC_HUGE);
	query->state = palloc_extended(
		mul_size(mul_size(query->directions.count, SKETCH_BLOCK_TOKENS), sizeof(float)),
		MCXT_ALLOC_HUGE);
}

float
query_score(const IndexView *view, const SearchQuery *query, const WeightedTokens *tokens)
{
	return view_score(view, query->keys, tokens->squares, tokens->weights, tokens->count);
}

double
query_blank_score(const IndexView *view, const SearchQuery *query)
{
	if (view->metric != METRIC_L2)
		return NAN;
	memset(query->keys, 0, query->tokens.count * sizeof(float));
	return query_score(view, query, &query->tokens);
}
