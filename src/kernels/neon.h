/*-------------------------------------------------------------------------
 *
 * neon.h
 *	  Code shared by the NEON files, with and without dot products.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_KERNELS_NEON_H
#define COLBERT_KERNELS_NEON_H

#include <arm_neon.h>

#include "kernels/plain.h"
#include "kernels/tiles.h"

extern void neon_maxsim_rows(const KernelQuery *q, const KernelRows *rows, float *best,
							 uint32_t *best_row);
extern void neon_dot_matrix(const KernelQuery *q, const KernelRows *rows, float *out);
extern void neon_sq4_unpack(const uint8_t *rows, uint32_t nrows, uint32_t dim, bool has_add,
							uint8_t *out);
DECLARE_PLAIN_KERNELS(neon);
extern void neon_pq_rows(const KernelPqQuery *q, const uint8_t *rows, uint32_t nrows, bool has_add,
						 float *best);
extern void neon_sketch_blocks(const KernelSketchQuery *q, const uint8_t *blocks, uint32_t nblocks,
							   float *state);
extern void neon_sketch_finish(const KernelSketchQuery *q, const float *state, float *best);
extern void neon_sketch_scores(const KernelSketchQuery *q, uint32_t token, const uint8_t *block,
							   float *scores);
extern void neon_half_to_float(const uint16_t *in, float *out, size_t n);
extern void neon_float_to_half(const float *in, uint16_t *out, size_t n);

/* Return the larger of each pair, or the running maximum if one is a NaN: the rule of kernels.h. */
KERNEL_INLINE float32x4_t
neon_larger(float32x4_t key, float32x4_t largest)
{
	return vbslq_f32(vcgtq_f32(key, largest), key, largest);
}

/* Return four of the keys of row r in one column of an sq8 tile. */
KERNEL_INLINE float32x4_t
neon_sq8_key(const Sq8Result *tile, uint32_t group, uint32_t r, uint32_t quad,
			 float32x4_t query_scale)
{
	int32x4_t   sums = vld1q_s32(tile->sums + (r * tile->ngroups + group) * 16 + quad);
	float32x4_t scale = vmulq_n_f32(query_scale, sq8_row_scale(tile, r));

	return vfmaq_f32(vdupq_n_f32(sq8_row_add(tile, r)), vcvtq_f32_s32(sums), scale);
}

/* Update the running maxima of one column of an sq8 tile. */
static void
neon_sq8_maxima(const Sq8Result *tile, uint32_t group, const float *query_scale, float *best)
{
	for (uint32_t quad = 0; quad < 16; quad += 4)
	{
		float32x4_t scales = vld1q_f32(query_scale + quad);
		float32x4_t largest = vld1q_f32(best + quad);

		for (uint32_t r = 0; r < tile->nrows; r++)
			largest = neon_larger(neon_sq8_key(tile, group, r, quad, scales), largest);
		vst1q_f32(best + quad, largest);
	}
}

/* Write all keys of one column. */
static void
neon_sq8_write(const Sq8Result *tile, uint32_t group, const float *query_scale, float *out,
			   size_t nslots)
{
	for (uint32_t quad = 0; quad < 16; quad += 4)
	{
		float32x4_t scales = vld1q_f32(query_scale + quad);

		for (uint32_t r = 0; r < tile->nrows; r++)
			vst1q_f32(out + r * nslots + quad, neon_sq8_key(tile, group, r, quad, scales));
	}
}

/* Members of KernelOps that are the same in both files. */
#define NEON_KERNELS                                                                             \
	.maxsim_rows = neon_maxsim_rows, .dot_matrix = neon_dot_matrix, PLAIN_KERNELS(neon),         \
	.sq4_unpack = neon_sq4_unpack, .pq_rows = neon_pq_rows, .sketch_blocks = neon_sketch_blocks, \
	.sketch_finish = neon_sketch_finish, .sketch_scores = neon_sketch_scores,                    \
	.half_to_float = neon_half_to_float, .float_to_half = neon_float_to_half

#endif /* COLBERT_KERNELS_NEON_H */
