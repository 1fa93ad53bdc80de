/*-------------------------------------------------------------------------
 *
 * graph_check.c
 *	  Check the graph: nodes, levels, neighbours, and reachability from the
 *	  entry point.
 *
 * Each vertex is copied before it is checked, and nothing it contains is
 * trusted.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "miscadmin.h"
#include "nodes/graph_internal.h"

typedef struct GraphCheck
{
	Graph     *graph;
	Findings  *findings;
	uint32     nnodes;
	uint32     nupper;
	NodeEntry *nodes;
	uint8     *levels; /* by UpperEntry; 0: damaged */
	char      *item;   /* vertex being checked */
	char      *other;
	float     *rotated; /* its vector, rotated */
	float     *other_rotated;
	Edge       edge;
} GraphCheck;

/* Copy a vertex into item and return its parts. */
static Vertex
read_vertex(GraphCheck *check, uint32 vertex, uint32 level, char *item)
{
	Graph *graph = check->graph;

	parray_copy_out(graph->index, graph_array(level), vertex, 1, item);
	return graph_vertex_parts(graph, item, vertex, level);
}

/*
 * Decode a vertex's vector into graph->vector. Returns false if its half_norm
 * or shrink is wrong.
 */
static bool
widen_vector(GraphCheck *check, const Vertex *vertex)
{
	Graph *graph = check->graph;

	kernels->half_to_float(vertex->entry->vector, graph->vector, graph->dim);
	return vertex->entry->half_norm ==
			   0.5f * graph_dot(graph->vector, graph->vector, graph->width) &&
		   vertex->entry->shrink > 0 && vertex->entry->shrink <= 1;
}

/* ---- neighbours ---- */

/* Return true if a neighbour list of this level may name the vertex. */
static bool
vertex_exists(const GraphCheck *check, uint32 vertex, uint32 level)
{
	return level == 0 ? vertex < check->nnodes
					  : vertex < check->nupper && check->levels[vertex] == level;
}

static bool
named_before(const NeighbourList *list, uint32 lane)
{
	for (uint32 i = 0; i < lane; i++)
		if (list->vertices[i] == list->vertices[lane])
			return true;
	return false;
}

static void
check_neighbours(GraphCheck *check, uint32 vertex, uint32 level, const EdgeList *edges)
{
	const NeighbourList *list = edges->list;

	if (list->count > edges_limit(check->graph->m, level))
	{
		findings_add(check->findings, FINDING_ERROR, vertex,
					 "vertex of level %u has %u neighbours, at most %u fit", level, list->count,
					 edges_limit(check->graph->m, level));
		return;
	}
	for (uint32 lane = 0; lane < list->count; lane++)
		if (!vertex_exists(check, list->vertices[lane], level) || list->vertices[lane] == vertex ||
			named_before(list, lane))
			findings_add(check->findings, FINDING_ERROR, vertex,
						 "vertex of level %u has an invalid or duplicate neighbour %u", level,
						 list->vertices[lane]);
}

/* Encode a vertex's edges again and compare them with the stored ones. */
static void
check_edges(GraphCheck *check, uint32 vertex, uint32 level, Vertex *parts)
{
	Graph *graph = check->graph;
	size_t size = parray_item_size(graph->index, graph_array(level));
	char  *again = palloc(size);
	Vertex copy;

	rotation_apply(graph->rotation, graph->vector, check->rotated);
	memcpy(again, check->item, size);
	copy = graph_vertex_parts(graph, again, vertex, level);
	for (uint32 lane = 0; lane < parts->edges.list->count; lane++)
	{
		uint32 neighbour = parts->edges.list->vertices[lane];
		Vertex to;

		if (!vertex_exists(check, neighbour, level))
			continue;
		to = read_vertex(check, neighbour, level, check->other);
		kernels->half_to_float(to.entry->vector, graph->vector, graph->dim);
		rotation_apply(graph->rotation, graph->vector, check->other_rotated);
		edge_encode(check->rotated, check->other_rotated, graph->padded, &check->edge);
		check->edge.vertex = neighbour;
		edge_put(copy.edges, lane, &check->edge);
	}
	if (memcmp(again, check->item, size) != 0)
		findings_add(check->findings, FINDING_ERROR, vertex,
					 "edges of a vertex of level %u do not match its vector", level);
	pfree(again);
}

/* ---- vertices ---- */

static void
check_vertex(GraphCheck *check, uint32 vertex, uint32 level, bool edges)
{
	Vertex parts;

	CHECK_FOR_INTERRUPTS();
	parts = read_vertex(check, vertex, level, check->item);
	if (!widen_vector(check, &parts))
		findings_add(check->findings, FINDING_ERROR, vertex,
					 "vertex of level %u has a wrong stored length", level);
	check_neighbours(check, vertex, level, &parts.edges);
	if (level > 0 && parts.node < check->nnodes)
	{
		Vertex lowest = read_vertex(check, parts.node, 0, check->other);

		if (memcmp(parts.entry, lowest.entry, graph_vector_size(check->graph->dim)) != 0)
			findings_add(check->findings, FINDING_ERROR, vertex,
						 "vertex of level %u and its node %u have different vectors", level,
						 parts.node);
	}
	if (edges && parts.edges.list->count <= edges_limit(check->graph->m, level))
		check_edges(check, vertex, level, &parts);
}

/* Read the level of each upper entry. Its node must lead to it. */
static void
read_levels(GraphCheck *check)
{
	for (uint32 upper = 0; upper < check->nupper; upper++)
	{
		Graph     *graph = check->graph;
		UpperEntry entry;

		CHECK_FOR_INTERRUPTS();
		parray_copy_out(graph->index, ARRAY_UPPER, upper, 1, check->item);
		memcpy(&entry, check->item, sizeof(entry));
		if (entry.level < 1 || entry.level > GRAPH_MAX_LEVEL || entry.node >= check->nnodes ||
			check->nodes[entry.node].upper != upper - (entry.level - 1))
			findings_add(
				check->findings, FINDING_ERROR, upper,
				"upper entry names node %u and level %u, but the node does not refer to it",
				entry.node, entry.level);
		else
			check->levels[upper] = (uint8) entry.level;
	}
}

/* Return the highest level of a node. */
static uint32
top_level(const GraphCheck *check, uint32 node)
{
	uint32 upper = check->nodes[node].upper;
	uint32 level = 0;

	if (upper == INVALID_ORDINAL)
		return 0;
	while ((uint64) upper + level < check->nupper && check->levels[upper + level] == level + 1)
		level++;
	return level;
}

static void
check_entry(GraphCheck *check)
{
	const MetaPageData *meta = &check->graph->index->meta;

	if (check->nnodes == 0 || meta->nodes.entry_node >= check->nnodes)
	{
		if (check->nnodes > 0 || meta->nodes.entry_node != INVALID_ORDINAL)
			findings_add(check->findings, FINDING_ERROR, NO_ITEM, "entry point is node %u of %u",
						 meta->nodes.entry_node, check->nnodes);
		return;
	}
	if (top_level(check, meta->nodes.entry_node) != meta->nodes.entry_level)
		findings_add(check->findings, FINDING_ERROR, meta->nodes.entry_node,
					 "entry point has level %u, but the meta page has %u",
					 top_level(check, meta->nodes.entry_node), meta->nodes.entry_level);
	for (uint32 node = 0; node < check->nnodes; node++)
	{
		if (check->nodes[node].upper != INVALID_ORDINAL && top_level(check, node) == 0)
			findings_add(check->findings, FINDING_ERROR, node,
						 "node refers to invalid upper entry %u", check->nodes[node].upper);
		if (top_level(check, node) > meta->nodes.entry_level)
			findings_add(check->findings, FINDING_ERROR, node,
						 "node has a higher level than the entry point");
	}
}

/* ---- reachability ---- */

/*
 * Follow all edges of the lowest level from the entry point. An insertion keeps
 * every node reachable (graph_insert.c).
 */
static void
check_ways(GraphCheck *check)
{
	uint32 *queue = palloc_extended(mul_size(check->nnodes, sizeof(uint32)), MCXT_ALLOC_HUGE);
	bool   *reached = palloc_extended(check->nnodes, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	uint32  count = 0;

	queue[count++] = check->graph->index->meta.nodes.entry_node;
	reached[queue[0]] = true;
	for (uint32 i = 0; i < count; i++)
	{
		const NeighbourList *list = read_vertex(check, queue[i], 0, check->item).edges.list;

		CHECK_FOR_INTERRUPTS();
		for (uint32 lane = 0; lane < Min(list->count, edges_limit(check->graph->m, 0)); lane++)
		{
			uint32 neighbour = list->vertices[lane];

			if (neighbour >= check->nnodes || reached[neighbour])
				continue;
			reached[neighbour] = true;
			queue[count++] = neighbour;
		}
	}
	for (uint32 node = 0; node < check->nnodes; node++)
		if (!reached[node])
			findings_add(check->findings, FINDING_WARNING, node,
						 "node cannot be reached from the entry point; REINDEX mends this");
	pfree(queue);
	pfree(reached);
}

/* ---- entry point ---- */

static GraphCheck *
begin(ColbertIndex *index, const SketchParams *params, Findings *findings)
{
	GraphCheck *check = palloc0(sizeof(GraphCheck));
	size_t      item_size =
		Max(parray_item_size(index, ARRAY_NEIGHBOURS), parray_item_size(index, ARRAY_UPPER));

	check->graph = graph_open(index, params);
	check->findings = findings;
	check->nnodes = parray_nitems(index, ARRAY_NODES);
	check->nupper = parray_nitems(index, ARRAY_UPPER);
	check->nodes =
		palloc_extended(Max(mul_size(check->nnodes, sizeof(NodeEntry)), 1), MCXT_ALLOC_HUGE);
	parray_copy_out(index, ARRAY_NODES, 0, check->nnodes, check->nodes);
	check->levels = palloc_extended(Max(check->nupper, 1), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	check->item = palloc(item_size);
	check->other = palloc(item_size);
	check->rotated = palloc(check->graph->padded * sizeof(float));
	check->other_rotated = palloc(check->graph->padded * sizeof(float));
	check->edge.signs = palloc(check->graph->padded / 8);
	return check;
}

void
graph_check(ColbertIndex *index, const SketchParams *params, Findings *findings, bool edges)
{
	GraphCheck *check = begin(index, params, findings);

	read_levels(check);
	check_entry(check);
	for (uint32 node = 0; node < check->nnodes; node++)
		check_vertex(check, node, 0, edges);
	for (uint32 upper = 0; upper < check->nupper; upper++)
		if (check->levels[upper] > 0)
			check_vertex(check, upper, check->levels[upper], edges);
	if (check->nnodes > 0 && findings->in_part == 0)
		check_ways(check);
	if (index->meta.growth.adopting > 0)
		findings_add(findings, FINDING_WARNING, index->meta.growth.adopting - 1,
					 "node may lack older documents until the next merge");
	graph_close(check->graph);
}
