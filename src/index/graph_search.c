/*-------------------------------------------------------------------------
 *
 * graph_search.c
 *	  Searching the graph.
 *
 * A greedy descent through the levels above, then a best-first walk on the
 * lowest (Malkov and Yashunin 2018, algorithms 2 and 5), with the frontier
 * ordered by estimates and the results by exact keys (Gou et al. 2025): a
 * node's exact key is computed only when the walk comes to it.
 *
 * Every edge to a node gives an estimate of its own, whose error is nearly
 * independent of the others'. A node is ranked by the mean of those seen so
 * far: the walk neither runs after one estimate that is too high nor forgets
 * a node for one that is too low. The frontier is not searched for entries to
 * change. A mean that has risen is queued once more; an entry whose node's
 * mean has fallen is queued anew when it comes to the top.
 *
 * One page is locked at a time, shared, and nothing is allocated meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "index/graph_internal.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#define FEWEST_SLOTS 1024

/* ---- heaps ---- */

static void
heap_reserve(HitHeap *heap, uint32 more, MemoryContext context)
{
	uint32		needed = heap->count + more;

	if (needed <= heap->capacity)
		return;
	needed = Max(needed, Max(heap->capacity * 2, 64));
	if (heap->hits == NULL)
		heap->hits = MemoryContextAllocHuge(context, mul_size(needed, sizeof(GraphHit)));
	else
		heap->hits = repalloc_huge(heap->hits, mul_size(needed, sizeof(GraphHit)));
	heap->capacity = needed;
}

/* Put a hit where the hole at position i is, moving it up. */
static void
heap_sift_up(HitHeap *heap, uint32 i, GraphHit hit)
{
	while (i > 0)
	{
		uint32		parent = (i - 1) / 2;

		if (heap->hits[parent].key >= hit.key)
			break;
		heap->hits[i] = heap->hits[parent];
		i = parent;
	}
	heap->hits[i] = hit;
}

/* Put a hit on top and let it sink. */
static void
heap_replace_top(HitHeap *heap, GraphHit hit)
{
	uint32		i = 0;
	uint32		child;

	while ((child = 2 * i + 1) < heap->count)
	{
		if (child + 1 < heap->count && heap->hits[child + 1].key > heap->hits[child].key)
			child++;
		if (hit.key >= heap->hits[child].key)
			break;
		heap->hits[i] = heap->hits[child];
		i = child;
	}
	heap->hits[i] = hit;
}

static void
heap_push(HitHeap *heap, uint32 node, float key)
{
	heap_sift_up(heap, heap->count++, (GraphHit) {node, key});
}

static GraphHit
heap_pop(HitHeap *heap)
{
	GraphHit	top = heap->hits[0];

	heap->count--;
	if (heap->count > 0)
		heap_replace_top(heap, heap->hits[heap->count]);
	return top;
}

/* ---- sightings ---- */

/* The node's slot, or the empty one where it belongs. */
static inline Sighting *
find_sighting(const SightingTable *table, uint32 node)
{
	uint32		i = (node * 0x9E3779B1U) >> 7 & (table->nslots - 1);

	while (table->slots[i].node != node && table->slots[i].node != INVALID_ORDINAL)
		i = (i + 1) & (table->nslots - 1);
	return &table->slots[i];
}

/* Forget all nodes. */
static void
clear_sightings(SightingTable *table, MemoryContext context)
{
	if (table->slots == NULL)
	{
		table->nslots = FEWEST_SLOTS;
		table->slots = MemoryContextAlloc(context, FEWEST_SLOTS * sizeof(Sighting));
	}
	memset(table->slots, 0xFF, table->nslots * sizeof(Sighting));
	table->count = 0;
}

/* Make room for more nodes: at most half of the slots are taken. */
static void
reserve_sightings(SightingTable *table, uint32 more, MemoryContext context)
{
	while ((table->count + more) * 2 > table->nslots)
	{
		SightingTable old = *table;

		table->nslots *= 2;
		table->slots = MemoryContextAllocHuge(context, mul_size(table->nslots, sizeof(Sighting)));
		memset(table->slots, 0xFF, table->nslots * sizeof(Sighting));
		for (uint32 i = 0; i < old.nslots; i++)
			if (old.slots[i].node != INVALID_ORDINAL)
				*find_sighting(table, old.slots[i].node) = old.slots[i];
		pfree(old.slots);
	}
}

/* Queue a node by its mean. The frontier must have room. */
static inline void
queue_node(HitHeap *frontier, Sighting *sighting)
{
	sighting->queued = sighting->mean;
	heap_push(frontier, sighting->node, sighting->mean);
}

/*
 * Take in an estimate of a node; worst is the key that it must beat to be of
 * interest. There must be room in the table and in the frontier.
 */
static inline void
add_estimate(Graph *graph, uint32 node, float estimate, float worst)
{
	Sighting   *sighting = find_sighting(&graph->sightings, node);

	if (sighting->node == INVALID_ORDINAL)
	{
		if (!(estimate > worst))
			return;
		graph->sightings.count++;
		*sighting = (Sighting) {.node = node, .estimates = 1, .mean = estimate};
		queue_node(&graph->frontier, sighting);
	}
	else if (sighting->estimates != NODE_EXPANDED)
	{
		sighting->mean += (estimate - sighting->mean) / (float) ++sighting->estimates;
		if (sighting->mean > sighting->queued && sighting->mean > worst)
			queue_node(&graph->frontier, sighting);
	}
}

/*
 * Take the best node of the frontier out of it, to be expanded: the first
 * whose entry does not overstate its mean. False where none beats worst.
 */
static bool
next_node(Graph *graph, float worst, uint32 *node)
{
	while (graph->frontier.count > 0)
	{
		GraphHit	top = heap_pop(&graph->frontier);
		Sighting   *sighting = find_sighting(&graph->sightings, top.node);

		if (!(top.key > worst))
			return false;
		if (sighting->estimates == NODE_EXPANDED)
			continue;
		if (sighting->mean < top.key)
		{
			queue_node(&graph->frontier, sighting);
			continue;
		}
		sighting->estimates = NODE_EXPANDED;
		*node = top.node;
		return true;
	}
	return false;
}

/* ---- the walk ---- */

void
graph_set_query(Graph *graph, const float *vector, GraphKey key)
{
	float		constant = 0;

	graph->key = key;
	memcpy(graph->query, vector, graph->dim * sizeof(float));
	rotation_apply(graph->rotation, vector, graph->rotated);
	graph->sketch = kernel_sketch_pack(graph->sketch_memory, graph->rotated, &constant, 1, graph->padded, false);
}

bool
graph_start(Graph *graph)
{
	const MetaPageData *meta = graph->meta;

	graph->results.count = 0;
	if (meta->entry_node == INVALID_ORDINAL)
		return false;
	if (meta->entry_node >= meta->arrays[ARRAY_NODES].nitems || meta->entry_level > GRAPH_MAX_LEVEL)
		graph_corrupted(graph, "entry point", meta->entry_node);
	heap_reserve(&graph->results, 1, graph->context);
	heap_push(&graph->results, meta->entry_node, -INFINITY);
	return true;
}

/* The key that a node must beat to enter the ef results. */
static float
worst_key(const Graph *graph, uint32 ef)
{
	return graph->results.count < ef ? -INFINITY : -graph->results.hits[0].key;
}

static void
add_result(Graph *graph, uint32 node, float key, uint32 ef)
{
	if (graph->results.count < ef)
		heap_push(&graph->results, node, -key);
	else if (key > worst_key(graph, ef))
		heap_replace_top(&graph->results, (GraphHit) {node, -key});
}

/* Put the neighbours of a node that promise to be among the results into the frontier. */
static void
add_neighbours(Graph *graph, uint32 node, NodeHead head, float base, uint32 level, float worst)
{
	uint32		nnodes = graph->meta->arrays[ARRAY_NODES].nitems;
	uint32		item;
	ArrayKind	kind = graph_list_item(graph, head.upper, node, level, &item);
	char	   *data;
	Buffer		buffer = parray_read(graph->index, graph->meta, kind, item, &data);
	uint32		count = edges_estimate(graph_list(graph, data, node, level), graph->sketch, graph->key, base,
									   graph->lane_nodes, graph->lane_estimates);

	UnlockReleaseBuffer(buffer);
	heap_reserve(&graph->frontier, count, graph->context);
	reserve_sightings(&graph->sightings, count, graph->context);
	for (uint32 i = 0; i < count; i++)
		if (graph->lane_nodes[i] < nnodes)
			add_estimate(graph, graph->lane_nodes[i], graph->lane_estimates[i], worst);
}

/* Come to a node: its exact key, then its neighbours. */
static void
expand(Graph *graph, uint32 node, uint32 level, uint32 ef)
{
	NodeHead	head = graph_read_node(graph, node, graph->vector);
	float		similarity = graph_dot(graph->query, graph->vector, graph->width);
	float		base = similarity - head.half_norm;

	graph->hops++;
	add_result(graph, node, graph->key == GRAPH_KEY_IP ? similarity : base, ef);
	add_neighbours(graph, node, head, base, level, worst_key(graph, ef));
}

void
graph_walk(Graph *graph, uint32 level, uint32 ef)
{
	uint32		nstart = graph->results.count;
	uint32		node;

	clear_sightings(&graph->sightings, graph->context);
	reserve_sightings(&graph->sightings, nstart, graph->context);
	graph->frontier.count = 0;
	heap_reserve(&graph->frontier, nstart, graph->context);
	for (uint32 i = 0; i < nstart; i++)
		add_estimate(graph, graph->results.hits[i].node, -graph->results.hits[i].key, -INFINITY);
	graph->results.count = 0;
	heap_reserve(&graph->results, ef, graph->context);

	while (next_node(graph, worst_key(graph, ef), &node))
	{
		CHECK_FOR_INTERRUPTS();
		expand(graph, node, level, ef);
	}
}

uint32
graph_search(Graph *graph, const float *vector, GraphKey key, uint32 ef, GraphHit *hits, uint64 *hops)
{
	uint32		count;

	if (ef == 0 || !graph_start(graph))
		return 0;
	graph->hops = 0;
	graph_set_query(graph, vector, key);
	for (uint32 level = graph->meta->entry_level; level > 0; level--)
		graph_walk(graph, level, 1);
	graph_walk(graph, 0, ef);

	count = graph->results.count;
	for (uint32 i = count; i-- > 0;)
	{
		GraphHit	worst = heap_pop(&graph->results);

		hits[i] = (GraphHit) {worst.node, -worst.key};
	}
	if (hops != NULL)
		*hops += graph->hops;
	return count;
}
