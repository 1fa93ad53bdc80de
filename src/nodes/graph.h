/*-------------------------------------------------------------------------
 *
 * graph.h
 *	  HNSW graph over the nodes of an index, stored in its pages.
 *
 * Malkov and Yashunin 2018 (HNSW), with the neighbours' sketches stored beside
 * their ordinals as in SymphonyQG (Gou et al. 2025). A hop reads one page and
 * estimates all neighbours at once from their sketches. The exact key of a
 * node is computed only when it is expanded.
 *
 * There is one writer at a time (a build, or a merge under the merge lock),
 * with concurrent readers. Nodes are never removed, so a reader's entry point
 * and every ordinal it holds stay valid. A new node's vector and neighbours
 * are written before any other node refers to it.
 *
 * For every metric the graph is built and walked by L2 distance between
 * prepared vectors. Walks of this graph by inner product found 77 to 85% of
 * the 16 best nodes, walks by L2 98% of the 16 nearest (commit 67a0741).
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_GRAPH_H
#define COLBERT_GRAPH_H

#include "codec/sketch.h"
#include "kmeans/kmeans.h"
#include "nodes/hits.h"
#include "storage/findings.h"
#include "storage/storage.h"

/*
 * Open the graph for searching and growing. The index and the rotation of
 * params must outlive it; sketches of edges do not depend on the mean and thus
 * not on an epoch.
 *
 * graph_insert keeps the index's copy of the meta data up to date. It writes
 * the meta page, too, except in a build and after graph_count_at_close:
 * graph_close writes it then.
 */
typedef struct Graph Graph;
extern Graph        *graph_open(ColbertIndex *index, const SketchParams *params);
extern void          graph_close(Graph *graph);

/* Parameters of a search. */
typedef struct GraphWidth
{
	float  reach;
	uint32 ef; /* vertices kept by the walk */
	uint32 n;  /* nodes wanted */
} GraphWidth;

/*
 * Find the best width->n nodes for one vector (dim floats), best first.
 *
 * Nodes are ranked by the keys of their centroids for width->reach (finder.h),
 * among all nodes expanded by a walk to the width->ef nearest by L2. Returns
 * the number of nodes found; their keys are exact for the stored binary16
 * vectors. *hops is increased by the number of nodes expanded. Checks for
 * interrupts.
 */
extern uint32 graph_search(Graph *graph, const float *vector, const GraphWidth *width,
						   NodeHit *hits, uint64 *hops);

/*
 * Find more nodes for a vector: its walk, which graph->keeps_walks kept, goes on
 * with a larger width. Neighbours of expanded vertices that were too far for the
 * former width are considered again only if another vertex names them.
 */
extern uint32 graph_resume(Graph *graph, const float *vector, const GraphWidth *width,
						   NodeHit *hits, uint64 *hops);

/*
 * Find the nearest node of each of many tokens, among the nodes that a walk
 * could reach (graph_assign.c). Returns false if there are too few tokens for
 * this to pay, or too little memory.
 */
extern bool graph_assign_many(Graph *graph, const float *tokens, uint32 ntokens, NodeHit *nearest);

/*
 * Find up to n nodes, at most ef_construction, near a vector that may be added
 * next: graph_insert does not look for them again. Best first, with exact keys
 * for reach 1. Returns their number.
 */
extern uint32 graph_near(Graph *graph, const float *vector, NodeHit *hits, uint32 n);

/*
 * Set trained->near, which the caller allocates: the centroids nearest to each,
 * best first. INVALID_ORDINAL ends a shorter list. A phase of the team.
 */
extern void graph_near_trained(KmeansResult *trained, uint32 dim, Team *team);

/*
 * Let graph_insert choose the neighbours of a centroid among those of
 * trained->near that are nodes, if there are enough. node_of: node of each
 * centroid; INVALID_ORDINAL: it is none yet.
 */
extern void graph_know_near(Graph *graph, const KmeansResult *trained, uint32 centroid,
							const uint32 *node_of);

/*
 * Keep what assignments read of the nodes until the process ends, for a process
 * that serves one index.
 */
extern void graph_keep_groups(void);

/*
 * Add a node with an empty posting list; returns its ordinal. shrink times the
 * vector is the mean of its tokens. The graph is deterministic: a node's level
 * is drawn from the index's seed and its ordinal.
 */
extern uint32 graph_insert(Graph *graph, const float *vector, float shrink);

/*
 * Count the nodes added from now on in the meta page only when the graph is
 * closed, all at once. Until then the index has no nodes, and an interrupted
 * training leaves none.
 */
extern void graph_count_at_close(Graph *graph);

/* Implement finder_check for the graph (graph_check.c). */
extern void graph_check(ColbertIndex *index, const SketchParams *params, Findings *findings,
						bool edges);

/*
 * Return the item size of one of the graph's arrays, or the largest m whose
 * neighbours fit on a page (0 if none does).
 */
extern size_t graph_item_size(const MetaShape *shape, ArrayKind kind);
extern uint32 graph_max_m(uint32 dim);

#endif /* COLBERT_GRAPH_H */
