/*-------------------------------------------------------------------------
 *
 * graph_select.h
 *	  Compute distances between node vectors and select neighbours.
 *
 * Plain C without PostgreSQL; never allocates. Vectors are floats padded with
 * zeroes to graph_width(dim). Sums are computed in a fixed order (base/vec.h),
 * so that every instruction set builds the same graph.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_GRAPH_SELECT_H
#define COLBERT_GRAPH_SELECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"

static inline uint32_t
graph_width(uint32_t dim)
{
	return (dim + VEC_PARTS - 1) & ~(uint32_t) (VEC_PARTS - 1);
}

extern float graph_dot(const float *a, const float *b, uint32_t width);
extern float graph_distance(const float *a, const float *b, uint32_t width); /* |a - b|^2 */

/*
 * Candidate neighbour: row of its vector and distance to the selecting node.
 * fixed: it is always selected.
 */
typedef struct GraphCandidate
{
	uint32_t row;
	float    distance;
	bool     fixed;
} GraphCandidate;

/* Sort candidates: nearest first, lower row first among equals. */
extern void graph_sort_candidates(GraphCandidate *candidates, uint32_t n);

/*
 * Select at most limit neighbours among n sorted candidates (Malkov and
 * Yashunin 2018, algorithm 4, relaxed by a factor as in Vamana). A candidate
 * is selected unless it is clearly nearer to a neighbour selected before it
 * than to the selecting node. Fixed candidates are selected in any case; there
 * are at most limit of them.
 *
 * vectors: rows of width floats. chosen: receives the selected indexes into
 * candidates, in ascending order. Returns their number.
 */
extern uint32_t graph_select_neighbours(const float *vectors, uint32_t width,
										const GraphCandidate *candidates, uint32_t n,
										uint32_t limit, uint32_t *chosen);

#endif /* COLBERT_GRAPH_SELECT_H */
