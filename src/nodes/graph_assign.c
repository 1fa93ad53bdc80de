/*-------------------------------------------------------------------------
 *
 * graph_assign.c
 *	  Find the nearest node of each of many tokens, for large merges.
 *
 * A walk of the graph takes about 10 microseconds per token. With enough
 * tokens it is faster to read all nodes, group them around centres, and
 * compare each token with the nodes of its nearest centres (graph_groups.c).
 * That takes one microsecond per token, plus a few per node once.
 *
 * A process that keeps the groups for its next merges cannot know how many
 * tokens will follow, so those that walked count like those of the batch: it
 * groups the nodes as soon as that would have paid. At worst, all takes twice
 * the time of the better choice.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "nodes/graph_groups.h"

/* Maximum nodes per token for which grouping the nodes pays, if they are not grouped yet. */
#define NODES_OF_A_TOKEN 8

/* Tokens that walked in a process that keeps its groups, since it last had some. */
static uint64 walked;

/* Return true if there are enough tokens and enough memory. */
static bool
assign_pays(Graph *graph, uint64 ntokens)
{
	uint64 nnodes = parray_nitems(graph->index, ARRAY_NEIGHBOURS);

	return nnodes > 0 && (nnodes <= ntokens * NODES_OF_A_TOKEN || groups_held(graph) != NULL) &&
		   groups_fit(graph);
}

bool
graph_assign_many(Graph *graph, const float *tokens, uint32 ntokens, NodeHit *nearest)
{
	GraphGroups *groups = assign_pays(graph, walked + ntokens) ? groups_update(graph) : NULL;

	if (groups_are_kept())
		walked = groups == NULL ? walked + ntokens : 0;
	if (groups == NULL)
		return false;
	groups_assign(groups, tokens, ntokens, nearest);
	return true;
}
