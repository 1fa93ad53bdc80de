/*-------------------------------------------------------------------------
 *
 * rotation.h
 *	  A fixed fast rotation: random signs and Hadamard passes, kept by seed.
 *
 * dims are padded to a multiple of 32. Where the padded dim is not a power of
 * two, each pass transforms the first and then the last power-of-two window,
 * which overlap, so that every dim mixes with every other. The result is an
 * orthonormal map: lengths and inner products are kept (up to rounding).
 *
 * Plain C without PostgreSQL; never allocates; deterministic on every ISA.
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

/* out has padded floats; in has dim; they may not overlap. */
extern void rotation_apply(const Rotation *rotation, const float *in, float *out);

/* The rotation of in - centre, without a copy of the difference. */
extern void rotation_apply_centred(const Rotation *rotation, const float *in, const float *centre,
								   float *out);

/* Back: in has padded floats and is overwritten; out has dim. */
extern void rotation_revert(const Rotation *rotation, float *in, float *out);

#endif /* COLBERT_ROTATION_H */
