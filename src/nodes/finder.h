/*-------------------------------------------------------------------------
 *
 * finder.h
 *	  How tokens find their nodes: a handle, with a table of functions for each
 *	  access method.
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

/* An opened finder: the first member of each kind's own struct. */
typedef struct FinderOps FinderOps;

typedef struct Finder
{
	const FinderOps *ops;
} Finder;

struct FinderOps
{
	FinderKind kind;

	/* Bytes of the items of an array from ARRAY_NODES on; 0 if this finder has no such array. */
	size_t (*item_size)(const MetaShape *shape, ArrayKind kind);

	/* The largest m whose neighbours fit on a page; NULL if there are no neighbours. */
	uint32 (*max_m)(uint32 dim);

	/* Below: what the functions finder_ say. add is NULL if nodes are only trained. */
	Finder *(*open)(ColbertIndex *index, const SketchParams *params);
	void (*close)(Finder *finder);
	void (*find)(Finder *finder, FindQuery *query, NodeHit *hits, uint32 *nhits);
	void (*assign)(Finder *finder, const float *tokens, uint32 ntokens, NodeHit *nearest);
	uint32 (*add)(Finder *finder, const float *vector);
	void (*store)(Finder *finder, const KmeansResult *trained, uint32 *node_of);
	void (*check)(ColbertIndex *index, const SketchParams *params, Findings *findings,
				  bool encodings);
};

extern const FinderOps graph_finder;
extern const FinderOps lists_finder;

/* NULL where there is none. */
extern const FinderOps *finder_by_kind(int kind);

/*
 * Open for finding and growing, in a child of the current context. The
 * index must live as long; what changes the nodes keeps its meta data up to
 * date (and the meta page too: while building, at close).
 */
static inline Finder *
finder_open(ColbertIndex *index, const SketchParams *params)
{
	return finder_by_kind(index->meta.shape.finder)->open(index, params);
}

static inline void
finder_close(Finder *finder)
{
	finder->ops->close(finder);
}

/*
 * The nodes nearest to each token, nearest first: those of token t at
 * hits[t * probes] on, nhits[t] of them. Checks for interrupts.
 */
static inline void
finder_find(Finder *finder, FindQuery *query, NodeHit *hits, uint32 *nhits)
{
	finder->ops->find(finder, query, hits, nhits);
}

/* The nearest node of each token. */
static inline void
finder_assign(Finder *finder, const float *tokens, uint32 ntokens, NodeHit *nearest)
{
	finder->ops->assign(finder, tokens, ntokens, nearest);
}

/* Return true if nodes can be added; otherwise they are only trained. */
static inline bool
finder_adds(const Finder *finder)
{
	return finder->ops->add != NULL;
}

/* Add a node with an empty posting list; returns its ordinal. */
static inline uint32
finder_add(Finder *finder, const float *vector)
{
	return finder->ops->add(finder, vector);
}

/* Make trained centroids the nodes of an index that has none; node_of[c] is set to the node of centroid c. */
static inline void
finder_store(Finder *finder, const KmeansResult *trained, uint32 *node_of)
{
	finder->ops->store(finder, trained, node_of);
}

/*
 * Report damaged nodes. encodings: also compare the encodings of their
 * vectors. The caller holds the merge lock, so no node changes meanwhile.
 */
static inline void
finder_check(ColbertIndex *index, const SketchParams *params, Findings *findings, bool encodings)
{
	finder_by_kind(index->meta.shape.finder)->check(index, params, findings, encodings);
}

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
