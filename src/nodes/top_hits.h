/*-------------------------------------------------------------------------
 *
 * top_hits.h
 *	  The best of very many hits, in no order.
 *
 * Hits are added at the end of an array that has room for several times as
 * many as are wanted; when it is full, it is thinned to the best, and some
 * more: those above a bound that a histogram of the keys gives. All of that
 * takes a few cycles a hit, without a branch that depends on its key, where a
 * sorted array (BestHits) moves half of itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_TOP_HITS_H
#define COLBERT_TOP_HITS_H

#include "nodes/hits.h"

typedef struct TopHits
{
	NodeHit *hits;
	uint32   count;
	uint32   wanted;
	uint32   room;  /* hits is allocated for one more */
	float    worst; /* the key that the next must beat */
	uint32   allocated;
} TopHits;

#define TOP_PREFIX       nearest
#define TOP_TYPE         NodeHit
#define TOP_KEY(item)    ((item).key)
#define TOP_NEARER(a, b) ((a).key > (b).key || ((a).key == (b).key && (a).node < (b).node))
#include "base/top_template.h"

/* Empty it; it is to keep the best so many (1 or more). */
static inline void
top_reset(TopHits *top, uint32 wanted, MemoryContext context)
{
	top->count = 0;
	top->wanted = wanted;
	top->room = 4 * wanted + 64;
	top->worst = -INFINITY;
	if (top->room < top->allocated)
		return;
	if (top->hits != NULL)
		pfree(top->hits);
	top->allocated = top->room + 1;
	top->hits = MemoryContextAllocHuge(context, mul_size(top->allocated, sizeof(NodeHit)));
}

static inline void
top_set_worst(TopHits *top)
{
	top->worst = INFINITY;
	for (uint32 i = 0; i < top->count; i++)
		top->worst = Min(top->worst, top->hits[i].key);
}

/* Drop all but the wanted ones. */
static inline void
top_cut(TopHits *top)
{
	if (top->count <= top->wanted)
		return;
	nearest_quickselect(top->hits, top->count, top->wanted);
	top->count = top->wanted;
	top_set_worst(top);
}

/* Drop most of what is not wanted. */
extern void top_thin(TopHits *top);

static inline void
top_add(TopHits *top, uint32 node, float key)
{
	top->hits[top->count] = (NodeHit) {node, key};
	top->count += key > top->worst;
	if (top->count == top->room)
		top_thin(top);
}

/* What is wanted, the best first: their number is count. */
static inline void
top_sort(TopHits *top)
{
	top_cut(top);
	for (uint32 i = 1; i < top->count; i++)
	{
		NodeHit hit = top->hits[i];
		uint32  at = i;

		for (; at > 0 && top->hits[at - 1].key < hit.key; at--)
			top->hits[at] = top->hits[at - 1];
		top->hits[at] = hit;
	}
}

#endif /* COLBERT_TOP_HITS_H */
