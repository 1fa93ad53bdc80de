/*-------------------------------------------------------------------------
 *
 * graph_finder.c
 *	  The graph as a finder.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "commands/progress.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "nodes/graph_internal.h"
#include "pgstat.h"

/* ef of the search for a token's node. */
#define ASSIGN_EF 8

static Finder *
open_finder(ColbertIndex *index, const SketchParams *params)
{
	return &graph_open(index, params)->finder;
}

static void
close_finder(Finder *finder)
{
	graph_close((Graph *) finder);
}

/* Return true if the walk of a token may be kept: all of them take about work_mem. */
static bool
may_keep_walk(const Graph *graph, uint32 token)
{
	return token < MAX_KEPT_WALKS &&
		   MemoryContextMemAllocated(graph->context, false) < (Size) work_mem * 1024;
}

/* Use the search's query for sketches for the edges as well, instead of preparing each token. */
static void
share_sketch(Graph *graph, const FindQuery *query)
{
	float *factors;

	if (query->sketch == NULL)
		return;
	factors = MemoryContextAllocHuge(graph->context, mul_size(query->ntokens, sizeof(float)));
	for (uint32 t = 0; t < query->ntokens; t++)
		factors[t] = 1 / query->scales[t];
	graph->shared = kernel_sketch_scale(
		MemoryContextAllocHuge(graph->context, kernel_sketch_scaled_size(query->ntokens)),
		query->sketch, factors);
	pfree(factors);
}

static void
unshare_sketch(Graph *graph)
{
	if (graph->shared != NULL)
		pfree(graph->shared);
	graph->shared = NULL;
}

/*
 * Raise an error if a walk found nothing in a graph with nodes: it finds at least
 * its entry, unless vectors on damaged pages are not finite. The token may be such
 * a vector as well.
 */
static void
check_found(Graph *graph, const float *token, uint32 nhits)
{
	const MetaNodes *nodes = &graph->index->meta.nodes;

	if (nhits > 0 || nodes->entry_node == INVALID_ORDINAL)
		return;
	for (uint32 k = 0; k < graph->dim; k++)
		if (!isfinite(token[k]))
			return;
	graph_corrupted(graph, nodes->entry_node, nodes->entry_level);
}

static void
graph_find(Finder *finder, FindQuery *query, NodeHit *hits, uint32 *nhits)
{
	Graph     *graph = (Graph *) finder;
	GraphWidth width = {query->reach, Max(query->ef, query->probes), query->probes};

	share_sketch(graph, query);
	if (graph->kept == NULL)
		graph->kept = MemoryContextAllocZero(graph->context, MAX_KEPT_WALKS * sizeof(GraphWalk));
	for (uint32 t = 0; t < query->ntokens; t++)
	{
		const float *token = query->tokens + (size_t) t * graph->dim;
		NodeHit     *found = hits + (size_t) t * query->probes;
		GraphWalk    other = graph->walk;

		graph->shared_token = t;
		graph->keeps_walks = may_keep_walk(graph, t);
		if (graph->keeps_walks)
			graph->walk = graph->kept[t];
		if (graph->keeps_walks && query->wider)
			nhits[t] = graph_resume(graph, token, &width, found, &query->hops);
		else
			nhits[t] = graph_search(graph, token, &width, found, &query->hops);
		check_found(graph, token, nhits[t]);
		if (!graph->keeps_walks)
			continue;
		graph->kept[t] = graph->walk;
		graph->walk = other;
	}
	graph->keeps_walks = false;
	unshare_sketch(graph);
}

static void
free_walk(GraphWalk *walk)
{
	void *parts[] = {walk->frontier.hits, walk->results.hits, walk->found.hits,
					 walk->sightings.vertices, walk->expanded};

	for (int i = 0; i < lengthof(parts); i++)
		if (parts[i] != NULL)
			pfree(parts[i]);
	*walk = (GraphWalk) {0};
}

static void
forget_walks(Finder *finder)
{
	Graph *graph = (Graph *) finder;

	for (uint32 t = 0; graph->kept != NULL && t < MAX_KEPT_WALKS; t++)
		free_walk(&graph->kept[t]);
}

static void
graph_assign(Finder *finder, const float *tokens, uint32 ntokens, NodeHit *nearest)
{
	Graph           *graph = (Graph *) finder;
	const GraphWidth width = {1, ASSIGN_EF, 1};
	uint64           hops = 0;

	if (graph_assign_many(graph, tokens, ntokens, nearest))
		return;
	for (uint32 t = 0; t < ntokens; t++)
		if (graph_search(graph, tokens + (size_t) t * graph->dim, &width, &nearest[t], &hops) == 0)
			graph_corrupted(graph, graph->index->meta.nodes.entry_node,
							graph->index->meta.nodes.entry_level);
}

/* Minimum estimated shrink of a node. */
#define MIN_SHRINK 0.25

/*
 * Estimate the shrink of a node added after training as the average shrink of
 * the trained nodes. For unit vectors, the squared distance of a token to its
 * node is 2 - 2 <x, c>, and the mean of <x, c> is the shrink.
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
graph_add(Finder *finder, const float *vector)
{
	Graph *graph = (Graph *) finder;

	return graph_insert(graph, vector, added_shrink(&graph->index->meta));
}

static uint32
near_nodes(Finder *finder, const float *vector, NodeHit *hits, uint32 n)
{
	return graph_near((Graph *) finder, vector, hits, n);
}

static void
copy_vector(Finder *finder, uint32 node, float *vector)
{
	Graph *graph = (Graph *) finder;
	char  *data;
	Buffer buffer = parray_read(graph->index, ARRAY_NEIGHBOURS, node, &data);

	kernels->half_to_float(graph_vertex(graph, data, node, 0).entry->vector, vector, graph->dim);
	UnlockReleaseBuffer(buffer);
}

/* Report the nodes of the graph as tuples of a build. */
static void
report_nodes(const Graph *graph, uint32 done, uint32 total)
{
	static const int params[] = {PROGRESS_CREATEIDX_TUPLES_TOTAL, PROGRESS_CREATEIDX_TUPLES_DONE};
	const int64      values[] = {total, done};

	if (graph->index->building)
		pgstat_progress_update_multi_param(lengthof(params), params, values);
}

static void
graph_store(Finder *finder, const KmeansResult *trained, uint32 *node_of)
{
	Graph        *graph = (Graph *) finder;
	uint32        n = trained->ncentroids;
	uint32       *order = palloc_extended(mul_size(n, sizeof(uint32)), MCXT_ALLOC_HUGE);
	pg_prng_state random;

	/*
	 * Fisher-Yates shuffle: inserting the centroids in their order, grouped by
	 * parent, would produce an unbalanced graph.
	 */
	pg_prng_seed(&random, graph->index->meta.shape.seed);
	for (uint32 i = 0; i < n; i++)
	{
		uint32 j = (uint32) pg_prng_uint64_range(&random, 0, i);

		order[i] = order[j];
		order[j] = i;
	}
	graph_count_at_close(graph);
	memset(node_of, 0xFF, n * sizeof(uint32));
	for (uint32 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		report_nodes(graph, i, n);
		if (i == n / 2)
			COLBERT_PAUSE("nodes-stored");
		if (trained->near != NULL)
			graph_know_near(graph, trained, order[i], node_of);
		node_of[order[i]] = graph_insert(graph, trained->centroids + (size_t) order[i] * graph->dim,
										 trained->shrinks != NULL ? trained->shrinks[order[i]] : 1);
	}
	report_nodes(graph, n, n);
	pfree(order);
}

const FinderOps graph_finder = {
	.kind = FINDER_HNSW,
	.goes_on = true,
	.item_size = graph_item_size,
	.max_m = graph_max_m,
	.open = open_finder,
	.close = close_finder,
	.find = graph_find,
	.forget = forget_walks,
	.assign = graph_assign,
	.near = near_nodes,
	.add = graph_add,
	.vector = copy_vector,
	.near_trained = graph_near_trained,
	.store = graph_store,
	.check = graph_check,
};
