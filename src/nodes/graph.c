/*-------------------------------------------------------------------------
 *
 * graph.c
 *	  Open the graph of an index, compute item sizes, and locate the parts of
 *	  a vertex.
 *
 * Page contents are not trusted: ordinals and counts are checked before use. A
 * neighbour list may name nodes added after the reader copied the meta data;
 * readers skip them.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "nodes/graph_internal.h"
#include "utils/memutils.h"

size_t
graph_vector_size(uint32 dim)
{
	return TYPEALIGN(sizeof(uint32), offsetof(VertexEntry, vector) + (size_t) dim * sizeof(uint16));
}

size_t
graph_item_size(const MetaShape *shape, ArrayKind kind)
{
	size_t vector = graph_vector_size(shape->dim);
	uint32 padded = rotation_padded(shape->dim);

	switch (kind)
	{
		case ARRAY_NODES:
			return sizeof(NodeEntry);
		case ARRAY_NEIGHBOURS:
			return vector + edges_list_size(padded, edges_lanes(shape->m, 0));
		case ARRAY_UPPER:
			return sizeof(UpperEntry) + vector + edges_list_size(padded, edges_lanes(shape->m, 1));
		default:
			return 0;
	}
}

uint32
graph_max_m(uint32 dim)
{
	MetaShape shape = {.dim = dim, .m = 1};

	while (graph_item_size(&shape, ARRAY_NEIGHBOURS) <= PAGE_PAYLOAD &&
		   graph_item_size(&shape, ARRAY_UPPER) <= PAGE_PAYLOAD)
		shape.m++;
	return shape.m - 1;
}

void
graph_corrupted(Graph *graph, uint32 vertex, uint32 level)
{
	ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
					errmsg("index \"%s\" has a damaged graph: vertex %u of level %u",
						   RelationGetRelationName(graph->index->rel), vertex, level),
					errhint("REINDEX it.")));
}

static void
check_counts(Graph *graph)
{
	const ColbertIndex *index = graph->index;

	if (parray_nitems(index, ARRAY_NODES) != parray_nitems(index, ARRAY_NEIGHBOURS))
		ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
						errmsg("index \"%s\" has a damaged meta page",
							   RelationGetRelationName(graph->index->rel)),
						errhint("REINDEX it.")));
}

Graph *
graph_open(ColbertIndex *index, const SketchParams *params)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg graph", ALLOCSET_DEFAULT_SIZES);
	MemoryContext       caller = MemoryContextSwitchTo(context);
	Graph              *graph = palloc0(sizeof(Graph));
	const MetaPageData *meta = &index->meta;
	uint32              lanes;

	graph->finder.ops = &graph_finder;
	graph->index = index;
	graph->rotation = params->rotation;
	graph->context = context;
	graph->dim = meta->shape.dim;
	graph->width = graph_width(meta->shape.dim);
	graph->padded = params->rotation->padded;
	graph->m = meta->shape.m;
	graph->counts_at_close = index->building;
	check_counts(graph);

	lanes = edges_lanes(graph->m, 0);
	graph->query = palloc0(graph->width * sizeof(float));
	graph->vector = palloc0(graph->width * sizeof(float));
	graph->rotated = palloc(graph->padded * sizeof(float));
	graph->sketch_memory = palloc(kernel_sketch_query_size(1, graph->padded));
	graph->lane_vertices = palloc(lanes * sizeof(uint32));
	graph->lane_estimates = palloc(lanes * sizeof(float));
	MemoryContextSwitchTo(caller);
	return graph;
}

Vertex
graph_vertex_parts(const Graph *graph, char *data, uint32 vertex, uint32 level)
{
	Vertex parts;

	parts.node = vertex;
	if (level > 0)
	{
		parts.node = ((UpperEntry *) data)->node;
		data += sizeof(UpperEntry);
	}
	parts.entry = (VertexEntry *) data;
	parts.edges.list = (NeighbourList *) (data + graph_vector_size(graph->dim));
	parts.edges.lanes = edges_lanes(graph->m, level);
	parts.edges.padded = graph->padded;
	return parts;
}

Vertex
graph_vertex(Graph *graph, char *data, uint32 vertex, uint32 level)
{
	Vertex parts;

	if (data == NULL || (level > 0 && ((UpperEntry *) data)->level != level))
		graph_corrupted(graph, vertex, level);
	parts = graph_vertex_parts(graph, data, vertex, level);
	/* Not only the lanes: writers have memory for as many neighbours as a level allows. */
	if (parts.edges.list->count > edges_limit(graph->m, level))
		graph_corrupted(graph, vertex, level);
	return parts;
}
