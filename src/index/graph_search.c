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

/* The vertex's slot, or the empty one where it belongs. */
static inline Sighting *
find_sighting(const SightingTable *table, uint32 vertex)
{
	uint32		i = (vertex * 0x9E3779B1U) >> 7 & (table->nslots - 1);

	while (table->slots[i].vertex != vertex && table->slots[i].vertex != INVALID_ORDINAL)
		i = (i + 1) & (table->nslots - 1);
	return &table->slots[i];
}

/* Forget all vertices. */
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

/* Make room for more vertices: at most half of the slots are taken. */
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
			if (old.slots[i].vertex != INVALID_ORDINAL)
				*find_sighting(table, old.slots[i].vertex) = old.slots[i];
		pfree(old.slots);
	}
}

/* Queue a vertex by its mean. The frontier must have room. */
static inline void
queue_vertex(HitHeap *frontier, Sighting *sighting)
{
	sighting->queued = sighting->mean;
	heap_push(frontier, sighting->vertex, sighting->mean);
}

/*
 * Take in an estimate of a vertex; worst is the key that it must beat to be of
 * interest. There must be room in the table and in the frontier.
 */
static inline void
add_estimate(Graph *graph, uint32 vertex, float estimate, float worst)
{
	Sighting   *sighting = find_sighting(&graph->sightings, vertex);

	if (sighting->vertex == INVALID_ORDINAL)
	{
		if (!(estimate > worst))
			return;
		graph->sightings.count++;
		*sighting = (Sighting) {.vertex = vertex, .estimates = 1, .mean = estimate};
		queue_vertex(&graph->frontier, sighting);
	}
	else if (sighting->estimates != VERTEX_EXPANDED)
	{
		sighting->mean += (estimate - sighting->mean) / (float) ++sighting->estimates;
		if (sighting->mean > sighting->queued && sighting->mean > worst)
			queue_vertex(&graph->frontier, sighting);
	}
}

/*
 * Take the best vertex of the frontier out of it, to be expanded: the first
 * whose entry does not overstate its mean. False where none beats worst.
 */
static bool
next_vertex(Graph *graph, float worst, uint32 *vertex)
{
	while (graph->frontier.count > 0)
	{
		GraphHit	top = heap_pop(&graph->frontier);
		Sighting   *sighting = find_sighting(&graph->sightings, top.node);

		if (!(top.key > worst))
			return false;
		if (sighting->estimates == VERTEX_EXPANDED)
			continue;
		if (sighting->mean < top.key)
		{
			queue_vertex(&graph->frontier, sighting);
			continue;
		}
		sighting->estimates = VERTEX_EXPANDED;
		*vertex = top.node;
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
	uint32		entry = meta->entry_node;

	graph->results.count = 0;
	if (entry == INVALID_ORDINAL)
		return false;
	if (entry >= meta->arrays[ARRAY_NODES].nitems || meta->entry_level > GRAPH_MAX_LEVEL)
		graph_corrupted(graph, entry, meta->entry_level);
	if (meta->entry_level > 0)
	{
		char	   *data;
		Buffer		buffer = parray_read(graph->index, meta, ARRAY_NODES, entry, &data);

		entry = data != NULL ? ((NodeEntry *) data)->upper : INVALID_ORDINAL;
		UnlockReleaseBuffer(buffer);
		if (entry == INVALID_ORDINAL)
			graph_corrupted(graph, meta->entry_node, 0);
		entry += meta->entry_level - 1;
	}
	heap_reserve(&graph->results, 1, graph->context);
	heap_push(&graph->results, entry, -INFINITY);
	return true;
}

void
graph_descend(Graph *graph, uint32 level)
{
	for (uint32 i = 0; i < graph->results.count; i++)
	{
		GraphHit   *hit = &graph->results.hits[i];

		if (level > 1)
			hit->node--;
		else
		{
			char	   *data;
			Buffer		buffer = parray_read(graph->index, graph->meta, ARRAY_UPPER, hit->node, &data);

			hit->node = graph_vertex(graph, data, hit->node, level).node;
			UnlockReleaseBuffer(buffer);
		}
	}
}

/* The key that a vertex must beat to enter the ef results. */
static float
worst_key(const Graph *graph, uint32 ef)
{
	return graph->results.count < ef ? -INFINITY : -graph->results.hits[0].key;
}

static void
add_result(Graph *graph, uint32 vertex, float key, uint32 ef)
{
	if (graph->results.count < ef)
		heap_push(&graph->results, vertex, -key);
	else if (key > worst_key(graph, ef))
		heap_replace_top(&graph->results, (GraphHit) {vertex, -key});
}

/*
 * Come to a vertex: its exact key, and estimates of its neighbours, which go
 * into the frontier if they promise to be among the results. Those that were
 * added since the meta data was read are passed over.
 */
static void
expand(Graph *graph, uint32 vertex, uint32 level, uint32 ef)
{
	ArrayKind	array = graph_array(level);
	uint32		nvertices = graph->meta->arrays[array].nitems;
	char	   *data;
	Buffer		buffer;
	Vertex		parts;
	float		similarity;
	float		base;
	float		worst;
	uint32		count;

	if (vertex >= nvertices)
		graph_corrupted(graph, vertex, level);
	buffer = parray_read(graph->index, graph->meta, array, vertex, &data);
	parts = graph_vertex(graph, data, vertex, level);
	kernels->half_to_float(parts.entry->vector, graph->vector, graph->dim);
	similarity = graph_dot(graph->query, graph->vector, graph->width);
	base = similarity - parts.entry->half_norm;
	count = edges_estimate(parts.edges, graph->sketch, graph->key, base,
						   graph->lane_vertices, graph->lane_estimates);
	UnlockReleaseBuffer(buffer);

	graph->hops++;
	add_result(graph, vertex, graph->key == GRAPH_KEY_IP ? similarity : base, ef);
	worst = worst_key(graph, ef);
	heap_reserve(&graph->frontier, count, graph->context);
	reserve_sightings(&graph->sightings, count, graph->context);
	for (uint32 i = 0; i < count; i++)
		if (graph->lane_vertices[i] < nvertices)
			add_estimate(graph, graph->lane_vertices[i], graph->lane_estimates[i], worst);
}

void
graph_walk(Graph *graph, uint32 level, uint32 ef)
{
	uint32		nstart = graph->results.count;
	uint32		vertex;

	clear_sightings(&graph->sightings, graph->context);
	reserve_sightings(&graph->sightings, nstart, graph->context);
	graph->frontier.count = 0;
	heap_reserve(&graph->frontier, nstart, graph->context);
	for (uint32 i = 0; i < nstart; i++)
		add_estimate(graph, graph->results.hits[i].node, -graph->results.hits[i].key, -INFINITY);
	graph->results.count = 0;
	heap_reserve(&graph->results, ef, graph->context);

	while (next_vertex(graph, worst_key(graph, ef), &vertex))
	{
		CHECK_FOR_INTERRUPTS();
		expand(graph, vertex, level, ef);
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
	{
		graph_walk(graph, level, 1);
		graph_descend(graph, level);
	}
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
