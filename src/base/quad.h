/*-------------------------------------------------------------------------
 *
 * quad.h
 *	  Vectors of four floats. Every supported compiler maps them to the
 *	  baseline instruction set (SSE2, NEON) at any optimization level.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_QUAD_H
#define COLBERT_QUAD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef float   Quad __attribute__((vector_size(16)));
typedef int32_t IntQuad __attribute__((vector_size(16)));

#define QUAD_FLOATS 4

/* Elements i, j, k, l of two quads; elements 4 to 7 are those of the second. */
#if defined(__clang__) || __GNUC__ >= 12
#define quad_shuffle(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define quad_shuffle(a, b, i, j, k, l) __builtin_shuffle(a, b, (IntQuad) {i, j, k, l})
#endif

static inline Quad
quad_load(const float *p)
{
	Quad q;

	memcpy(&q, p, sizeof(q));
	return q;
}

static inline void
quad_store(float *p, Quad q)
{
	memcpy(p, &q, sizeof(q));
}

/* Return true if any element of a comparison is true. */
static inline bool
quad_any(IntQuad comparison)
{
	uint64_t halves[2];

	memcpy(halves, &comparison, sizeof(halves));
	return (halves[0] | halves[1]) != 0;
}

/* Return x with the sign flipped in each element whose counterpart in y is negative. */
static inline Quad
quad_flip(Quad x, Quad y)
{
	const IntQuad sign = {INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN};

	return (Quad) ((IntQuad) x ^ ((IntQuad) y & sign));
}

/* Return x in the elements whose mask is -1, and 0 in those whose mask is 0. */
static inline Quad
quad_if(IntQuad mask, float x)
{
	return (Quad) ((IntQuad) (Quad) {x, x, x, x} & mask);
}

/* Return each element of x, but at most this number; the number for a NaN. */
static inline Quad
quad_lesser(Quad x, float most)
{
	IntQuad less = x < most;

	return (Quad) (((IntQuad) x & less) | ((IntQuad) (Quad) {most, most, most, most} & ~less));
}

/* Return floats that an int32 can hold, without their fractions. */
static inline IntQuad
quad_numbers(Quad x)
{
	return __builtin_convertvector(x, IntQuad);
}

#endif /* COLBERT_QUAD_H */
