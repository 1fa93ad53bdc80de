/*-------------------------------------------------------------------------
 *
 * bisect.h
 *	  An order of points in which like ones are neighbours.
 *
 * The points are divided into halves of equal size by two-means, and so on
 * down to a few points. Plain C without PostgreSQL; the same points and seed
 * give the same order on any instruction set.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_BISECT_H
#define COLBERT_BISECT_H

#include "kmeans/kmeans.h"

#define BISECT_MAX_DIM 32

/* n points of dim <= BISECT_MAX_DIM bytes each, stride bytes apart. */
typedef struct BisectPoints
{
	const int8_t *first;
	size_t        stride;
	uint32_t      n;
	uint32_t      dim;
} BisectPoints;

/*
 * Write the numbers of the points in this order. Among points that no line
 * tells apart, the lower number comes first.
 */
extern void bisect_order(const BisectPoints *points, uint64_t seed, const KmeansHooks *hooks,
						 uint32_t *order);

#endif /* COLBERT_BISECT_H */
