/*-------------------------------------------------------------------------
 *
 * graph_check.c
 *	  Check the graph: nodes, levels, neighbours, and reachability from the
 *	  entry point.
 *
 * Each vertex is copied before it is checked, and nothing it contains is
 * trusted. Memory per vertex: the level of each upper vertex, and one bit for
 * reachability.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "miscadmin.h"
#include "nodes/graph_internal.h"

/*
 * Maximum share of unreachable nodes that is not reported. A few nodes may
 * become unreachable as other edges replace those to them; searches find other
 * nodes near them.
 */
#define MAX_UNREACHED 0.01

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

/* Vertices reached on one level. */
typedef struct Reach
{
	uint32 *queue; /* vertices of the level */
	uint32  count;
	uint8  *reached; /* one bit per vertex of the level */
} Reach;

static void
reach(Reach *reach, uint32 vertex)
{
	uint8 *byte = &reach->reached[vertex >> 3];
	uint8  bit = 1 << (vertex & 7);

	if (*byte & bit)
		return;
	*byte |= bit;
	reach->queue[reach->count++] = vertex;
}

/* Follow all edges of a level from the vertices in the queue. */
static void
spread(GraphCheck *check, Reach *from, uint32 level)
{
	for (uint32 i = 0; i < from->count; i++)
	{
		const NeighbourList *list;

		CHECK_FOR_INTERRUPTS();
		list = read_vertex(check, from->queue[i], level, check->item).edges.list;
		for (uint32 lane = 0; lane < Min(list->count, edges_limit(check->graph->m, level)); lane++)
			if (vertex_exists(check, list->vertices[lane], level))
				reach(from, list->vertices[lane]);
	}
}

/* Replace the vertices reached by those of the same nodes on the level below. */
static void
descend(GraphCheck *check, Reach *from, uint32 level)
{
	uint32  n = from->count;
	uint32 *below = palloc_extended(mul_size(Max(n, 1), sizeof(uint32)), MCXT_ALLOC_HUGE);

	for (uint32 i = 0; i < n; i++)
		below[i] = level > 1 ? from->queue[i] - 1
							 : read_vertex(check, from->queue[i], level, check->item).node;
	from->count = 0;
	if (level == 1)
		memset(from->reached, 0, Max(check->nnodes, check->nupper) / 8 + 1);
	for (uint32 i = 0; i < n; i++)
		if (vertex_exists(check, below[i], level - 1))
			reach(from, below[i]);
	pfree(below);
}

static void
check_ways(GraphCheck *check)
{
	const MetaPageData *meta = &check->graph->index->meta;
	uint32              most = Max(check->nnodes, check->nupper);
	Reach               from = {0};

	from.queue = palloc_extended(mul_size(most, sizeof(uint32)), MCXT_ALLOC_HUGE);
	from.reached = palloc_extended(most / 8 + 1, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	reach(&from, meta->nodes.entry_level == 0
					 ? meta->nodes.entry_node
					 : check->nodes[meta->nodes.entry_node].upper + meta->nodes.entry_level - 1);
	for (uint32 level = meta->nodes.entry_level; level > 0; level--)
	{
		spread(check, &from, level);
		descend(check, &from, level);
	}
	spread(check, &from, 0);
	if (check->nnodes - from.count > MAX_UNREACHED * check->nnodes)
		findings_add(check->findings, FINDING_WARNING, NO_ITEM,
					 "%u of %u nodes cannot be reached from the entry point",
					 check->nnodes - from.count, check->nnodes);
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
