/*-------------------------------------------------------------------------
 *
 * avx512.h
 *	  Code in 512-bit registers shared by the AVX-512 files.
 *
 * Each AVX-512 file includes this one and compiles it for its own instruction
 * set, which has at least F, BW, DQ and VL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_KERNELS_AVX512_H
#define COLBERT_KERNELS_AVX512_H

#include <immintrin.h>

#include "kernels/plain.h"
#include "kernels/tiles.h"

/* Kernels of avx512.c that avx512vnni.c and amx.c reuse. */
extern void avx512_maxsim_rows(const KernelQuery *q, const KernelRows *rows, float *best,
							   uint32_t *best_row);
extern void avx512_dot_matrix(const KernelQuery *q, const KernelRows *rows, float *out);
DECLARE_PLAIN_KERNELS(avx512);
extern void avx512_pq_rows(const KernelPqQuery *q, const uint8_t *rows, uint32_t nrows,
						   bool has_add, float *best);
extern void avx512_sketch_finish(const KernelSketchQuery *q, const float *state, float *best);
extern void avx512_half_to_float(const uint16_t *in, float *out, size_t n);
extern void avx512_float_to_half(const float *in, uint16_t *out, size_t n);

/* Kernels of avx512vnni.c that amx.c reuses. */
extern void avx512vnni_sq8_keys(const KernelSq8Query *q, const uint8_t *rows, uint32_t nrows,
								bool has_add, float *out);
extern void avx512vnni_sketch_blocks(const KernelSketchQuery *q, const uint8_t *blocks,
									 uint32_t nblocks, float *state);
extern void avx512vnni_sketch_scores(const KernelSketchQuery *q, uint32_t token,
									 const uint8_t *block, float *scores);

/* Return the keys of row r in one column of an sq8 tile. */
KERNEL_INLINE __m512
avx512_sq8_key(const Sq8Result *tile, uint32_t group, uint32_t r, __m512 query_scale)
{
	__m512i sums = _mm512_load_si512(tile->sums + (r * tile->ngroups + group) * 16);
	__m512  scale = _mm512_mul_ps(_mm512_set1_ps(sq8_row_scale(tile, r)), query_scale);

	return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), scale, _mm512_set1_ps(sq8_row_add(tile, r)));
}

/* Update the running maxima of one column of an sq8 tile. */
static void
avx512_sq8_maxima(const Sq8Result *tile, uint32_t group, const float *query_scale, float *best)
{
	__m512 scales = _mm512_loadu_ps(query_scale);
	__m512 largest = _mm512_loadu_ps(best);

	for (uint32_t r = 0; r < tile->nrows; r++)
		largest = _mm512_max_ps(avx512_sq8_key(tile, group, r, scales), largest);
	_mm512_storeu_ps(best, largest);
}

/* Write all keys of one column. */
static inline void
avx512_sq8_write(const Sq8Result *tile, uint32_t group, const float *query_scale, float *out,
				 size_t nslots)
{
	__m512 scales = _mm512_loadu_ps(query_scale);

	for (uint32_t r = 0; r < tile->nrows; r++)
		_mm512_storeu_ps(out + r * nslots, avx512_sq8_key(tile, group, r, scales));
}

/* Members of KernelOps that are the same in all AVX-512 files. */
#define AVX512_KERNELS                                                                         \
	.maxsim_rows = avx512_maxsim_rows, .dot_matrix = avx512_dot_matrix, PLAIN_KERNELS(avx512), \
	.sq4_unpack = avx2_sq4_unpack, .pq_rows = avx512_pq_rows,                                  \
	.sketch_finish = avx512_sketch_finish, .half_to_float = avx512_half_to_float,              \
	.float_to_half = avx512_float_to_half

#endif /* COLBERT_KERNELS_AVX512_H */
