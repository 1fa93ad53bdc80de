/*-------------------------------------------------------------------------
 *
 * graph.c
 *	  The graph of an index: opening, sizes, and reading what is on pages.
 *
 * Nothing that a page says is believed: ordinals and counts are checked
 * before use. A list may name nodes that were added after the reader copied
 * the meta data; they are passed over.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "index/graph_internal.h"
#include "utils/memutils.h"

size_t
graph_node_size(uint32 dim)
{
	return TYPEALIGN(sizeof(uint32), offsetof(NodeEntry, vector) + (size_t) dim * sizeof(uint16));
}

size_t
graph_neighbours_size(uint32 dim, uint32 m)
{
	return edges_list_size(rotation_padded(dim), edges_lanes(m, 0));
}

size_t
graph_upper_size(uint32 dim, uint32 m)
{
	return sizeof(UpperEntry) + edges_list_size(rotation_padded(dim), edges_lanes(m, 1));
}

uint32
graph_largest_m(uint32 dim)
{
	uint32		m = 0;

	if (graph_node_size(dim) > PAGE_PAYLOAD)
		return 0;
	while (graph_neighbours_size(dim, m + 1) <= PAGE_PAYLOAD && graph_upper_size(dim, m + 1) <= PAGE_PAYLOAD)
		m++;
	return m;
}

void
graph_corrupted(Graph *graph, const char *what, uint32 node)
{
	ereport(ERROR,
			(errcode(ERRCODE_INDEX_CORRUPTED),
			 errmsg("index \"%s\" has a damaged graph: %s of node %u",
					RelationGetRelationName(graph->index->rel), what, node),
			 errhint("REINDEX it.")));
}

static void
check_shape(Graph *graph)
{
	const ArrayMeta *arrays = graph->meta->arrays;

	if (arrays[ARRAY_NODES].item_size != graph_node_size(graph->dim) ||
		arrays[ARRAY_NEIGHBOURS].item_size != graph_neighbours_size(graph->dim, graph->m) ||
		arrays[ARRAY_UPPER].item_size != graph_upper_size(graph->dim, graph->m) ||
		arrays[ARRAY_NODES].nitems != arrays[ARRAY_NEIGHBOURS].nitems)
		ereport(ERROR,
				(errcode(ERRCODE_INDEX_CORRUPTED),
				 errmsg("index \"%s\" has a damaged meta page",
						RelationGetRelationName(graph->index->rel)),
				 errhint("REINDEX it.")));
}

Graph *
graph_open(ColbertIndex *index, MetaPageData *meta, const SketchParams *params)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "colbert_pg graph", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Graph	   *graph = palloc0(sizeof(Graph));
	uint32		lanes;

	graph->index = index;
	graph->meta = meta;
	graph->rotation = params->rotation;
	graph->context = context;
	graph->dim = meta->dim;
	graph->width = graph_width(meta->dim);
	graph->padded = params->rotation->padded;
	graph->m = meta->m;
	check_shape(graph);

	lanes = edges_lanes(graph->m, 0);
	graph->query = palloc0(graph->width * sizeof(float));
	graph->vector = palloc0(graph->width * sizeof(float));
	graph->rotated = palloc(graph->padded * sizeof(float));
	graph->sketch_memory = palloc(kernel_sketch_query_size(1, graph->padded));
	graph->lane_nodes = palloc(lanes * sizeof(uint32));
	graph->lane_estimates = palloc(lanes * sizeof(float));
	MemoryContextSwitchTo(caller);
	return graph;
}

NodeHead
graph_read_node(Graph *graph, uint32 node, float *vector)
{
	const NodeEntry *entry = graph_cached_node(graph, node);
	Buffer		buffer = InvalidBuffer;
	NodeHead	head;

	if (entry == NULL)
	{
		char	   *data;

		buffer = parray_read(graph->index, graph->meta, ARRAY_NODES, node, &data);
		if (data == NULL)
			graph_corrupted(graph, "entry", node);
		entry = (const NodeEntry *) data;
	}
	head.half_norm = entry->half_norm;
	head.upper = entry->upper;
	kernels->half_to_float(entry->vector, vector, graph->dim);
	if (BufferIsValid(buffer))
		UnlockReleaseBuffer(buffer);
	return head;
}

ArrayKind
graph_list_item(Graph *graph, uint32 upper, uint32 node, uint32 level, uint32 *item)
{
	if (level == 0)
	{
		*item = node;
		return ARRAY_NEIGHBOURS;
	}
	*item = upper + (level - 1);
	if (upper == INVALID_ORDINAL || *item >= graph->meta->arrays[ARRAY_UPPER].nitems)
		graph_corrupted(graph, "upper entry", node);
	return ARRAY_UPPER;
}

EdgeList
graph_list(Graph *graph, char *data, uint32 node, uint32 level)
{
	EdgeList	edges;

	edges.lanes = edges_lanes(graph->m, level);
	edges.padded = graph->padded;
	if (data == NULL)
		graph_corrupted(graph, "neighbours", node);
	if (level > 0)
	{
		UpperEntry *upper = (UpperEntry *) data;

		if (upper->node != node || upper->level != level)
			graph_corrupted(graph, "upper entry", node);
		data += sizeof(UpperEntry);
	}
	edges.list = (NeighbourList *) data;
	if (edges.list->count > edges.lanes)
		graph_corrupted(graph, "neighbours", node);
	return edges;
}
