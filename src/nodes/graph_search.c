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
 * Every edge to a vertex gives an estimate of its own, whose error is nearly
 * independent of the others'. A vertex is ranked by the mean of those that
 * made it look worth a visit: the walk neither runs after one estimate that is
 * too high nor forgets a vertex for one that is too low. Entries of the
 * frontier are never changed. A mean that has risen is queued once more; one
 * that has fallen is queued anew when its entry comes to the top.
 *
 * The frontier keeps no more entries than results are wanted: what is not
 * among the ef best by estimate hardly ever is among them by its exact key.
 *
 * One page is locked at a time, shared, and nothing is allocated meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "miscadmin.h"
#include "nodes/graph_internal.h"
#include "utils/memutils.h"

#define MIN_SLOTS    512
#define MIN_FRONTIER 16

/* ---- sightings ---- */

/* The vertex's slot, or the empty one where it belongs. */
static inline Sighting *
find_sighting(const SightingTable *table, uint32 vertex)
{
	uint32 i = (vertex * 0x9E3779B1U) >> 7 & (table->nslots - 1);

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
		table->nslots = MIN_SLOTS;
		table->slots = MemoryContextAlloc(context, MIN_SLOTS * sizeof(Sighting));
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

/* Queue a vertex by its mean. */
static inline void
queue_vertex(BestHits *frontier, Sighting *sighting)
{
	sighting->queued = sighting->mean;
	hits_add(frontier, sighting->vertex, sighting->mean);
}

/* Take in an estimate of a vertex. There must be room in the table. */
static inline void
add_estimate(Graph *graph, uint32 vertex, float estimate)
{
	Sighting *sighting = find_sighting(&graph->sightings, vertex);

	if (sighting->vertex == INVALID_ORDINAL)
	{
		graph->sightings.count++;
		*sighting = (Sighting) {.vertex = vertex, .estimates = 1, .mean = estimate};
		queue_vertex(&graph->frontier, sighting);
	}
	else if (sighting->estimates != VERTEX_EXPANDED)
	{
		sighting->mean += (estimate - sighting->mean) / (float) ++sighting->estimates;
		if (sighting->mean > sighting->queued)
			queue_vertex(&graph->frontier, sighting);
	}
}

/*
 * Take the best vertex out of the frontier, to be expanded: the first whose
 * entry does not overstate its mean. False where none beats the results.
 */
static bool
next_vertex(Graph *graph, uint32 *vertex)
{
	BestHits *frontier = &graph->frontier;
	float     worst = hits_worst(&graph->results);

	while (frontier->count > 0 && frontier->hits[frontier->count - 1].key > worst)
	{
		NodeHit   top = frontier->hits[--frontier->count];
		Sighting *sighting = find_sighting(&graph->sightings, top.node);

		if (sighting->estimates == VERTEX_EXPANDED)
			continue;
		if (sighting->mean < top.key)
		{
			queue_vertex(frontier, sighting);
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
graph_set_query(Graph *graph, const float *vector)
{
	float constant = 0;

	memcpy(graph->query, vector, graph->dim * sizeof(float));
	rotation_apply(graph->rotation, vector, graph->rotated);
	graph->sketch = kernel_sketch_pack(graph->sketch_memory, graph->rotated, &constant, 1,
									   graph->padded, false);
}

bool
graph_start(Graph *graph)
{
	const MetaPageData *meta = graph->meta;
	uint32              entry = meta->entry_node;

	hits_reset(&graph->results, 1, graph->context);
	if (entry == INVALID_ORDINAL)
		return false;
	if (entry >= meta->arrays[ARRAY_NODES].nitems || meta->entry_level > GRAPH_MAX_LEVEL)
		graph_corrupted(graph, entry, meta->entry_level);
	if (meta->entry_level > 0)
	{
		char  *data;
		Buffer buffer = parray_read(graph->index, meta, ARRAY_NODES, entry, &data);

		entry = data != NULL ? ((NodeEntry *) data)->upper : INVALID_ORDINAL;
		UnlockReleaseBuffer(buffer);
		if (entry == INVALID_ORDINAL)
			graph_corrupted(graph, meta->entry_node, 0);
		entry += meta->entry_level - 1;
	}
	hits_add(&graph->results, entry, INFINITY);
	return true;
}

void
graph_descend(Graph *graph, uint32 level)
{
	for (uint32 i = 0; i < graph->results.count; i++)
	{
		NodeHit *hit = &graph->results.hits[i];

		if (level > 1)
			hit->node--;
		else
		{
			char  *data;
			Buffer buffer = parray_read(graph->index, graph->meta, ARRAY_UPPER, hit->node, &data);

			hit->node = graph_vertex(graph, data, hit->node, level).node;
			UnlockReleaseBuffer(buffer);
		}
	}
}

/*
 * The key that an estimate must beat to be looked at. A frontier that lacks
 * only the vertex that is being expanded counts as full.
 */
static float
worst_of_interest(const Graph *graph)
{
	const BestHits *frontier = &graph->frontier;
	float           worst = hits_worst(&graph->results);

	if (frontier->count > 0 && frontier->count + 1 >= frontier->capacity)
		worst = Max(worst, frontier->hits[0].key);
	return worst;
}

/*
 * Keep of a list's estimates, in graph's lanes, those that promise to enter
 * the results and the frontier. Vertices that were added since the meta data
 * was read are passed over. Returns how many.
 */
static uint32
filter_lanes(Graph *graph, uint32 count, uint32 nvertices)
{
	uint32 *vertices = graph->lane_vertices;
	float  *estimates = graph->lane_estimates;
	float   worst = worst_of_interest(graph);
	uint32  kept = 0;

	for (uint32 i = 0; i < count; i++)
	{
		uint32 vertex = vertices[i];
		float  estimate = estimates[i];

		vertices[kept] = vertex;
		estimates[kept] = estimate;
		kept += (uint32) (estimate > worst) & (uint32) (vertex < nvertices);
	}
	return kept;
}

/* The key of the mean that a vertex stands for, with the reach of the search. */
static inline float
found_key_of(const Graph *graph, const VertexEntry *entry, float similarity)
{
	/* The nearest node is asked for by the distance to what is stored. */
	float shrink = graph->reach > 1 ? entry->shrink : 1;

	return shrink * (graph->reach * similarity - shrink * entry->half_norm);
}

/* Come to a vertex: its exact key, and estimates of its neighbours. */
static void
expand(Graph *graph, uint32 vertex, uint32 level)
{
	ArrayKind array = graph_array(level);
	uint32    nvertices = graph->meta->arrays[array].nitems;
	char     *data;
	Buffer    buffer;
	Vertex    parts;
	float     similarity;
	float     base;
	float     found_key;
	uint32    count;

	if (vertex >= nvertices)
		graph_corrupted(graph, vertex, level);
	buffer = parray_read(graph->index, graph->meta, array, vertex, &data);
	parts = graph_vertex(graph, data, vertex, level);
	kernels->half_to_float(parts.entry->vector, graph->vector, graph->dim);
	similarity = graph_dot(graph->query, graph->vector, graph->width);
	base = similarity - parts.entry->half_norm;
	found_key = found_key_of(graph, parts.entry, similarity);
	count = edges_estimate(parts.edges, graph->sketch, base, graph->lane_vertices,
						   graph->lane_estimates);
	UnlockReleaseBuffer(buffer);

	graph->hops++;
	hits_add(&graph->results, vertex, base);
	if (level == 0)
		hits_add(&graph->found, vertex, found_key);
	count = filter_lanes(graph, count, nvertices);
	reserve_sightings(&graph->sightings, count, graph->context);
	for (uint32 i = 0; i < count; i++)
		add_estimate(graph, graph->lane_vertices[i], graph->lane_estimates[i]);
}

void
graph_walk(Graph *graph, uint32 level, uint32 ef)
{
	uint32 nstart = graph->results.count;
	uint32 vertex;

	hits_reset(&graph->frontier, Max(Max(ef, nstart), MIN_FRONTIER), graph->context);
	clear_sightings(&graph->sightings, graph->context);
	reserve_sightings(&graph->sightings, nstart, graph->context);
	for (uint32 i = 0; i < nstart; i++)
		add_estimate(graph, graph->results.hits[i].node, graph->results.hits[i].key);
	hits_reset(&graph->results, ef, graph->context);

	while (next_vertex(graph, &vertex))
	{
		CHECK_FOR_INTERRUPTS();
		expand(graph, vertex, level);
	}
}

uint32
graph_search(Graph *graph, const float *vector, const GraphWidth *width, NodeHit *hits,
			 uint64 *hops)
{
	if (!graph_start(graph))
		return 0;
	graph->hops = 0;
	graph_set_query(graph, vector);
	for (uint32 level = graph->meta->entry_level; level > 0; level--)
	{
		graph_walk(graph, level, 1);
		graph_descend(graph, level);
	}
	graph->reach = width->reach;
	hits_reset(&graph->found, width->n, graph->context);
	graph_walk(graph, 0, width->ef);

	*hops += graph->hops;
	return hits_best(&graph->found, width->n, hits);
}
