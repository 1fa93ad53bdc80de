/*-------------------------------------------------------------------------
 *
 * finder.h
 *	  How tokens find their nodes: a table of functions, one for each access
 *	  method.
 *
 * Both access methods partition the tokens among nodes: vectors with posting
 * lists. They differ in how the nodes nearest to a token are found, and in
 * whether more nodes can be added later. A node's vector never changes and
 * no node is removed, so that every ordinal a reader holds stays valid.
 *
 * A node's key for a token q is <reach q, c> - |c|^2/2, larger is nearer. With
 * a reach of 1 nodes come by L2 distance between prepared vectors, which is
 * how tokens are assigned. A search looks for the nodes that hold the nearest
 * tokens, not for the nearest nodes, and reaches further (gather.c). One writer at a time (a build, or a merge under the merge lock);
 * readers at any time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_FINDER_H
#define COLBERT_FINDER_H

#include "codec/sketch.h"
#include "kmeans/kmeans.h"
#include "nodes/hits.h"
#include "storage/findings.h"
#include "storage/storage.h"

/* Query tokens, and how many nodes of each are wanted. */
typedef struct FindQuery
{
	const float *tokens; /* ntokens x dim */
	uint32       ntokens;
	uint32       probes; /* nodes of each, at the most */
	float        reach;  /* 1: nodes by L2 distance */
	uint32       ef;     /* of the graph: candidates kept on the way, at least probes */
	uint64       hops;   /* vertices or parents looked at: increased */
} FindQuery;

typedef struct Finder
{
	FinderKind kind;

	/* Bytes of the items of an array from ARRAY_NODES on; 0 if this finder has no such array. */
	size_t (*item_size)(const MetaShape *shape, ArrayKind kind);

	/* The largest m whose neighbours fit on a page; NULL if there are no neighbours. */
	uint32 (*max_m)(uint32 dim);

	/*
	 * Open for finding and growing, in a child of the current context. The
	 * index must live as long; what changes the nodes keeps its meta data up to
	 * date (and the meta page too: while building, at close).
	 */
	void *(*open)(ColbertIndex *index, const SketchParams *params);
	void (*close)(void *state);

	/*
	 * The nodes nearest to each token, nearest first: those of token t at
	 * hits[t * probes] on, nhits[t] of them. Checks for interrupts.
	 */
	void (*find)(void *state, FindQuery *query, NodeHit *hits, uint32 *nhits);

	/* The nearest node of each token. */
	void (*assign)(void *state, const float *tokens, uint32 ntokens, NodeHit *nearest);

	/* Add a node with an empty posting list; returns its ordinal. NULL where nodes are only trained. */
	uint32 (*add)(void *state, const float *vector);

	/* Make trained centroids the nodes of an index that has none; node_of[c] is set to the node of centroid c. */
	void (*store)(void *state, const KmeansResult *trained, uint32 *node_of);

	/*
	 * Report what is wrong with the nodes; encodings: compare what is encoded
	 * of their vectors, too. The merge lock is held, so that they stand still.
	 */
	void (*check)(ColbertIndex *index, const SketchParams *params, Findings *findings,
				  bool encodings);
} Finder;

extern const Finder graph_finder;
extern const Finder lists_finder;

/* NULL where there is none. */
extern const Finder *finder_by_kind(int kind);

/* Does an index have nodes? Without them all documents are pending. */
static inline bool
has_nodes(const MetaPageData *meta)
{
	return meta->nodes.entry_node != INVALID_ORDINAL;
}

/* Squared distance of a vector to a node, from its key: |x|^2 - 2 (<x, c> - |c|^2/2). */
static inline double
hit_distance(const float *vector, uint32 dim, float key)
{
	double norm = kernel_norm(vector, dim);
	double distance = norm * norm - 2 * (double) key;

	return isfinite(distance) ? Max(distance, 0) : 0;
}

/* Count a token that was assigned to a node. */
static inline void
assigned_add(Assigned *assigned, const float *vector, uint32 dim, float key)
{
	assigned->tokens++;
	assigned->squares += hit_distance(vector, dim, key);
}

#endif /* COLBERT_FINDER_H */
