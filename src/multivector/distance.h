/*-------------------------------------------------------------------------
 *
 * distance.h
 *	  The distance of two tokens from their differences.
 *
 * A fixed order of summation without fused operations: eight partial sums,
 * dim k into sum k mod 8, then those added pairwise. So the bits are the same
 * on every machine, and equal tokens are at distance 0.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_MULTIVECTOR_DISTANCE_H
#define COLBERT_MULTIVECTOR_DISTANCE_H

#include <stdint.h>

#include "base/quad.h"

static inline float
squared_distance(const float *a, const float *b, uint32_t dim)
{
	Quad     low = {0};
	Quad     high = {0};
	float    sums[8];
	uint32_t k = 0;

	for (; k + 8 <= dim; k += 8)
	{
		Quad d = quad_load(a + k) - quad_load(b + k);
		Quad e = quad_load(a + k + 4) - quad_load(b + k + 4);

		low += d * d;
		high += e * e;
	}
	memcpy(sums, &low, sizeof(low));
	memcpy(sums + 4, &high, sizeof(high));
	for (uint32_t i = 0; k + i < dim; i++)
		sums[i] += (a[k + i] - b[k + i]) * (a[k + i] - b[k + i]);
	return ((sums[0] + sums[4]) + (sums[2] + sums[6])) +
		   ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

#endif /* COLBERT_MULTIVECTOR_DISTANCE_H */
