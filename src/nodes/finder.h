/*-------------------------------------------------------------------------
 *
 * finder.h
 *	  Interface for finding the nodes of tokens: a handle with a table of
 *	  functions per access method.
 *
 * Both access methods partition the tokens among nodes, which are vectors with
 * posting lists. They differ in how they find the nodes nearest to a token,
 * and in whether nodes can be added later. A node's vector never changes and
 * no node is removed, so every ordinal that a reader holds stays valid.
 *
 * A node's key for a token q is <reach q, c> - |c|^2/2; larger is nearer. With
 * a reach of 1, keys order nodes by L2 distance between prepared vectors,
 * which is how tokens are assigned. A search looks for the nodes that hold the
 * nearest tokens rather than for the nearest nodes, so it uses a larger reach
 * (gather.c).
 *
 * There is one writer at a time (a build, or a merge under the merge lock),
 * with concurrent readers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_FINDER_H
#define COLBERT_FINDER_H

#include "base/vec.h"
#include "codec/sketch.h"
#include "kmeans/kmeans.h"
#include "nodes/hits.h"
#include "storage/findings.h"
#include "storage/storage.h"

/* Query tokens and the search parameters of a finder. */
typedef struct FindQuery
{
	const float *tokens; /* ntokens x dim */
	uint32       ntokens;
	uint32       probes; /* maximum nodes per token */
	float        reach;  /* 1: nodes by L2 distance */
	/*
	 * The same tokens multiplied by scales, as a query for sketches without
	 * addends, whose tables serve edges as well; NULL: none
	 */
	const KernelSketchQuery *sketch;
	const float             *scales;
	uint32                   ef;    /* candidates kept by a walk of the graph, at least probes */
	bool                     wider; /* the last call was for the same tokens, with fewer probes */
	double share; /* of all documents, in the index; less effort for a small one; 0: 1 */
	uint64 hops;  /* vertices or parents read; increased */
} FindQuery;

/* Open finder; first member of each implementation's struct. */
typedef struct FinderOps FinderOps;

typedef struct Finder
{
	const FinderOps *ops;
} Finder;

/* Functions of an access method's finder. */
struct FinderOps
{
	FinderKind kind;

	/* A call for the same tokens with more probes goes on where the last one stopped. */
	bool goes_on;

	/* Return the item size of an array from ARRAY_NODES on; 0 if this finder does not use it. */
	size_t (*item_size)(const MetaShape *shape, ArrayKind kind);

	/* Return the largest m whose neighbours fit on a page. NULL if the finder has no neighbours. */
	uint32 (*max_m)(uint32 dim);

	/*
	 * Implementations of the finder_ functions below. near, add and vector are NULL if
	 * nodes can only be trained; open_next and replaced are NULL if they are never
	 * replaced; forget is NULL if nothing is kept. near_trained finds the
	 * centroids near each, for store, and is NULL if it needs none.
	 */
	Finder *(*open)(ColbertIndex *index, const SketchParams *params);
	Finder *(*open_next)(ColbertIndex *index, const SketchParams *params);
	void (*close)(Finder *finder);
	bool (*replaced)(Finder *finder);
	void (*find)(Finder *finder, FindQuery *query, NodeHit *hits, uint32 *nhits);
	void (*forget)(Finder *finder);
	void (*assign)(Finder *finder, const float *tokens, uint32 ntokens, NodeHit *nearest);
	uint32 (*near)(Finder *finder, const float *vector, NodeHit *hits, uint32 n);
	uint32 (*add)(Finder *finder, const float *vector);
	void (*vector)(Finder *finder, uint32 node, float *vector);
	void (*near_trained)(KmeansResult *trained, uint32 dim, Team *team);
	void (*store)(Finder *finder, const KmeansResult *trained, uint32 *node_of);
	void (*check)(ColbertIndex *index, const SketchParams *params, Findings *findings,
				  bool encodings);
};

extern const FinderOps graph_finder;
extern const FinderOps lists_finder;

/*
 * Open a finder for searching and growing, in a child of the current memory
 * context. The index must outlive it.
 *
 * Functions that change the nodes keep the index's copy of the meta data up to
 * date. They also write the nodes' part of the meta page, at finder_close at
 * the latest.
 */
extern const FinderOps *finder_by_kind(int kind);

/*
 * Open a finder for searching and growing, in a child of the current memory
 * context. The index must outlive it.
 *
 * Functions that change the nodes keep the index's copy of the meta data up to
 * date. They write the nodes' part of the meta page, too; in a build,
 * finder_close does.
 */
static inline Finder *
finder_open(ColbertIndex *index, const SketchParams *params)
{
	return finder_by_kind(index->meta.shape.finder)->open(index, params);
}

/*
 * Open a finder of the nodes that are being filled and will replace those that
 * searches use. Returns NULL if there are none.
 */
static inline Finder *
finder_open_next(ColbertIndex *index, const SketchParams *params)
{
	const FinderOps *ops = finder_by_kind(index->meta.shape.finder);

	return index->meta.lists.next_node > 0 && ops->open_next != NULL ? ops->open_next(index, params)
																	 : NULL;
}

static inline void
finder_close(Finder *finder)
{
	finder->ops->close(finder);
}

/*
 * Return true if the nodes that searches use have been replaced since the
 * index's meta data was copied: the posting lists of the former ones may be
 * incomplete. The nodes' part of the copy is then brought up to date.
 */
static inline bool
finder_replaced(Finder *finder)
{
	return finder->ops->replaced != NULL && finder->ops->replaced(finder);
}

/*
 * Find the nodes nearest to each token, nearest first. Token t has nhits[t]
 * hits, from hits[t * query->probes] on. Checks for interrupts.
 */
static inline void
finder_find(Finder *finder, FindQuery *query, NodeHit *hits, uint32 *nhits)
{
	finder->ops->find(finder, query, hits, nhits);
}

/* Free what was kept for a wider call. The next one must not be a wider one. */
static inline void
finder_forget(Finder *finder)
{
	if (finder->ops->forget != NULL)
		finder->ops->forget(finder);
}

/* Find the nearest node of each token. Checks for interrupts. */
static inline void
finder_assign(Finder *finder, const float *tokens, uint32 ntokens, NodeHit *nearest)
{
	finder->ops->assign(finder, tokens, ntokens, nearest);
}

/* Return true if nodes can be added after training. */
static inline bool
finder_adds(const Finder *finder)
{
	return finder->ops->add != NULL;
}

/*
 * Find up to n nodes near a vector that may be added next, nearest first.
 * Returns their number. Nodes can be added after training.
 */
static inline uint32
finder_near(Finder *finder, const float *vector, NodeHit *hits, uint32 n)
{
	return finder->ops->near(finder, vector, hits, n);
}

/* Add a node with an empty posting list. vector: dim prepared floats. Returns its ordinal. */
static inline uint32
finder_add(Finder *finder, const float *vector)
{
	return finder->ops->add(finder, vector);
}

/* Copy the vector of a node, dim floats. Nodes can be added after training. */
static inline void
finder_vector(Finder *finder, uint32 node, float *vector)
{
	finder->ops->vector(finder, node, vector);
}

/*
 * Store trained centroids as the nodes of an index that has none, or, if nodes
 * can be replaced, as the nodes to be filled. node_of[c] is set to the node of
 * centroid c.
 */
static inline void
finder_store(Finder *finder, const KmeansResult *trained, uint32 *node_of)
{
	finder->ops->store(finder, trained, node_of);
}

/*
 * Report damaged nodes. encodings: also verify the encodings of their vectors.
 * The caller holds the merge lock, so no node changes meanwhile.
 */
static inline void
finder_check(ColbertIndex *index, const SketchParams *params, Findings *findings, bool encodings)
{
	finder_by_kind(index->meta.shape.finder)->check(index, params, findings, encodings);
}

/* Return true if the index has nodes. Without nodes, all documents are pending. */
static inline bool
has_nodes(const MetaPageData *meta)
{
	return meta->nodes.entry_node != INVALID_ORDINAL;
}

/*
 * Compute a vector's squared distance to a node from its key for reach 1:
 * |x|^2 - 2 (<x, c> - |c|^2/2).
 */
static inline double
hit_distance(const float *vector, uint32 dim, float key)
{
	double distance = (double) vec_squared(vector, dim) - 2 * (double) key;

	return isfinite(distance) ? Max(distance, 0) : 0;
}

/* Count a token assigned to a node. key: the node's key for reach 1. */
static inline void
assigned_add(Assigned *assigned, const float *vector, uint32 dim, float key)
{
	assigned->tokens++;
	assigned->squares += hit_distance(vector, dim, key);
}

#endif /* COLBERT_FINDER_H */
