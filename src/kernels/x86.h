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

/* ------------------------------------------------------------------------
 * sq8, up to eight query tokens: dims are in the lanes
 *
 * The codes of four query tokens are widened to words once per tile, and each
 * row is multiplied with them. Their sums cross lanes once per row. With few
 * query tokens, most lanes of a tile of 16 query tokens would be padding.
 * ------------------------------------------------------------------------
 */

#define SQ8_FEW_ROWS   16
#define SQ8_FEW_TOKENS 4   /* query tokens per batch */
#define SQ8_FEW_CHUNK  512 /* dims widened at a time */

/* The codes of a batch for a chunk of dims, as words: even and odd ones of 32 dims. */
typedef struct Sq8Words
{
	__m256i even[SQ8_FEW_CHUNK / 32][SQ8_FEW_TOKENS];
	__m256i odd[SQ8_FEW_CHUNK / 32][SQ8_FEW_TOKENS];
} Sq8Words;

/* Return four dims of the tokens of a batch, or zeros from dim n on. */
KERNEL_INLINE __m128
sq8_pack_quad(const int8_t *pack, uint32_t k, uint32_t n)
{
	return k < n ? _mm_loadu_ps((const float *) (pack + (size_t) k * 16)) : _mm_setzero_ps();
}

/* Widen n dims of a batch, whose packed codes begin at pack. */
KERNEL_INLINE void
sq8_widen_batch(const int8_t *pack, uint32_t n, Sq8Words *words)
{
	for (uint32_t k = 0; k < n; k += 32)
	{
		__m256 quads[4];

		KERNEL_UNROLL
		for (int j = 0; j < 4; j++)
			quads[j] =
				_mm256_insertf128_ps(_mm256_castps128_ps256(sq8_pack_quad(pack, k + j * 4, n)),
									 sq8_pack_quad(pack, k + 16 + j * 4, n), 1);
		transpose_in_lanes(quads);
		KERNEL_UNROLL
		for (int t = 0; t < SQ8_FEW_TOKENS; t++)
		{
			__m256i bytes = _mm256_castps_si256(quads[t]);

			words->even[k / 32][t] = _mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8);
			words->odd[k / 32][t] = _mm256_srai_epi16(bytes, 8);
		}
	}
}

/* Add the products of 32 dims of a row to the sums of a batch. */
KERNEL_INLINE void
sq8_add_dims(__m256i bytes, const __m256i *even, const __m256i *odd, __m256i *acc,
			 const int ntokens)
{
	__m256i low = _mm256_and_si256(bytes, _mm256_set1_epi16(0xFF));
	__m256i high = _mm256_srli_epi16(bytes, 8);

	KERNEL_UNROLL
	for (int t = 0; t < ntokens; t++)
	{
		acc[t] = _mm256_add_epi32(acc[t], _mm256_madd_epi16(low, even[t]));
		acc[t] = _mm256_add_epi32(acc[t], _mm256_madd_epi16(high, odd[t]));
	}
}

/* Return the sums of n dims of a row for a batch. ntokens is constant at every call. */
KERNEL_INLINE __m128i
sq8_row_sums(const uint8_t *codes, uint32_t n, const Sq8Words *words, const int ntokens)
{
	const __m256i(*even)[SQ8_FEW_TOKENS] = words->even;
	const __m256i(*odd)[SQ8_FEW_TOKENS] = words->odd;
	__m256i acc[SQ8_FEW_TOKENS];
	__m256i all;

	KERNEL_UNROLL
	for (int t = 0; t < SQ8_FEW_TOKENS; t++)
		acc[t] = _mm256_setzero_si256();
	for (; n >= 128; n -= 128, codes += 128, even += 4, odd += 4)
	{
		KERNEL_UNROLL
		for (int i = 0; i < 4; i++)
			sq8_add_dims(_mm256_loadu_si256((const __m256i *) codes + i), even[i], odd[i], acc,
						 ntokens);
	}
	for (; n >= 32; n -= 32, codes += 32, even++, odd++)
		sq8_add_dims(_mm256_loadu_si256((const __m256i *) codes), *even, *odd, acc, ntokens);
	if (n > 0)
	{
		uint8_t last[32] = {0};

		memcpy(last, codes, n);
		sq8_add_dims(_mm256_loadu_si256((const __m256i *) last), *even, *odd, acc, ntokens);
	}
	all = _mm256_hadd_epi32(_mm256_hadd_epi32(acc[0], acc[1]), _mm256_hadd_epi32(acc[2], acc[3]));
	return _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

/* Prefetch the rows that follow a tile. */
KERNEL_INLINE void
sq8_prefetch(const TileRows *codes)
{
	size_t bytes = codes->ahead_step > 0 ? codes->nrows * codes->stride : 0;

	for (size_t at = 0; at < bytes; at += 64)
		__builtin_prefetch(codes->ahead + at, 0, 3);
}

/* Compute the sums of a batch of query tokens, the first one in this slot. */
KERNEL_INLINE void
sq8_batch(const KernelSq8Query *q, uint32_t slot, const TileRows *codes, int32_t *sums,
		  const int ntokens)
{
	const TileRows tile = *codes; /* a local copy that stores to sums cannot change */
	const int8_t  *pack = q->pack + (size_t) (slot / 16) * q->dim4 * 16 + slot % 16 * 4;
	__m128i        start = _mm_sub_epi32(_mm_setzero_si128(),
										 _mm_loadu_si128((const __m128i *) (q->correction + slot)));
	uint32_t       dims = q->dim4;
	Sq8Words       words;

	for (uint32_t k = 0; k < dims; k += SQ8_FEW_CHUNK)
	{
		uint32_t       n = min_uint32(dims - k, SQ8_FEW_CHUNK);
		const uint8_t *row = (const uint8_t *) tile.first + k;
		__m128i       *out = (__m128i *) (sums + slot % 16);

		sq8_widen_batch(pack + (size_t) k * 16, n, &words);
		for (uint32_t r = 0; r < tile.nrows; r++, row += tile.stride, out += 4)
			_mm_store_si128(out, _mm_add_epi32(k > 0 ? _mm_load_si128(out) : start,
											   sq8_row_sums(row, n, &words, ntokens)));
	}
}

static void
sq8_few_tile(const KernelSq8Query *q, uint32_t group, const TileRows *codes, int32_t *sums)
{
	uint32_t slot = group * 16;
	uint32_t end = min_uint32(q->ntokens, slot + 16);

	sq8_prefetch(codes);
	for (; slot + SQ8_FEW_TOKENS <= end; slot += SQ8_FEW_TOKENS)
		sq8_batch(q, slot, codes, sums, SQ8_FEW_TOKENS);
	if (end - slot == 3)
		sq8_batch(q, slot, codes, sums, 3);
	else if (end - slot == 2)
		sq8_batch(q, slot, codes, sums, 2);
	else if (end - slot == 1)
		sq8_batch(q, slot, codes, sums, 1);
	/* The other slots are padding, and their sums are zero. */
	for (slot = (end + SQ8_FEW_TOKENS - 1) / SQ8_FEW_TOKENS * SQ8_FEW_TOKENS;
		 slot < group * 16 + 16; slot += SQ8_FEW_TOKENS)
		for (uint32_t r = 0; r < codes->nrows; r++)
			_mm_store_si128((__m128i *) (sums + r * 16 + slot % 16), _mm_setzero_si128());
}

/* The height of a tile is that of its rows. */
#define SQ8_FEW_TILE(name, expression, n) sq8_few_tile,

static const Sq8Tile sq8_few_tiles[] = {NULL, TILES_16(SQ8_FEW_TILE, _, _)};

#define SQ8_FEW_SHAPE {.most_rows = SQ8_FEW_ROWS, .groups = 1, .tiles = sq8_few_tiles}

#endif /* COLBERT_KERNELS_X86_H */
