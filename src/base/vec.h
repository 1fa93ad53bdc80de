/*-------------------------------------------------------------------------
 *
 * vec.h
 *	  Sums over the dims of float vectors, in one fixed order.
 *
 * Dim k is added to partial sum k mod 16, and the partial sums are added
 * pairwise. No operations are fused. The result therefore has the same bits on
 * every machine and with every compiler, and sixteen independent chains hide
 * the latency of the additions. Zero dims appended to a vector change no sum.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_VEC_H
#define COLBERT_VEC_H

#include <stddef.h>

#include "base/quad.h"

#define VEC_PARTS 16

/* Sixteen consecutive dims, or the sixteen partial sums. */
typedef struct VecParts
{
	Quad a, b, c, d;
} VecParts;

#define VEC_ZERO {{0}, {0}, {0}, {0}}

static inline VecParts
vec_load(const float *x)
{
	return (VecParts) {quad_load(x), quad_load(x + 4), quad_load(x + 8), quad_load(x + 12)};
}

/* Load the first n of four floats; the rest are zero. */
static inline Quad
vec_load_first(const float *x, int n)
{
	if (n >= QUAD_FLOATS)
		return quad_load(x);
	return (Quad) {n > 0 ? x[0] : 0, n > 1 ? x[1] : 0, n > 2 ? x[2] : 0};
}

/* Load the last n dims of a vector (n < 16); the rest are zero. */
static inline VecParts
vec_load_last(const float *x, int n)
{
	return (VecParts) {vec_load_first(x, n), vec_load_first(x + 4, n - 4),
					   vec_load_first(x + 8, n - 8), vec_load_first(x + 12, n - 12)};
}

static inline void
vec_store(float *x, VecParts parts)
{
	quad_store(x, parts.a);
	quad_store(x + 4, parts.b);
	quad_store(x + 8, parts.c);
	quad_store(x + 12, parts.d);
}

static inline VecParts
vec_plus(VecParts x, VecParts y)
{
	return (VecParts) {x.a + y.a, x.b + y.b, x.c + y.c, x.d + y.d};
}

static inline VecParts
vec_minus(VecParts x, VecParts y)
{
	return (VecParts) {x.a - y.a, x.b - y.b, x.c - y.c, x.d - y.d};
}

static inline VecParts
vec_add_products(VecParts sum, VecParts x, VecParts y)
{
	return (VecParts) {sum.a + x.a * y.a, sum.b + x.b * y.b, sum.c + x.c * y.c, sum.d + x.d * y.d};
}

static inline float
vec_total(VecParts sum)
{
	Quad s = (sum.a + sum.b) + (sum.c + sum.d);

	return (s[0] + s[2]) + (s[1] + s[3]);
}

/* Return x with the sign flipped in each dim that is negative in y. */
static inline VecParts
vec_flip(VecParts x, VecParts y)
{
	return (VecParts) {quad_flip(x.a, y.a), quad_flip(x.b, y.b), quad_flip(x.c, y.c),
					   quad_flip(x.d, y.d)};
}

/* Return the inner product of x and y. */
static inline float
vec_dot(const float *x, const float *y, uint32_t n)
{
	VecParts sum = VEC_ZERO;
	size_t   k = 0;

	for (; k + VEC_PARTS <= n; k += VEC_PARTS)
		sum = vec_add_products(sum, vec_load(x + k), vec_load(y + k));
	if (k < n)
		sum = vec_add_products(sum, vec_load_last(x + k, (int) (n - k)),
							   vec_load_last(y + k, (int) (n - k)));
	return vec_total(sum);
}

static inline float
vec_squared(const float *x, uint32_t n)
{
	return vec_dot(x, x, n);
}

/* Return |x - y|^2, which is exactly 0 if both are equal. */
static inline float
vec_squared_distance(const float *x, const float *y, uint32_t n)
{
	VecParts sum = VEC_ZERO;
	size_t   k = 0;

	for (; k + VEC_PARTS <= n; k += VEC_PARTS)
	{
		VecParts difference = vec_minus(vec_load(x + k), vec_load(y + k));

		sum = vec_add_products(sum, difference, difference);
	}
	if (k < n)
	{
		VecParts difference =
			vec_minus(vec_load_last(x + k, (int) (n - k)), vec_load_last(y + k, (int) (n - k)));

		sum = vec_add_products(sum, difference, difference);
	}
	return vec_total(sum);
}

#endif /* COLBERT_VEC_H */
