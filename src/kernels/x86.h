/*-------------------------------------------------------------------------
 *
 * x86.h
 *	  Code in 128-bit and 256-bit registers shared by AVX2 and AVX-512.
 *
 * Each of them includes this file and compiles it for its own instruction set.
 * For AVX-512 the same intrinsics become shorter code, which has 32 registers
 * and broadcasts inside instructions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_KERNELS_X86_H
#define COLBERT_KERNELS_X86_H

#include <immintrin.h>

#include "kernels/tiles.h"

/* ------------------------------------------------------------------------
 * Tiles of 8 and of 4 query tokens; nrows is constant at every call
 * ------------------------------------------------------------------------
 */

KERNEL_INLINE void
dot_tile8(const KernelQuery *q, const float *pack, const TileRows *rows, float *dots,
		  const int nrows)
{
	__m256      acc[MAX_TILE_ROWS];
	const char *base[ROW_BASES];
	uint32_t    dim = q->dim;

	set_row_bases(base, rows, nrows);
	KERNEL_UNROLL
	for (int i = 0; i < nrows; i++)
		acc[i] = _mm256_setzero_ps();
	for (size_t k = 0; k < dim; k++)
	{
		tile_prefetch(rows, k);
		__m256 q0 = _mm256_load_ps(pack + k * 8);

		KERNEL_UNROLL
		for (int i = 0; i < nrows; i++)
			acc[i] = _mm256_fmadd_ps(
				q0, _mm256_set1_ps(load_float(row_at(base, rows->stride, i) + k * 4)), acc[i]);
	}
	KERNEL_UNROLL
	for (int i = 0; i < nrows; i++)
		_mm256_store_ps(dots + i * 8, acc[i]);
}

/* Compute the rows that remain after the transposed tiles. */
KERNEL_INLINE void
dot_tile4(const KernelQuery *q, const float *pack, const TileRows *rows, float *dots,
		  const int nrows)
{
	__m128      acc[MAX_TILE_ROWS];
	const char *base[ROW_BASES];
	uint32_t    dim = q->dim;

	set_row_bases(base, rows, nrows);
	KERNEL_UNROLL
	for (int i = 0; i < nrows; i++)
		acc[i] = _mm_setzero_ps();
	for (size_t k = 0; k < dim; k++)
	{
		tile_prefetch(rows, k);
		__m128 q0 = _mm_load_ps(pack + k * 4);

		KERNEL_UNROLL
		for (int i = 0; i < nrows; i++)
			acc[i] = _mm_fmadd_ps(
				q0, _mm_set1_ps(load_float(row_at(base, rows->stride, i) + k * 4)), acc[i]);
	}
	KERNEL_UNROLL
	for (int i = 0; i < nrows; i++)
		_mm_store_ps(dots + i * 4, acc[i]);
}

/*
 * Transpose the 4 x 4 floats of both 128-bit lanes: element c of register j
 * becomes element j of register c.
 */
KERNEL_INLINE void
transpose_in_lanes(__m256 *r)
{
	__m256 lo01 = _mm256_unpacklo_ps(r[0], r[1]);
	__m256 hi01 = _mm256_unpackhi_ps(r[0], r[1]);
	__m256 lo23 = _mm256_unpacklo_ps(r[2], r[3]);
	__m256 hi23 = _mm256_unpackhi_ps(r[2], r[3]);

	r[0] = _mm256_shuffle_ps(lo01, lo23, 0x44);
	r[1] = _mm256_shuffle_ps(lo01, lo23, 0xEE);
	r[2] = _mm256_shuffle_ps(hi01, hi23, 0x44);
	r[3] = _mm256_shuffle_ps(hi01, hi23, 0xEE);
}

/* Load four floats, or only the first 'left' and zeros, without reading past them. */
KERNEL_INLINE __m128
load_quad(const char *p, const uint32_t left)
{
	static const int32_t masks[8] = {-1, -1, -1, -1, 0, 0, 0, 0};

	if (left >= 4)
		return _mm_loadu_ps((const float *) p);
	return _mm_maskload_ps((const float *) p,
						   _mm_loadu_si128((const __m128i *) (masks + 4 - left)));
}

/* Load four dims (or 'left' of them) of 8 rows: register c holds dim c of all rows in order. */
KERNEL_INLINE void
load_rows_transposed(const char *rows, size_t stride, const uint32_t left, __m256 *d)
{
	KERNEL_UNROLL
	for (int j = 0; j < 4; j++)
		d[j] = _mm256_insertf128_ps(_mm256_castps128_ps256(load_quad(rows + j * stride, left)),
									load_quad(rows + (j + 4) * stride, left), 1);
	transpose_in_lanes(d);
}

/*
 * Multiply four dims (or 'left' of them) of 8 rows per base, and add the
 * products to the accumulators acc[base * 4 + query token]. nbases is constant
 * at every call; so is left when it is 4.
 */
KERNEL_INLINE void
add_quad(const float *pack, const char *const *base, size_t stride, const uint32_t left,
		 __m256 *acc, const int nbases)
{
	__m256 d[12];

	KERNEL_UNROLL
	for (int b = 0; b < nbases; b++)
		load_rows_transposed(base[b], stride, left, d + b * 4);
	KERNEL_UNROLL
	for (int i = 0; i < 16; i++)
	{
		__m256 q0;

		if (i / 4 >= (int) left)
			break;
		q0 = _mm256_set1_ps(pack[i]);
		KERNEL_UNROLL
		for (int b = 0; b < nbases; b++)
			acc[b * 4 + i % 4] = _mm256_fmadd_ps(q0, d[b * 4 + i / 4], acc[b * 4 + i % 4]);
	}
}

/* Store the dots of 8 rows, which are in the lanes of acc, one row after another. */
KERNEL_INLINE void
store_rows_transposed(__m256 *acc, float *dots)
{
	transpose_in_lanes(acc);
	KERNEL_UNROLL
	for (int j = 0; j < 4; j++)
	{
		_mm_store_ps(dots + j * 4, _mm256_castps256_ps128(acc[j]));
		_mm_store_ps(dots + (4 + j) * 4, _mm256_extractf128_ps(acc[j], 1));
	}
}

/*
 * Compute a tile of 4 query tokens with the rows in the lanes, 8 rows per
 * register. Four query tokens in a wide register would waste most of every
 * multiply-add, and transposing the rows costs less than that. AVX-512 uses
 * 256-bit registers here too: its 512-bit loads with broadcast or insertion
 * are not twice as fast.
 *
 * The tile has 8 * nbases - 7 to 8 * nbases rows. If it has fewer than 8 *
 * nbases, the last eight rows overlap the ones before. at_once is the number
 * of bases to multiply at a time, limited by the number of registers.
 */
KERNEL_INLINE void
dot_tile4_transposed(const KernelQuery *q, const float *pack, const TileRows *rows, float *dots,
					 const int nbases, const int at_once)
{
	__m256      acc[12];
	const char *base[3];
	size_t      stride = rows->stride;
	const char *ahead = rows->ahead;
	uint32_t    whole = q->dim & ~(uint32_t) 3;

	KERNEL_UNROLL
	for (int b = 0; b < nbases; b++)
		base[b] = rows->first + (b < nbases - 1 ? b * 8 : rows->nrows - 8) * stride;
	KERNEL_UNROLL
	for (int i = 0; i < nbases * 4; i++)
		acc[i] = _mm256_setzero_ps();

	for (uint32_t k = 0; k < whole; k += 4, pack += 16)
	{
		KERNEL_UNROLL
		for (int c = 0; c < 4; c++, ahead += rows->ahead_step)
			__builtin_prefetch(ahead, 0, 3);
		KERNEL_UNROLL
		for (int b = 0; b < nbases; b += at_once)
			add_quad(pack, base + b, stride, 4, acc + b * 4, at_once);
		KERNEL_UNROLL
		for (int b = 0; b < nbases; b++)
			base[b] += 4 * sizeof(float);
	}
	if (whole < q->dim)
		add_quad(pack, base, stride, q->dim - whole, acc, nbases);

	KERNEL_UNROLL
	for (int b = 0; b < nbases; b++)
		store_rows_transposed(acc + b * 4, dots + (b < nbases - 1 ? b * 8 : rows->nrows - 8) * 4);
}

/* ------------------------------------------------------------------------
 * From dots to keys and maxima
 *
 * The maximum instruction returns its second operand if either is NaN or both
 * are zeros. With the running maximum as that operand, this is the rule of
 * kernels.h.
 * ------------------------------------------------------------------------
 */

KERNEL_INLINE __m256
tile_key8(const KernelRows *rows, const TileResult *tile, uint32_t r, uint32_t at)
{
	return _mm256_fmadd_ps(_mm256_load_ps(tile->dots + r * tile->width + at),
						   _mm256_set1_ps(tile_mul(rows, tile, r)),
						   _mm256_set1_ps(tile_add(rows, tile, r)));
}

KERNEL_INLINE __m128
tile_key4(const KernelRows *rows, const TileResult *tile, uint32_t r, uint32_t at)
{
	return _mm_fmadd_ps(_mm_load_ps(tile->dots + r * tile->width + at),
						_mm_set1_ps(tile_mul(rows, tile, r)), _mm_set1_ps(tile_add(rows, tile, r)));
}

static void
x86_maxima8(const KernelRows *rows, const TileResult *tile, uint32_t at, float *best,
			uint32_t *best_row)
{
	uint32_t slot = tile->first_slot + at;
	__m256   largest = _mm256_loadu_ps(best + slot);
	__m256   winner =
        best_row == NULL ? _mm256_setzero_ps() : _mm256_loadu_ps((const float *) best_row + slot);

	for (uint32_t r = 0; r < tile->nrows; r++)
	{
		__m256 key = tile_key8(rows, tile, r, at);
		__m256 row =
			_mm256_castsi256_ps(_mm256_set1_epi32((int) (rows->first + tile->first_row + r)));

		winner = _mm256_blendv_ps(winner, row, _mm256_cmp_ps(key, largest, _CMP_GT_OQ));
		largest = _mm256_max_ps(key, largest);
	}

	_mm256_storeu_ps(best + slot, largest);
	if (best_row != NULL)
		_mm256_storeu_ps((float *) best_row + slot, winner);
}

static void
x86_maxima4(const KernelRows *rows, const TileResult *tile, uint32_t at, float *best,
			uint32_t *best_row)
{
	uint32_t slot = tile->first_slot + at;
	__m128   largest = _mm_loadu_ps(best + slot);
	__m128   winner =
        best_row == NULL ? _mm_setzero_ps() : _mm_loadu_ps((const float *) best_row + slot);

	for (uint32_t r = 0; r < tile->nrows; r++)
	{
		__m128 key = tile_key4(rows, tile, r, at);
		__m128 row = _mm_castsi128_ps(_mm_set1_epi32((int) (rows->first + tile->first_row + r)));

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

/*
 * Separate the even and odd bytes of n codes (a multiple of 4): each dword of
 * codes becomes two dwords of 16-bit words.
 */
KERNEL_INLINE void
sq8_widen_row(const uint8_t *codes, uint32_t n, int32_t *words)
{
	for (uint32_t k = 0; k < n; k += 4, words += 2)
	{
		uint32_t dword;

		memcpy(&dword, codes + k, sizeof(dword));
		words[0] = (int32_t) (dword & 0x00FF00FF);
		words[1] = (int32_t) ((dword >> 8) & 0x00FF00FF);
	}
}

#endif /* COLBERT_KERNELS_X86_H */
