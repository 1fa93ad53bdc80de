/*-------------------------------------------------------------------------
 *
 * graph_select.c
 *	  Compute distances between node vectors and select neighbours.
 *
 *-------------------------------------------------------------------------
 */
#include "nodes/graph_select.h"

#include <math.h>
#include <stdlib.h>

float
graph_dot(const float *a, const float *b, uint32_t width)
{
	return vec_dot(a, b, width);
}

float
graph_distance(const float *a, const float *b, uint32_t width)
{
	return vec_squared_distance(a, b, width);
}

static int
compare_candidates(const void *a, const void *b)
{
	const GraphCandidate *x = a;
	const GraphCandidate *y = b;

	if (x->distance != y->distance)
		return x->distance < y->distance ? -1 : 1;
	return x->row < y->row ? -1 : x->row > y->row;
}

void
graph_sort_candidates(GraphCandidate *candidates, uint32_t n)
{
	/* A damaged vector may give NaN, which has no place in an order. */
	for (uint32_t i = 0; i < n; i++)
		if (isnan(candidates[i].distance))
			candidates[i].distance = INFINITY;
	qsort(candidates, n, sizeof(GraphCandidate), compare_candidates);
}

/*
 * A candidate is skipped if its squared distance to a selected neighbour,
 * times this factor, is at most its squared distance to the selecting node. A
 * factor above 1 makes neighbour lists denser. That costs a search nothing,
 * since it estimates all lanes anyway.
 */
#define SHADOW_FACTOR 1.2f

/* Return true if one of the selected neighbours makes a candidate superfluous. */
static bool
is_shadowed(const float *vectors, uint32_t width, const GraphCandidate *candidates,
			const GraphCandidate *candidate, const uint32_t *chosen, uint32_t nchosen)
{
	const float *vector = vectors + (size_t) candidate->row * width;

	for (uint32_t i = 0; i < nchosen; i++)
	{
		const float *other = vectors + (size_t) candidates[chosen[i]].row * width;

		if (graph_distance(vector, other, width) * SHADOW_FACTOR <= candidate->distance)
			return true;
	}
	return false;
}

uint32_t
graph_select_neighbours(const float *vectors, uint32_t width, const GraphCandidate *candidates,
						uint32_t n, uint32_t limit, uint32_t *chosen)
{
	uint32_t nchosen = 0;
	uint32_t nfixed = 0;

	for (uint32_t i = 0; i < n; i++)
		nfixed += candidates[i].fixed;
	for (uint32_t i = 0; i < n && nchosen < limit; i++)
	{
		if (candidates[i].fixed)
			nfixed--;
		else if (nchosen + nfixed >= limit ||
				 is_shadowed(vectors, width, candidates, &candidates[i], chosen, nchosen))
			continue;
		chosen[nchosen++] = i;
	}
	return nchosen;
}
