/*-------------------------------------------------------------------------
 *
 * graph_near.c
 *	  Find the nodes near a vector that may become a node.
 *
 * A merge looks at the nodes around a token before it makes a node of it, and
 * the new node's neighbours on the lowest level are chosen among the same ones.
 * If the nodes are grouped in memory, those of the nearest groups are compared;
 * a walk of the graph takes ten times as long.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "nodes/graph_groups.h"

uint32
graph_near(Graph *graph, const float *vector, NodeHit *hits, uint32 n)
{
	uint32       ef = graph->index->meta.shape.ef_construction;
	GraphWidth   width = {1, ef, ef};
	NearNodes   *near = &graph->near;
	GraphGroups *groups = groups_held(graph) != NULL ? groups_update(graph) : NULL;
	uint64       hops = 0;

	if (near->hits == NULL)
	{
		near->vector = MemoryContextAlloc(graph->context, graph->dim * sizeof(float));
		near->hits = MemoryContextAlloc(graph->context, ef * sizeof(NodeHit));
	}
	if (groups != NULL)
		near->count = groups_near(groups, vector, near->hits, ef);
	else
		near->count = graph_search(graph, vector, &width, near->hits, &hops);
	near->nnodes = parray_nitems(graph->index, ARRAY_NODES);
	memcpy(near->vector, vector, graph->dim * sizeof(float));
	n = Min(n, near->count);
	memcpy(hits, near->hits, n * sizeof(NodeHit));
	return n;
}

const NearNodes *
graph_known_near(const Graph *graph, const float *vector)
{
	const NearNodes *near = &graph->near;

	if (near->count > 0 && near->nnodes == parray_nitems(graph->index, ARRAY_NODES) &&
		memcmp(near->vector, vector, graph->dim * sizeof(float)) == 0)
		return near;
	return NULL;
}
