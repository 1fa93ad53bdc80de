/*-------------------------------------------------------------------------
 *
 * hits.h
 *	  Nodes that a search has found, and sorted arrays that keep the best of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_HITS_H
#define COLBERT_HITS_H

#include "compat/pg_compat.h"

#include <math.h>

#include "utils/memutils.h"

/* A node, or a vertex of a graph, and how near it is: <q, x> - |x|^2/2, larger is nearer by L2. */
typedef struct NodeHit
{
	uint32 node;
	float  key;
} NodeHit;

/* The best hits so far, at most capacity of them: an array sorted by key, the worst first. */
typedef struct BestHits
{
	NodeHit *hits;
	uint32   count;
	uint32   capacity;
	uint32   allocated;
} BestHits;

/* Empty it, and let it keep this many hits. */
static inline void
hits_reset(BestHits *best, uint32 capacity, MemoryContext context)
{
	best->count = 0;
	best->capacity = capacity;
	if (capacity <= best->allocated)
		return;
	if (best->hits != NULL)
		pfree(best->hits);
	best->hits = MemoryContextAllocHuge(context, mul_size(capacity, sizeof(NodeHit)));
	best->allocated = capacity;
}

/* The key that a hit must beat to enter. */
static inline float
hits_worst(const BestHits *best)
{
	return best->count < best->capacity ? -INFINITY : best->hits[0].key;
}

/* The number of hits with a smaller key. Without branches that depend on keys: they could not be predicted. */
static inline uint32
hits_rank(const BestHits *best, float key)
{
	const NodeHit *hits = best->hits;
	uint32         below = 0;
	uint32         n = best->count;

	while (n > 1)
	{
		uint32 half = n / 2;

		below += half * (uint32) (hits[below + half - 1].key < key);
		n -= half;
	}
	return n == 0 ? 0 : below + (uint32) (hits[below].key < key);
}

/* Add a hit, dropping the worst if it is full. */
static inline void
hits_add(BestHits *best, uint32 node, float key)
{
	NodeHit *hits = best->hits;
	uint32   rank = hits_rank(best, key);

	if (best->count < best->capacity)
		memmove(hits + rank + 1, hits + rank, (best->count++ - rank) * sizeof(NodeHit));
	else if (rank == 0)
		return;
	else
		memmove(hits, hits + 1, --rank * sizeof(NodeHit));
	hits[rank] = (NodeHit) {node, key};
}

/* The best n hits, the best first; returns how many there are. */
static inline uint32
hits_best(const BestHits *best, uint32 n, NodeHit *out)
{
	n = Min(n, best->count);
	for (uint32 i = 0; i < n; i++)
		out[i] = best->hits[best->count - 1 - i];
	return n;
}

#endif /* COLBERT_HITS_H */
