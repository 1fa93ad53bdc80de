/*-------------------------------------------------------------------------
 *
 * rotation.h
 *	  A fixed fast rotation by random signs and Hadamard passes, stored as its
 *	  seed.
 *
 * dims are padded to a multiple of 32. If the padded dim is not a power of
 * two, each pass transforms the first and then the last window of a
 * power-of-two length. The windows overlap, so that every dim mixes with every
 * other. The result is an orthonormal map: it preserves lengths and inner
 * products, up to rounding.
 *
 * Plain C without PostgreSQL; never allocates; gives the same bits on every
 * instruction set.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_ROTATION_H
#define COLBERT_ROTATION_H

#include <stddef.h>
#include <stdint.h>

#define ROTATION_PASSES 3

typedef struct Rotation
{
	uint32_t dim;
	uint32_t padded;  /* rotation_padded(dim) */
	float    signs[]; /* ROTATION_PASSES x padded, +1 or -1 */
} Rotation;

static inline uint32_t
rotation_padded(uint32_t dim)
{
	return (dim + 31) & ~(uint32_t) 31;
}

extern size_t rotation_size(uint32_t dim);
extern void   rotation_init(Rotation *rotation, uint32_t dim, uint64_t seed);

/* Rotate in, which has dim floats, into out, which has padded floats. They must not overlap. */
extern void rotation_apply(const Rotation *rotation, const float *in, float *out);

/* Rotate in - centre, without a copy of the difference. */
extern void rotation_apply_centred(const Rotation *rotation, const float *in, const float *centre,
								   float *out);

/* Rotate back: in has padded floats and is overwritten; out has dim floats. */
extern void rotation_revert(const Rotation *rotation, float *in, float *out);

#endif /* COLBERT_ROTATION_H */
