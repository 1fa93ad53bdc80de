/*-------------------------------------------------------------------------
 *
 * query.c
 *	  Prepare the query of a search for every stage.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

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

void
query_prepare(IndexView *view, const MultiVector *mv, SearchQuery *query)
{
	uint32 nslots;
	uint32 n;
	float *scratch;

	take_tokens(view, mv, &query->tokens);
	take_directions(view, &query->tokens, &query->directions);
	n = query->directions.count;
	nslots = Max(query->tokens.count, SKETCH_BLOCK_TOKENS);

	query->state =
		palloc_extended(mul_size(mul_size(n, SKETCH_BLOCK_TOKENS), sizeof(float)), MCXT_ALLOC_HUGE);
	scratch = palloc_extended(mul_size(n, (view->sketch.rotation->padded + 1) * sizeof(float)),
							  MCXT_ALLOC_HUGE);
	query->sketch = sketch_query_prepare(
		&view->sketch, query->directions.tokens, n,
		palloc_extended(sketch_query_size(&view->sketch, n), MCXT_ALLOC_HUGE), scratch);
	pfree(scratch);

	if (coder_has_rows(&view->coder))
	{
		const WeightedTokens *tokens = &query->tokens;
		void                 *memory =
			palloc_extended(coder_query_size(&view->coder, tokens->count), MCXT_ALLOC_HUGE);

		query->rows = coder_query_prepare(&view->coder, tokens->tokens, tokens->count, memory);
		nslots = Max(nslots, coder_query_slots(&view->coder, query->rows));
	}
	query->keys = palloc_extended(mul_size(nslots, sizeof(float)), MCXT_ALLOC_HUGE);
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
