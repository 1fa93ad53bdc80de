/*-------------------------------------------------------------------------
 *
 * avx512.c
 *	  The kernels for AVX-512 (F, BW, DQ, VL): 16 floats per register.
 *
 * The float kernels keep a tile of dot products in registers, with query
 * tokens in the lanes and one register per document row, and walk the dims
 * once. Every fused multiply-add extends the chain of one (query token, row)
 * pair, and nothing is ever added across lanes. A tile is just high enough to
 * cover the latency of the multiply-adds.
 *
 *-------------------------------------------------------------------------
 */
#if defined(__x86_64__)

#include "kernels/avx512.h"
#define PQ_WIDTH 16
#include "kernels/pq.h"
#include "kernels/x86.h"

/* ------------------------------------------------------------------------
 * Tiles of dot products
 * ------------------------------------------------------------------------
 */

#define MAX_PAIR_ROWS 12 /* two groups: 24 accumulators, 2 query registers, 1 broadcast */

/*
 * Compute a tile of 16 query tokens in one register, or of 32 in two. nrows
 * and ngroups are constant at every call.
 */
KERNEL_INLINE void
dot_tile16(const KernelQuery *q, const float *pack, const TileRows *rows, float *dots,
		   const int nrows, const int ngroups)
{
	__m512       acc[MAX_PAIR_ROWS * 2];
	const char  *base[ROW_BASES];
	uint32_t     dim = q->dim;
	const float *second = pack + (size_t) dim * 16;

	set_row_bases(base, rows, nrows);
	KERNEL_UNROLL
	for (int i = 0; i < nrows * ngroups; i++)
		acc[i] = _mm512_setzero_ps();

	for (size_t k = 0; k < dim; k++)
	{
		tile_prefetch(rows, k);
		__m512 q0 = _mm512_load_ps(pack + k * 16);
		__m512 q1 = ngroups > 1 ? _mm512_load_ps(second + k * 16) : q0;

		KERNEL_UNROLL
		for (int i = 0; i < nrows; i++)
		{
			__m512 d = _mm512_set1_ps(load_float(row_at(base, rows->stride, i) + k * 4));

			acc[i * ngroups] = _mm512_fmadd_ps(q0, d, acc[i * ngroups]);
			if (ngroups > 1)
				acc[i * ngroups + 1] = _mm512_fmadd_ps(q1, d, acc[i * ngroups + 1]);
		}
	}

	KERNEL_UNROLL
	for (int i = 0; i < nrows * ngroups; i++)
		_mm512_store_ps(dots + i * 16, acc[i]);
}

#define TILE16(n)      dot_tile16(q, pack, rows, dots, n, 1)
#define TILE16_PAIR(n) dot_tile16(q, pack, rows, dots, n, 2)
#define TILE8(n)       dot_tile8(q, pack, rows, dots, n)
#define TILE4(n)       dot_tile4(q, pack, rows, dots, n)

TILES_16(DEFINE_TILE, tile16, TILE16)
TILES_12(DEFINE_TILE, tile16_pair, TILE16_PAIR)
TILES_16(DEFINE_TILE, tile8, TILE8)
TILES_8(DEFINE_TILE, tile4, TILE4)

static void
tile4_rows16(const KernelQuery *q, const float *pack, const TileRows *rows, float *dots)
{
	dot_tile4_transposed(q, pack, rows, dots, 2, 2);
}

static void
tile4_rows24(const KernelQuery *q, const float *pack, const TileRows *rows, float *dots)
{
	dot_tile4_transposed(q, pack, rows, dots, 3, 3);
}

static const DotTile tiles16[] = {NULL, TILES_16(TILE_ENTRY, tile16, _)};
static const DotTile tiles16_pair[] = {NULL, TILES_12(TILE_ENTRY, tile16_pair, _)};
static const DotTile tiles8[] = {NULL, TILES_16(TILE_ENTRY, tile8, _)};
static const DotTile tiles4[] = {NULL,         TILES_8(TILE_ENTRY, tile4, _) tile4_rows16,
								 tile4_rows16, tile4_rows16,
								 tile4_rows16, tile4_rows16,
								 tile4_rows16, tile4_rows16,
								 tile4_rows16, tile4_rows24,
								 tile4_rows24, tile4_rows24,
								 tile4_rows24, tile4_rows24,
								 tile4_rows24, tile4_rows24,
								 tile4_rows24};

/* ------------------------------------------------------------------------
 * From dots to keys and maxima
 *
 * The maximum instruction returns its second operand if either is NaN or both
 * are zeros. With the running maximum as that operand, this is the rule of
 * kernels.h.
 * ------------------------------------------------------------------------
 */

static void
avx512_maxima16(const KernelRows *rows, const TileResult *tile, uint32_t at, float *best,
				uint32_t *best_row)
{
	uint32_t slot = tile->first_slot + at;
	__m512   largest = _mm512_loadu_ps(best + slot);
	__m512i  winner =
        best_row == NULL ? _mm512_setzero_si512() : _mm512_loadu_si512(best_row + slot);

	for (uint32_t r = 0; r < tile->nrows; r++)
	{
		__m512    key = _mm512_fmadd_ps(_mm512_load_ps(tile->dots + r * tile->width + at),
										_mm512_set1_ps(tile_mul(rows, tile, r)),
										_mm512_set1_ps(tile_add(rows, tile, r)));
		__mmask16 wins = _mm512_cmp_ps_mask(key, largest, _CMP_GT_OQ);

		winner = _mm512_mask_set1_epi32(winner, wins, (int) (rows->first + tile->first_row + r));
		largest = _mm512_max_ps(key, largest);
	}

	_mm512_storeu_ps(best + slot, largest);
	if (best_row != NULL)
		_mm512_storeu_si512(best_row + slot, winner);
}

static void
avx512_keys16(const KernelRows *rows, const TileResult *tile, uint32_t at, float *keys,
			  size_t nslots)
{
	keys += tile->first_row * nslots + tile->first_slot + at;
	for (uint32_t r = 0; r < tile->nrows; r++, keys += nslots)
	{
		__m512 dots = _mm512_load_ps(tile->dots + r * tile->width + at);

		_mm512_storeu_ps(keys, _mm512_fmadd_ps(dots, _mm512_set1_ps(tile_mul(rows, tile, r)),
											   _mm512_set1_ps(tile_add(rows, tile, r))));
	}
}

/* ------------------------------------------------------------------------
 * Elements
 * ------------------------------------------------------------------------
 */

/* Return the mask of the elements that remain, at most 16. */
KERNEL_INLINE __mmask16
tail_mask(size_t left)
{
	return left >= 16 ? 0xFFFF : (__mmask16) ((1u << left) - 1);
}

void
avx512_half_to_float(const uint16_t *in, float *out, size_t n)
{
	for (size_t i = 0; i < n; i += 16)
	{
		__mmask16 mask = tail_mask(n - i);

		_mm512_mask_storeu_ps(out + i, mask,
							  _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, in + i)));
	}
}

void
avx512_float_to_half(const float *in, uint16_t *out, size_t n)
{
	for (size_t i = 0; i < n; i += 16)
	{
		__mmask16 mask = tail_mask(n - i);
		__m512    x = _mm512_maskz_loadu_ps(mask, in + i);

		_mm256_mask_storeu_epi16(out + i, mask,
								 _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
	}
}

static void
avx512_int8_to_float(const int8_t *in, float scale, float *out, size_t n)
{
	__m512 factor = _mm512_set1_ps(scale);

	for (size_t i = 0; i < n; i += 16)
	{
		__mmask16 mask = tail_mask(n - i);
		__m512    x = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, in + i)));

		_mm512_mask_storeu_ps(out + i, mask, _mm512_mul_ps(x, factor));
	}
}

static const TileKernels avx512_tiles = {
	.lanes4 =
		{
			.one = {.most_rows = 24, .groups = 1, .tiles = tiles4},
			.maxima = x86_maxima4,
			.keys = x86_keys4,
		},
	.lanes8 =
		{
			.one = {.most_rows = 16, .groups = 1, .tiles = tiles8},
			.maxima = x86_maxima8,
			.keys = x86_keys8,
		},
	.lanes16 =
		{
			.one = {.most_rows = 16, .groups = 1, .tiles = tiles16},
			.pair = {.most_rows = MAX_PAIR_ROWS, .groups = 2, .tiles = tiles16_pair},
			.maxima = avx512_maxima16,
			.keys = avx512_keys16,
		},
	.half_to_float = avx512_half_to_float,
	.int8_to_float = avx512_int8_to_float,
};

void
avx512_maxsim_rows(const KernelQuery *q, const KernelRows *rows, float *best, uint32_t *best_row)
{
	TileSink sink = {best, best_row, NULL};

	tile_run(&avx512_tiles, q, rows, &sink);
}

void
avx512_dot_matrix(const KernelQuery *q, const KernelRows *rows, float *out)
{
	TileSink sink = {NULL, NULL, out};

	tile_run(&avx512_tiles, q, rows, &sink);
}

/* ------------------------------------------------------------------------
 * sq8 without VNNI
 *
 * A multiplication of 16-bit words adds the products of bytes in pairs, which
 * cannot overflow. Separating even and odd bytes widens them to words. Up to
 * eight query tokens: see x86.h.
 * ------------------------------------------------------------------------
 */

#define MAX_SQ8_ROWS 8
#define SQ8_CHUNK    512 /* dims of a row widened at a time */

KERNEL_INLINE void
sq8_tile(const KernelSq8Query *q, uint32_t group, const TileRows *codes, int32_t *sums,
		 const int nrows)
{
	int32_t       words[MAX_SQ8_ROWS][SQ8_CHUNK / 2];
	const int8_t *pack = q->pack + (size_t) group * q->dim4 * 16;
	__m512i       acc[MAX_SQ8_ROWS];

	KERNEL_UNROLL
	for (int i = 0; i < nrows; i++)
		acc[i] = _mm512_sub_epi32(_mm512_setzero_si512(),
								  _mm512_loadu_si512(q->correction + group * 16));
	for (uint32_t start = 0; start < q->dim4; start += SQ8_CHUNK)
	{
		uint32_t n = min_uint32(q->dim4 - start, SQ8_CHUNK);

		for (int i = 0; i < nrows; i++)
			sq8_widen_row((const uint8_t *) codes->first + i * codes->stride + start, n, words[i]);
		for (uint32_t k = 0; k < n / 2; k += 2, pack += 64)
		{
			__m512i bytes = _mm512_loadu_si512(pack);
			__m512i even = _mm512_srai_epi16(_mm512_slli_epi16(bytes, 8), 8);
			__m512i odd = _mm512_srai_epi16(bytes, 8);

			tile_prefetch(codes, start + k * 2);
			KERNEL_UNROLL
			for (int i = 0; i < nrows; i++)
			{
				acc[i] = _mm512_add_epi32(acc[i],
										  _mm512_madd_epi16(even, _mm512_set1_epi32(words[i][k])));
				acc[i] = _mm512_add_epi32(
					acc[i], _mm512_madd_epi16(odd, _mm512_set1_epi32(words[i][k + 1])));
			}
		}
	}
	KERNEL_UNROLL
	for (int i = 0; i < nrows; i++)
		_mm512_store_si512(sums + i * 16, acc[i]);
}

#define SQ8_TILE(n) sq8_tile(q, group, codes, sums, n)

TILES_8(DEFINE_SQ8_TILE, sq8_tile, SQ8_TILE)

static const Sq8Tile sq8_tiles[] = {NULL, TILES_8(TILE_ENTRY, sq8_tile, _)};

static const Sq8Kernels avx512_sq8 = {
	.half = SQ8_FEW_SHAPE,
	.one = {.most_rows = MAX_SQ8_ROWS, .groups = 1, .tiles = sq8_tiles},
	.pair = {.most_rows = MAX_SQ8_ROWS, .groups = 1, .tiles = sq8_tiles},
	.maxima = avx512_sq8_maxima,
	.keys = avx512_sq8_write,
};

DEFINE_SQ8_KERNELS(avx512)

/* ------------------------------------------------------------------------
 * Sketches
 * ------------------------------------------------------------------------
 */

KERNEL_INLINE __m512i
sketch_add_quads(__m512i total, __m512i bytes)
{
	__m512i pairs = _mm512_maddubs_epi16(bytes, _mm512_set1_epi8(1));

	return _mm512_add_epi32(total, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}

#include "kernels/sketch512.h"

/*
 * Transpose the 4 x 4 floats of every 128-bit lane: element c of register j
 * becomes element j of register c.
 */
KERNEL_INLINE void
transpose_in_lanes512(__m512 *r)
{
	__m512 lo01 = _mm512_unpacklo_ps(r[0], r[1]);
	__m512 hi01 = _mm512_unpackhi_ps(r[0], r[1]);
	__m512 lo23 = _mm512_unpacklo_ps(r[2], r[3]);
	__m512 hi23 = _mm512_unpackhi_ps(r[2], r[3]);

	r[0] = _mm512_shuffle_ps(lo01, lo23, 0x44);
	r[1] = _mm512_shuffle_ps(lo01, lo23, 0xEE);
	r[2] = _mm512_shuffle_ps(hi01, hi23, 0x44);
	r[3] = _mm512_shuffle_ps(hi01, hi23, 0xEE);
}

/*
 * Return the maxima over lanes of 16 query tokens. Lane L of x[i] holds four
 * values of token 4L + i.
 */
KERNEL_INLINE __m512
sketch_max_in_lanes(__m512 *x)
{
	transpose_in_lanes512(x);
	return _mm512_max_ps(_mm512_max_ps(x[0], x[1]), _mm512_max_ps(x[2], x[3]));
}

/*
 * Compute the maxima across lanes of 16 query tokens at once: first of halves
 * of registers, then of quarters, then after a transposition. No instruction
 * works for a single token.
 */
void
avx512_sketch_finish(const KernelSketchQuery *q, const float *state, float *best)
{
	for (uint32_t token = 0; token < q->ntokens; token += 16)
	{
		uint32_t last = min_uint32(q->ntokens - token, 16) - 1;
		__m512   quarter[4];

		for (uint32_t i = 0; i < 4; i++)
		{
			const float *group = state + (size_t) token * SKETCH_BLOCK_TOKENS;
			__m512       a = _mm512_loadu_ps(group + min_uint32(i, last) * SKETCH_BLOCK_TOKENS);
			__m512       b = _mm512_loadu_ps(group + min_uint32(i + 4, last) * SKETCH_BLOCK_TOKENS);
			__m512       c = _mm512_loadu_ps(group + min_uint32(i + 8, last) * SKETCH_BLOCK_TOKENS);
			__m512 d = _mm512_loadu_ps(group + min_uint32(i + 12, last) * SKETCH_BLOCK_TOKENS);
			__m512 ab =
				_mm512_max_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
			__m512 cd =
				_mm512_max_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xEE));

			quarter[i] = _mm512_max_ps(_mm512_shuffle_f32x4(ab, cd, 0x88),
									   _mm512_shuffle_f32x4(ab, cd, 0xDD));
		}

		/* Normalize the sign of a zero, as scalar_sketch_finish does. */
		_mm512_mask_storeu_ps(best + token, tail_mask(q->ntokens - token),
							  _mm512_add_ps(sketch_max_in_lanes(quarter), _mm512_setzero_ps()));
	}
}

void
avx512_pq_rows(const KernelPqQuery *q, const uint8_t *rows, uint32_t nrows, bool has_add,
			   float *best)
{
	pq_run(q, rows, nrows, has_add, best);
}

DEFINE_PLAIN_KERNELS(avx512)

const KernelOps kernels_avx512 = {
	.name = "avx512",
	AVX512_KERNELS,
	.sq8_rows = avx512_sq8_rows,
	.sq8_keys = avx512_sq8_keys,
	.sketch_blocks = sketch_blocks,
	.sketch_scores = sketch_scores,
};

#endif /* __x86_64__ */
