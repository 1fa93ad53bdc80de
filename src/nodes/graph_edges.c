/*-------------------------------------------------------------------------
 *
 * graph_edges.c
 *	  Neighbour lists: write their edges and estimate the keys of all
 *	  neighbours.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "nodes/graph_internal.h"

size_t
edges_list_size(uint32 padded, uint32 lanes)
{
	return offsetof(NeighbourList, vertices) + lanes * sizeof(uint32) +
		   lanes / EDGE_LANES * edge_block_size(padded);
}

static EdgeBlock *
edge_block(EdgeList edges, uint32 block)
{
	return (EdgeBlock *) ((char *) (edges.list->vertices + edges.lanes) +
						  block * edge_block_size(edges.padded));
}

void
edge_put(EdgeList edges, uint32 lane, const Edge *edge)
{
	edges.list->vertices[lane] = edge->vertex;
	edge_block_put(edge_block(edges, lane / EDGE_LANES), edges.padded, lane % EDGE_LANES, edge);
}

void
edge_move(EdgeList edges, uint32 from, uint32 to)
{
	edges.list->vertices[to] = edges.list->vertices[from];
	edge_block_move(edge_block(edges, from / EDGE_LANES), from % EDGE_LANES,
					edge_block(edges, to / EDGE_LANES), to % EDGE_LANES, edges.padded);
}

uint32
edges_estimate(EdgeList edges, const KernelSketchQuery *query, uint32 token, float base,
			   uint32 *vertices, float *estimates)
{
	uint32 count = edges.list->count;

	memcpy(vertices, edges.list->vertices, count * sizeof(uint32));
	for (uint32 lane = 0; lane < count; lane += EDGE_LANES)
		edge_block_estimate(edge_block(edges, lane / EDGE_LANES), query, token, base, INFINITY,
							estimates + lane);
	return count;
}
