/*-------------------------------------------------------------------------
 *
 * graph_search.c
 *	  Search the graph.
 *
 * A greedy descent through the upper levels is followed by a best-first walk
 * on the lowest level (Malkov and Yashunin 2018, algorithms 2 and 5). The
 * frontier is ordered by estimates and the results by exact keys (Gou et al.
 * 2025): a node's exact key is computed only when the walk expands it.
 *
 * Each edge to a vertex gives an estimate whose error is nearly independent of
 * the errors of other edges. A vertex is therefore ranked by the mean of its
 * promising estimates. The walk neither follows a single estimate that is too
 * high nor drops a vertex for one that is too low. Frontier entries are never
 * changed: a vertex whose mean has risen is queued again, and one whose mean
 * has fallen is requeued when its entry reaches the top.
 *
 * The frontier keeps no more entries than the results: a vertex that is not
 * among the ef best by estimate is hardly ever among them by its exact key.
 *
 * At most one page is locked at a time, in share mode, and nothing is
 * allocated meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "base/array.h"
#include "miscadmin.h"
#include "nodes/graph_internal.h"
#include "utils/memutils.h"

#define MIN_SLOTS    512
#define MIN_FRONTIER 16

/* ---- sightings ---- */

/* Return the vertex's slot, or the empty slot for it. */
static inline uint32
find_slot(const SightingTable *table, uint32 vertex)
{
	uint32 i = (vertex * 0x9E3779B1U) >> 7 & (table->nslots - 1);

	while (table->vertices[i] != vertex && table->vertices[i] != INVALID_ORDINAL)
		i = (i + 1) & (table->nslots - 1);
	return i;
}

/* Set an empty table of this size. */
static void
allocate_sightings(SightingTable *table, uint32 nslots, MemoryContext context)
{
	table->nslots = nslots;
	table->vertices =
		MemoryContextAllocHuge(context, mul_size(nslots, sizeof(uint32) + sizeof(Sighting)));
	table->slots = (Sighting *) (table->vertices + nslots);
	memset(table->vertices, 0xFF, nslots * sizeof(uint32));
}

/* Empty the table. */
static void
clear_sightings(SightingTable *table, MemoryContext context)
{
	if (table->vertices == NULL)
		allocate_sightings(table, MIN_SLOTS, context);
	else
		memset(table->vertices, 0xFF, table->nslots * sizeof(uint32));
	table->count = 0;
}

/* Make room for more vertices. At most half of the slots are used. */
static void
reserve_sightings(SightingTable *table, uint32 more, MemoryContext context)
{
	SightingTable old = *table;
	uint32        nslots = table->nslots;

	while ((table->count + more) * 2 > nslots)
		nslots *= 2;
	if (nslots == old.nslots)
		return;
	allocate_sightings(table, nslots, context);
	for (uint32 i = 0; i < old.nslots; i++)
		if (old.vertices[i] != INVALID_ORDINAL)
		{
			uint32 slot = find_slot(table, old.vertices[i]);

			table->vertices[slot] = old.vertices[i];
			table->slots[slot] = old.slots[i];
		}
	pfree(old.vertices);
}

/* Add a vertex to the frontier under its mean estimate. */
static inline void
queue_vertex(BestHits *frontier, uint32 vertex, Sighting *sighting)
{
	sighting->queued = sighting->mean;
	hits_add(frontier, vertex, sighting->mean);
}

/* Add an estimate of a vertex to its mean. The table must have room. */
static inline void
add_estimate(Graph *graph, uint32 vertex, float estimate)
{
	SightingTable *table = &graph->walk.sightings;
	uint32         slot = find_slot(table, vertex);
	Sighting      *sighting = &table->slots[slot];

	if (table->vertices[slot] == INVALID_ORDINAL)
	{
		table->count++;
		table->vertices[slot] = vertex;
		*sighting = (Sighting) {.estimates = 1, .mean = estimate};
		queue_vertex(&graph->walk.frontier, vertex, sighting);
	}
	else if (sighting->estimates != VERTEX_EXPANDED)
	{
		sighting->mean += (estimate - sighting->mean) / (float) ++sighting->estimates;
		if (sighting->mean > sighting->queued)
			queue_vertex(&graph->walk.frontier, vertex, sighting);
	}
}

/*
 * Remove the next vertex to expand from the frontier: the first whose entry
 * does not overstate its mean. Returns false if no entry is better than the
 * worst result.
 */
static bool
next_vertex(Graph *graph, uint32 *vertex)
{
	BestHits *frontier = &graph->walk.frontier;
	float     worst = hits_worst(&graph->walk.results);

	while (frontier->count > 0 && frontier->hits[frontier->count - 1].key > worst)
	{
		NodeHit   top = frontier->hits[--frontier->count];
		Sighting *sighting =
			&graph->walk.sightings.slots[find_slot(&graph->walk.sightings, top.node)];

		if (sighting->estimates == VERTEX_EXPANDED)
			continue;
		if (sighting->mean < top.key)
		{
			queue_vertex(frontier, top.node, sighting);
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
	graph->sketch_token = 0;
	if (graph->shared != NULL)
	{
		graph->sketch = graph->shared;
		graph->sketch_token = graph->shared_token;
		return;
	}
	rotation_apply(graph->rotation, vector, graph->rotated);
	graph->sketch = kernel_sketch_pack(graph->sketch_memory, graph->rotated, &constant, 1,
									   graph->padded, false);
}

bool
graph_start(Graph *graph)
{
	const MetaPageData *meta = &graph->index->meta;
	uint32              entry = meta->nodes.entry_node;

	hits_reset(&graph->walk.results, 1, graph->context);
	if (entry == INVALID_ORDINAL)
		return false;
	if (entry >= meta_nitems(meta, ARRAY_NODES) || meta->nodes.entry_level > GRAPH_MAX_LEVEL)
		graph_corrupted(graph, entry, meta->nodes.entry_level);
	if (meta->nodes.entry_level > 0)
	{
		char  *data;
		Buffer buffer = parray_read(graph->index, ARRAY_NODES, entry, &data);

		entry = data != NULL ? ((NodeEntry *) data)->upper : INVALID_ORDINAL;
		UnlockReleaseBuffer(buffer);
		if (entry == INVALID_ORDINAL)
			graph_corrupted(graph, meta->nodes.entry_node, 0);
		entry += meta->nodes.entry_level - 1;
	}
	hits_add(&graph->walk.results, entry, INFINITY);
	return true;
}

void
graph_descend(Graph *graph, uint32 level)
{
	for (uint32 i = 0; i < graph->walk.results.count; i++)
	{
		NodeHit *hit = &graph->walk.results.hits[i];

		if (level > 1)
			hit->node--;
		else
		{
			char  *data;
			Buffer buffer = parray_read(graph->index, ARRAY_UPPER, hit->node, &data);

			hit->node = graph_vertex(graph, data, hit->node, level).node;
			UnlockReleaseBuffer(buffer);
		}
	}
}

/*
 * Return the key that an estimate must exceed to be considered. A frontier
 * that has room only for the vertex being expanded counts as full.
 */
static float
worst_of_interest(const Graph *graph)
{
	const BestHits *frontier = &graph->walk.frontier;
	float           worst = hits_worst(&graph->walk.results);

	if (frontier->count > 0 && frontier->count + 1 >= frontier->capacity)
		worst = Max(worst, frontier->hits[0].key);
	return worst;
}

/*
 * Keep the estimates in graph's lanes that may enter the results and the
 * frontier. Vertices added since the meta data was read are skipped. Returns
 * their number.
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

/* Return the key of a vertex's centroid for the reach of the search. */
static inline float
found_key_of(const Graph *graph, const VertexEntry *entry, float similarity)
{
	/* Tokens are assigned by distance to the stored vector. */
	float shrink = graph->reach > 1 ? entry->shrink : 1;

	return shrink * (graph->reach * similarity - shrink * entry->half_norm);
}

/* Remember a vertex that was expanded, for a walk that goes on (graph_resume). */
static void
keep_expanded(Graph *graph, ExpandedVertex expanded)
{
	GraphWalk *walk = &graph->walk;

	walk->expanded = array_reserve(walk->expanded, &walk->capacity, (Size) walk->nexpanded + 1,
								   sizeof(ExpandedVertex), graph->context);
	walk->expanded[walk->nexpanded++] = expanded;
}

/* Expand a vertex: compute its exact key and estimate its neighbours. */
static void
expand(Graph *graph, uint32 vertex, uint32 level)
{
	ArrayKind array = graph_array(level);
	uint32    nvertices = parray_nitems(graph->index, array);
	char     *data;
	Buffer    buffer;
	Vertex    parts;
	float     similarity;
	float     base;
	float     found_key;
	uint32    count;

	if (vertex >= nvertices)
		graph_corrupted(graph, vertex, level);
	buffer = parray_read(graph->index, array, vertex, &data);
	parts = graph_vertex(graph, data, vertex, level);
	kernels->half_to_float(parts.entry->vector, graph->vector, graph->dim);
	similarity = graph_dot(graph->query, graph->vector, graph->width);
	base = similarity - parts.entry->half_norm;
	found_key = found_key_of(graph, parts.entry, similarity);
	count = edges_estimate(parts.edges, graph->sketch, graph->sketch_token, base,
						   graph->lane_vertices, graph->lane_estimates);
	UnlockReleaseBuffer(buffer);

	graph->hops++;
	hits_add(&graph->walk.results, vertex, base);
	if (level == 0)
		hits_add(&graph->walk.found, vertex, found_key);
	if (level == 0 && graph->keeps_walks)
		keep_expanded(graph, (ExpandedVertex) {vertex, base, found_key});
	count = filter_lanes(graph, count, nvertices);
	reserve_sightings(&graph->walk.sightings, count, graph->context);
	for (uint32 i = 0; i < count; i++)
		add_estimate(graph, graph->lane_vertices[i], graph->lane_estimates[i]);
}

/* Expand vertices until none in the frontier is better than the worst result. */
static void
walk_on(Graph *graph, uint32 level)
{
	uint32 vertex;

	while (next_vertex(graph, &vertex))
	{
		CHECK_FOR_INTERRUPTS();
		expand(graph, vertex, level);
	}
}

void
graph_walk(Graph *graph, uint32 level, uint32 ef)
{
	uint32 nstart = graph->walk.results.count;

	graph->walk.nexpanded = 0;
	hits_reset(&graph->walk.frontier, Max(Max(ef, nstart), MIN_FRONTIER), graph->context);
	clear_sightings(&graph->walk.sightings, graph->context);
	reserve_sightings(&graph->walk.sightings, nstart, graph->context);
	for (uint32 i = 0; i < nstart; i++)
		add_estimate(graph, graph->walk.results.hits[i].node, graph->walk.results.hits[i].key);
	hits_reset(&graph->walk.results, ef, graph->context);
	walk_on(graph, level);
}

uint32
graph_search(Graph *graph, const float *vector, const GraphWidth *width, NodeHit *hits,
			 uint64 *hops)
{
	if (!graph_start(graph))
		return 0;
	graph->hops = 0;
	graph_set_query(graph, vector);
	for (uint32 level = graph->index->meta.nodes.entry_level; level > 0; level--)
	{
		graph_walk(graph, level, 1);
		graph_descend(graph, level);
	}
	graph->reach = width->reach;
	hits_reset(&graph->walk.found, width->n, graph->context);
	graph_walk(graph, 0, width->ef);

	*hops += graph->hops;
	return hits_best(&graph->walk.found, width->n, hits);
}

/*
 * Queue all vertices that are not expanded. Those that a narrower frontier had
 * no room for are among them.
 */
static void
queue_all(Graph *graph)
{
	SightingTable *table = &graph->walk.sightings;

	for (uint32 i = 0; i < table->nslots; i++)
		if (table->vertices[i] != INVALID_ORDINAL && table->slots[i].estimates != VERTEX_EXPANDED)
			queue_vertex(&graph->walk.frontier, table->vertices[i], &table->slots[i]);
}

uint32
graph_resume(Graph *graph, const float *vector, const GraphWidth *width, NodeHit *hits,
			 uint64 *hops)
{
	GraphWalk *walk = &graph->walk;

	if (walk->nexpanded == 0)
		return graph_search(graph, vector, width, hits, hops);
	graph->hops = 0;
	graph->reach = width->reach;
	graph_set_query(graph, vector);
	hits_reset(&walk->results, width->ef, graph->context);
	hits_reset(&walk->found, width->n, graph->context);
	hits_reset(&walk->frontier, Max(width->ef, MIN_FRONTIER), graph->context);
	for (uint32 i = 0; i < walk->nexpanded; i++)
	{
		hits_add(&walk->results, walk->expanded[i].vertex, walk->expanded[i].key);
		hits_add(&walk->found, walk->expanded[i].vertex, walk->expanded[i].found_key);
	}
	queue_all(graph);
	walk_on(graph, 0);

	*hops += graph->hops;
	return hits_best(&walk->found, width->n, hits);
}
