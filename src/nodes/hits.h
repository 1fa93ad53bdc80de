/*-------------------------------------------------------------------------
 *
 * hits.h
 *	  Nodes that a search has found, and pools that keep the best of them.
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
typedef struct HitPool
{
	NodeHit *hits;
	uint32   count;
	uint32   capacity;
	uint32   allocated;
} HitPool;

/* Empty a pool, and let it keep so many hits. */
static inline void
pool_reset(HitPool *pool, uint32 capacity, MemoryContext context)
{
	pool->count = 0;
	pool->capacity = capacity;
	if (capacity <= pool->allocated)
		return;
	if (pool->hits != NULL)
		pfree(pool->hits);
	pool->hits = MemoryContextAllocHuge(context, mul_size(capacity, sizeof(NodeHit)));
	pool->allocated = capacity;
}

/* The key that a hit must beat to enter. */
static inline float
pool_worst(const HitPool *pool)
{
	return pool->count < pool->capacity ? -INFINITY : pool->hits[0].key;
}

/* How many hits have a smaller key. Without branches that depend on keys: they could not be predicted. */
static inline uint32
pool_rank(const HitPool *pool, float key)
{
	const NodeHit *hits = pool->hits;
	uint32         below = 0;
	uint32         n = pool->count;

	while (n > 1)
	{
		uint32 half = n / 2;

		below += half * (uint32) (hits[below + half - 1].key < key);
		n -= half;
	}
	return n == 0 ? 0 : below + (uint32) (hits[below].key < key);
}

/* Add a hit, dropping the worst where the pool is full. */
static inline void
pool_add(HitPool *pool, uint32 node, float key)
{
	NodeHit *hits = pool->hits;
	uint32   rank = pool_rank(pool, key);

	if (pool->count < pool->capacity)
		memmove(hits + rank + 1, hits + rank, (pool->count++ - rank) * sizeof(NodeHit));
	else if (rank == 0)
		return;
	else
		memmove(hits, hits + 1, --rank * sizeof(NodeHit));
	hits[rank] = (NodeHit) {node, key};
}

/* The best n hits, the best first; returns how many there are. */
static inline uint32
pool_best(const HitPool *pool, uint32 n, NodeHit *best)
{
	n = Min(n, pool->count);
	for (uint32 i = 0; i < n; i++)
		best[i] = pool->hits[pool->count - 1 - i];
	return n;
}

#endif /* COLBERT_HITS_H */
