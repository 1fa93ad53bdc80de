/*-------------------------------------------------------------------------
 *
 * graph_select.h
 *	  Distances between node vectors, and the choice of neighbours.
 *
 * Plain C without PostgreSQL; never allocates. Vectors are floats padded with
 * zeroes to graph_width(dim). Their sums have one order (base/vec.h), so that
 * every instruction set builds the same graph.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_GRAPH_SELECT_H
#define COLBERT_GRAPH_SELECT_H

#include <stdint.h>

#include "base/vec.h"

static inline uint32_t
graph_width(uint32_t dim)
{
	return (dim + VEC_PARTS - 1) & ~(uint32_t) (VEC_PARTS - 1);
}

extern float graph_dot(const float *a, const float *b, uint32_t width);
extern float graph_distance(const float *a, const float *b, uint32_t width); /* |a - b|^2 */

/* A node that may become a neighbour: row of its vector, distance from the node that chooses. */
typedef struct GraphCandidate
{
	uint32_t row;
	float    distance;
} GraphCandidate;

/* Put candidates in order: nearest first, the lower row among equals. */
extern void graph_sort_candidates(GraphCandidate *candidates, uint32_t n);

/*
 * Choose at most limit neighbours among n sorted candidates (Malkov and
 * Yashunin, algorithm 4, relaxed by a factor as in Vamana): one is chosen
 * unless it is clearly nearer to a neighbour chosen before than to the node
 * that chooses. vectors holds rows of width floats. Writes the indexes into
 * candidates of the chosen, in their order; returns how many.
 */
extern uint32_t graph_select_neighbours(const float *vectors, uint32_t width,
										const GraphCandidate *candidates, uint32_t n,
										uint32_t limit, uint32_t *chosen);

#endif /* COLBERT_GRAPH_SELECT_H */
