/*-------------------------------------------------------------------------
 *
 * kernels_x86.h
 *	  Parts in 128-bit and 256-bit registers that AVX2 and AVX-512 share.
 *
 * Included by both and compiled for each: AVX-512 makes the same intrinsics
 * into shorter code (32 registers, broadcasts inside instructions).
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_KERNELS_X86_H
#define COLBERT_KERNELS_X86_H

#include <immintrin.h>

#include "kernels/kernels_tiles.h"

/* ------------------------------------------------------------------------
 * Tiles of 8 and of 4 query tokens; nrows is a constant wherever they are expanded
 * ------------------------------------------------------------------------
 */

KERNEL_INLINE void
dot_tile8(const KernelQuery *q, const float *pack, const char *rows, size_t stride, float *dots, const int nrows)
{
	__m256		acc[TILE_MOST_ROWS];
	const char *base[ROW_BASES];
	uint32_t	dim = q->dim;

	set_row_bases(base, rows, stride, nrows);
	KERNEL_UNROLL
	for (int i = 0; i < nrows; i++)
		acc[i] = _mm256_setzero_ps();
	for (size_t k = 0; k < dim; k++)
	{
		__m256		q0 = _mm256_load_ps(pack + k * 8);

		KERNEL_UNROLL
		for (int i = 0; i < nrows; i++)
			acc[i] = _mm256_fmadd_ps(q0, _mm256_set1_ps(load_float(row_at(base, stride, i) + k * 4)), acc[i]);
	}
	KERNEL_UNROLL
	for (int i = 0; i < nrows; i++)
		_mm256_store_ps(dots + i * 8, acc[i]);
}

/* For the rows that are left where whole tiles are transposed. */
KERNEL_INLINE void
dot_tile4(const KernelQuery *q, const float *pack, const char *rows, size_t stride, float *dots, const int nrows)
{
	__m128		acc[TILE_MOST_ROWS];
	const char *base[ROW_BASES];
	uint32_t	dim = q->dim;

	set_row_bases(base, rows, stride, nrows);
	KERNEL_UNROLL
	for (int i = 0; i < nrows; i++)
		acc[i] = _mm_setzero_ps();
	for (size_t k = 0; k < dim; k++)
	{
		__m128		q0 = _mm_load_ps(pack + k * 4);

		KERNEL_UNROLL
		for (int i = 0; i < nrows; i++)
			acc[i] = _mm_fmadd_ps(q0, _mm_set1_ps(load_float(row_at(base, stride, i) + k * 4)), acc[i]);
	}
	KERNEL_UNROLL
	for (int i = 0; i < nrows; i++)
		_mm_store_ps(dots + i * 4, acc[i]);
}

/* ------------------------------------------------------------------------
 * From dots to keys and maxima
 *
 * The maximum instruction returns its second operand where either is NaN or
 * both are zeros: with the running maximum there, it is the rule of kernels.h.
 * ------------------------------------------------------------------------
 */

KERNEL_INLINE __m256
tile_key8(const KernelRows *rows, const TileResult *tile, uint32_t r, uint32_t at)
{
	return _mm256_fmadd_ps(_mm256_load_ps(tile->dots + r * tile->width + at),
						   _mm256_set1_ps(tile_mul(rows, tile, r)), _mm256_set1_ps(tile_add(rows, tile, r)));
}

KERNEL_INLINE __m128
tile_key4(const KernelRows *rows, const TileResult *tile, uint32_t r, uint32_t at)
{
	return _mm_fmadd_ps(_mm_load_ps(tile->dots + r * tile->width + at),
						_mm_set1_ps(tile_mul(rows, tile, r)), _mm_set1_ps(tile_add(rows, tile, r)));
}

static void
x86_maxima8(const KernelRows *rows, const TileResult *tile, uint32_t at, float *best, uint32_t *best_row)
{
	uint32_t	slot = tile->first_slot + at;
	__m256		largest = _mm256_loadu_ps(best + slot);
	__m256		winner = best_row == NULL ? _mm256_setzero_ps() : _mm256_loadu_ps((const float *) best_row + slot);

	for (uint32_t r = 0; r < tile->nrows; r++)
	{
		__m256		key = tile_key8(rows, tile, r, at);
		__m256		row = _mm256_castsi256_ps(_mm256_set1_epi32((int) (rows->first + tile->first_row + r)));

		winner = _mm256_blendv_ps(winner, row, _mm256_cmp_ps(key, largest, _CMP_GT_OQ));
		largest = _mm256_max_ps(key, largest);
	}

	_mm256_storeu_ps(best + slot, largest);
	if (best_row != NULL)
		_mm256_storeu_ps((float *) best_row + slot, winner);
}

static void
x86_maxima4(const KernelRows *rows, const TileResult *tile, uint32_t at, float *best, uint32_t *best_row)
{
	uint32_t	slot = tile->first_slot + at;
	__m128		largest = _mm_loadu_ps(best + slot);
	__m128		winner = best_row == NULL ? _mm_setzero_ps() : _mm_loadu_ps((const float *) best_row + slot);

	for (uint32_t r = 0; r < tile->nrows; r++)
	{
		__m128		key = tile_key4(rows, tile, r, at);
		__m128		row = _mm_castsi128_ps(_mm_set1_epi32((int) (rows->first + tile->first_row + r)));

		winner = _mm_blendv_ps(winner, row, _mm_cmp_ps(key, largest, _CMP_GT_OQ));
		largest = _mm_max_ps(key, largest);
	}

	_mm_storeu_ps(best + slot, largest);
	if (best_row != NULL)
		_mm_storeu_ps((float *) best_row + slot, winner);
}

static void
x86_keys8(const KernelRows *rows, const TileResult *tile, uint32_t at, float *keys, size_t nslots)
{
	keys += tile->first_row * nslots + tile->first_slot + at;
	for (uint32_t r = 0; r < tile->nrows; r++)
		_mm256_storeu_ps(keys + r * nslots, tile_key8(rows, tile, r, at));
}

static void
x86_keys4(const KernelRows *rows, const TileResult *tile, uint32_t at, float *keys, size_t nslots)
{
	keys += tile->first_row * nslots + tile->first_slot + at;
	for (uint32_t r = 0; r < tile->nrows; r++)
		_mm_storeu_ps(keys + r * nslots, tile_key4(rows, tile, r, at));
}

/* Take even and odd bytes of n (a multiple of 4) apart: each dword of codes becomes two of 16-bit words. */
KERNEL_INLINE void
sq8_widen_row(const uint8_t *codes, uint32_t n, int32_t *words)
{
	for (uint32_t k = 0; k < n; k += 4, words += 2)
	{
		uint32_t	dword;

		memcpy(&dword, codes + k, sizeof(dword));
		words[0] = (int32_t) (dword & 0x00FF00FF);
		words[1] = (int32_t) ((dword >> 8) & 0x00FF00FF);
	}
}

#endif							/* COLBERT_KERNELS_X86_H */
