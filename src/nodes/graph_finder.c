/*-------------------------------------------------------------------------
 *
 * graph_finder.c
 *	  The graph as a finder.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "commands/progress.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "nodes/finder.h"
#include "nodes/graph.h"
#include "pgstat.h"

/* Search width when looking for a token's node. */
#define ASSIGN_EF 8

static void *
graph_state_open(ColbertIndex *index, const SketchParams *params)
{
	return graph_open(index, params);
}

static void
graph_state_close(void *state)
{
	graph_close(state);
}

static void
graph_find(void *state, FindQuery *query, NodeHit *hits, uint32 *nhits)
{
	uint32     dim = graph_meta(state)->shape.dim;
	GraphWidth width = {query->reach, Max(query->ef, query->probes), query->probes};

	for (uint32 t = 0; t < query->ntokens; t++)
		nhits[t] = graph_search(state, query->tokens + (size_t) t * dim, &width,
								hits + (size_t) t * query->probes, &query->hops);
}

static void
graph_assign(void *state, const float *tokens, uint32 ntokens, NodeHit *nearest)
{
	uint32           dim = graph_meta(state)->shape.dim;
	const GraphWidth width = {1, ASSIGN_EF, 1};
	uint64           hops = 0;

	if (graph_assign_many(state, tokens, ntokens, nearest))
		return;
	for (uint32 t = 0; t < ntokens; t++)
		if (graph_search(state, tokens + (size_t) t * dim, &width, &nearest[t], &hops) == 0)
			elog(ERROR, "the graph of an index is empty");
}

/* No mean is taken to be shorter than this share of its node. */
#define MIN_SHRINK 0.25

/*
 * How much shorter than their node the mean of a node's tokens is, if the node
 * was added later: that of the trained ones. Of unit vectors, the squared
 * distance of a token to its node is 2 - 2 <x, c>, and the mean of <x, c> is
 * the shrink.
 */
static float
added_shrink(const MetaPageData *meta)
{
	double square = (double) meta->nodes.token_norm * meta->nodes.token_norm;

	if (meta->nodes.length_spread > 0 || meta->nodes.trained.tokens == 0 || !(square > 0))
		return 1;
	return (float) Max(1 - meta->nodes.trained.squares / meta->nodes.trained.tokens / (2 * square),
					   MIN_SHRINK);
}

static uint32
graph_add(void *state, const float *vector)
{
	return graph_insert(state, vector, added_shrink(graph_meta(state)));
}

/* Report nodes of the graph as tuples of a build. */
static void
report_nodes(const Graph *graph, uint32 done, uint32 total)
{
	static const int params[] = {PROGRESS_CREATEIDX_TUPLES_TOTAL, PROGRESS_CREATEIDX_TUPLES_DONE};
	const int64      values[] = {total, done};

	if (graph_is_building(graph))
		pgstat_progress_update_multi_param(lengthof(params), params, values);
}

static void
graph_store(void *state, const KmeansResult *trained, uint32 *node_of)
{
	uint32        n = trained->ncentroids;
	uint32       *order = palloc_extended(mul_size(n, sizeof(uint32)), MCXT_ALLOC_HUGE);
	pg_prng_state random;

	/* Fisher-Yates: centroids come grouped by parent, which would make a lopsided graph. */
	pg_prng_seed(&random, graph_meta(state)->shape.seed);
	for (uint32 i = 0; i < n; i++)
	{
		uint32 j = (uint32) pg_prng_uint64_range(&random, 0, i);

		order[i] = order[j];
		order[j] = i;
	}
	graph_count_at_close(state);
	for (uint32 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		report_nodes(state, i, n);
		if (i == n / 2)
			COLBERT_PAUSE("nodes-stored");
		node_of[order[i]] = graph_insert(
			state, trained->centroids + (size_t) order[i] * graph_meta(state)->shape.dim,
			trained->shrinks != NULL ? trained->shrinks[order[i]] : 1);
	}
	report_nodes(state, n, n);
	pfree(order);
}

const Finder graph_finder = {
	.kind = FINDER_HNSW,
	.item_size = graph_item_size,
	.max_m = graph_max_m,
	.open = graph_state_open,
	.close = graph_state_close,
	.find = graph_find,
	.assign = graph_assign,
	.add = graph_add,
	.store = graph_store,
	.check = graph_check,
};
