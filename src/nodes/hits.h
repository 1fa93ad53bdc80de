/*-------------------------------------------------------------------------
 *
 * hits.h
 *	  Hits of a search for nodes, and a sorted array of the best hits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_HITS_H
#define COLBERT_HITS_H

#include "compat/pg_compat.h"

#include <math.h>

#include "utils/memutils.h"

/* Node, or vertex of a graph, with its key <q, x> - |x|^2/2: larger is nearer by L2. */
typedef struct NodeHit
{
	uint32 node;
	float  key;
} NodeHit;

/* Best hits so far, at most capacity of them: an array sorted by key, worst first. */
typedef struct BestHits
{
	NodeHit *hits;
	uint32   count;
	uint32   capacity;
	uint32   allocated;
} BestHits;

/* Empty the array and set its capacity. context: for a larger array, if needed. */
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

/* Return the key that a hit must exceed to enter. */
static inline float
hits_worst(const BestHits *best)
{
	return best->count < best->capacity ? -INFINITY : best->hits[0].key;
}

/*
 * Return the number of hits with a smaller key. The search has no branches
 * that depend on keys, since these would be mispredicted.
 */
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

/* Add a hit; a full array drops the worst. */
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

/* Copy the best n hits, best first. Returns their number. */
static inline uint32
hits_best(const BestHits *best, uint32 n, NodeHit *out)
{
	n = Min(n, best->count);
	for (uint32 i = 0; i < n; i++)
		out[i] = best->hits[best->count - 1 - i];
	return n;
}

#endif /* COLBERT_HITS_H */
