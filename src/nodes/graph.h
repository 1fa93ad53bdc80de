/*-------------------------------------------------------------------------
 *
 * graph.h
 *	  The HNSW graph over the nodes of an index, in its pages.
 *
 * Malkov and Yashunin 2018 (HNSW), with neighbours' sketches beside their
 * ordinals as in SymphonyQG (Gou et al. 2025): a hop reads one neighbour page,
 * estimates all neighbours from their sketches at once, and computes the
 * exact similarity of a node only when it is expanded.
 *
 * One writer at a time (a build, or a merge under the merge lock); readers at
 * any time. Nodes are never removed, so a reader's entry point and every
 * ordinal it holds stay valid. A new node is written (vector, neighbours)
 * before any other node points at it.
 *
 * The graph is built and walked by L2 distance between prepared vectors,
 * whatever the metric: it is a poor guide to the order of inner products.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_GRAPH_H
#define COLBERT_GRAPH_H

#include "codec/sketch.h"
#include "nodes/hits.h"
#include "storage/findings.h"
#include "storage/storage.h"

/*
 * Open for searching or growing. The index must live as long; graph_insert
 * keeps its meta data up to date (and the meta page too: while
 * building, and after graph_count_at_close, when the graph is closed). params' rotation must live as long; the
 * sketches of edges need no mean, so they are of no epoch.
 */
typedef struct Graph Graph;
extern Graph        *graph_open(ColbertIndex *index, const SketchParams *params);
extern void          graph_close(Graph *graph);

/*
 * The best n nodes for one vector (dim floats), by the keys of their means for
 * a reach (finder.h), best first, among all that a walk to the ef nearest by L2
 * expands. Returns how many were found; their keys are exact for the nodes'
 * binary16 vectors. Checks for interrupts; *hops is increased by the nodes
 * expanded.
 */
typedef struct GraphWidth
{
	float  reach;
	uint32 ef; /* vertices that the walk keeps */
	uint32 n;  /* nodes wanted */
} GraphWidth;

extern uint32 graph_search(Graph *graph, const float *vector, const GraphWidth *width,
						   NodeHit *hits, uint64 *hops);

/*
 * graph_assign.c: the nearest node of each of many tokens, among those that a
 * walk can find; false where they are not many enough for it, or memory too
 * little.
 */
extern bool graph_assign_many(Graph *graph, const float *tokens, uint32 ntokens, NodeHit *nearest);

/*
 * Add a node with an empty posting list; returns its ordinal. shrink times
 * the vector is the mean of its tokens. Deterministic:
 * the level is drawn from the index's seed and the ordinal.
 */
extern uint32 graph_insert(Graph *graph, const float *vector, float shrink);

/*
 * Count the nodes that are added from now on when the graph is closed, all at
 * once: until then the index has none, and an interrupted training leaves none.
 */
extern void graph_count_at_close(Graph *graph);

/* graph_check.c: finder_check of the graph. */
extern void graph_check(ColbertIndex *index, const SketchParams *params, Findings *findings,
						bool edges);

/* Item sizes of the graph's arrays, and the largest m whose neighbours fit on a page (0: none does). */
extern size_t graph_item_size(const MetaShape *shape, ArrayKind kind);
extern uint32 graph_max_m(uint32 dim);

#endif /* COLBERT_GRAPH_H */
