/*-------------------------------------------------------------------------
 *
 * graph_groups.h
 *	  The nodes of a graph in memory, grouped around centres, for merges.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_GRAPH_GROUPS_H
#define COLBERT_GRAPH_GROUPS_H

#include "nodes/graph_internal.h"

typedef struct GraphGroups GraphGroups;

/* Return true if there is memory for the nodes. */
extern bool groups_fit(const Graph *graph);

/*
 * Return the groups that graph->groups, or this process, holds of the index;
 * NULL: none. They may lack the newest nodes. Groups are freed when there is no
 * memory for these.
 */
extern GraphGroups *groups_held(Graph *graph);

/* Return true if groups live as long as the process (graph_keep_groups). */
extern bool groups_are_kept(void);

/*
 * Bring the groups up to date, reading all nodes if there are none yet. They
 * live as long as the graph, or as the process after graph_keep_groups. Returns
 * NULL if no node can be reached.
 */
extern GraphGroups *groups_update(Graph *graph);

/* Find the nearest node of each of n tokens. */
extern void groups_assign(GraphGroups *groups, const float *tokens, uint32 n, NodeHit *nearest);

/*
 * Find up to n nodes near a vector, chosen by estimated keys. Best first, with
 * exact keys. Returns their number.
 */
extern uint32 groups_near(GraphGroups *groups, const float *vector, NodeHit *hits, uint32 n);

#endif /* COLBERT_GRAPH_GROUPS_H */
