/*-------------------------------------------------------------------------
 *
 * vectors.h
 *	  Functions shared by the tests of codecs and of the rotation.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VECTORS_H
#define VECTORS_H

#include "codec/rotation.h"
#include "sample.h"

static inline double
inner(const float *a, const float *b, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (double) a[i] * b[i];
	return sum;
}

static inline Rotation *
new_rotation(uint32_t dim, uint64_t seed)
{
	Rotation *rotation = sample_memory(rotation_size(dim));

	rotation_init(rotation, dim, seed);
	return rotation;
}

#endif
