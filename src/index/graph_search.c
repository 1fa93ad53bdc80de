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
 * One page is locked at a time, shared, and nothing is allocated meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "index/graph_internal.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#define FEWEST_SLOTS 512

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

/* ---- visited nodes ---- */

static inline uint32
visited_slot(const VisitedSet *visited, uint32 node)
{
	uint32		slot = (node * 0x9E3779B1U) >> 7 & (visited->nslots - 1);

	while (visited->slots[slot] != INVALID_ORDINAL && visited->slots[slot] != node)
		slot = (slot + 1) & (visited->nslots - 1);
	return slot;
}

/* Note a node; false where it was there. There must be room. */
static inline bool
visited_add(VisitedSet *visited, uint32 node)
{
	uint32		slot = visited_slot(visited, node);

	if (visited->slots[slot] == node)
		return false;
	visited->slots[slot] = node;
	visited->count++;
	return true;
}

/* Use so many slots (a power of two), all empty. */
static void
visited_clear(VisitedSet *visited, uint32 nslots, MemoryContext context)
{
	if (nslots > visited->capacity)
	{
		if (visited->slots != NULL)
			pfree(visited->slots);
		visited->slots = MemoryContextAllocHuge(context, mul_size(nslots, sizeof(uint32)));
		visited->capacity = nslots;
	}
	memset(visited->slots, 0xFF, nslots * sizeof(uint32));
	visited->nslots = nslots;
	visited->count = 0;
}

/* Make room for more nodes: at most half of the slots are taken. */
static void
visited_reserve(VisitedSet *visited, uint32 more, MemoryContext context)
{
	VisitedSet	grown = {0};

	if ((visited->count + more) * 2 <= visited->nslots)
		return;
	visited_clear(&grown, visited->nslots * 2, context);
	for (uint32 i = 0; i < visited->nslots; i++)
		if (visited->slots[i] != INVALID_ORDINAL)
			visited_add(&grown, visited->slots[i]);
	pfree(visited->slots);
	*visited = grown;
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
	visited_reserve(&graph->visited, count, graph->context);
	for (uint32 i = 0; i < count; i++)
	{
		uint32		neighbour = graph->lane_nodes[i];
		float		estimate = graph->lane_estimates[i];

		if (estimate > worst && neighbour < nnodes && visited_add(&graph->visited, neighbour))
			heap_push(&graph->frontier, neighbour, estimate);
	}
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

	visited_clear(&graph->visited, Max(graph->visited.nslots, FEWEST_SLOTS), graph->context);
	visited_reserve(&graph->visited, nstart, graph->context);
	graph->frontier.count = 0;
	heap_reserve(&graph->frontier, nstart, graph->context);
	for (uint32 i = 0; i < nstart; i++)
	{
		GraphHit	start = graph->results.hits[i];

		visited_add(&graph->visited, start.node);
		heap_push(&graph->frontier, start.node, -start.key);
	}
	graph->results.count = 0;
	heap_reserve(&graph->results, ef, graph->context);

	while (graph->frontier.count > 0)
	{
		GraphHit	next = heap_pop(&graph->frontier);

		if (next.key <= worst_key(graph, ef))
			break;
		CHECK_FOR_INTERRUPTS();
		expand(graph, next.node, level, ef);
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
