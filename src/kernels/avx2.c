/*-------------------------------------------------------------------------
 *
 * avx2.c
 *	  The kernels for AVX2 with FMA and F16C: 8 floats per register.
 *
 * The tiles are those of avx512.c with half the registers at half the width:
 * 16 query tokens take two registers per row, and a tile is six rows high.
 *
 *-------------------------------------------------------------------------
 */
#if defined(__x86_64__)

#define PQ_WIDTH 8
#include "kernels/plain.h"
#include "kernels/pq.h"
#include "kernels/x86.h"

/* ------------------------------------------------------------------------
 * Tiles of dot products
 * ------------------------------------------------------------------------
 */

#define MAX_TILE16_ROWS 6 /* 12 accumulators, 2 query registers, 1 broadcast */
#define MAX_TILE8_ROWS  12

/* Compute a tile of 16 query tokens in two registers; nrows is constant at every call. */
KERNEL_INLINE void
dot_tile16(const KernelQuery *q, const float *pack, const TileRows *rows, float *dots,
		   const int nrows)
{
	__m256      low[MAX_TILE16_ROWS];
	__m256      high[MAX_TILE16_ROWS];
	const char *base[ROW_BASES];
	uint32_t    dim = q->dim;

	set_row_bases(base, rows, nrows);
	KERNEL_UNROLL
	for (int i = 0; i < nrows; i++)
		low[i] = high[i] = _mm256_setzero_ps();
	for (size_t k = 0; k < dim; k++)
	{
		tile_prefetch(rows, k);
		__m256 q0 = _mm256_load_ps(pack + k * 16);
		__m256 q1 = _mm256_load_ps(pack + k * 16 + 8);

		KERNEL_UNROLL
		for (int i = 0; i < nrows; i++)
		{
			__m256 d = _mm256_set1_ps(load_float(row_at(base, rows->stride, i) + k * 4));

			low[i] = _mm256_fmadd_ps(q0, d, low[i]);
			high[i] = _mm256_fmadd_ps(q1, d, high[i]);
		}
	}
	KERNEL_UNROLL
	for (int i = 0; i < nrows; i++)
	{
		_mm256_store_ps(dots + i * 16, low[i]);
		_mm256_store_ps(dots + i * 16 + 8, high[i]);
	}
}

#define TILE16(n) dot_tile16(q, pack, rows, dots, n)
#define TILE8(n)  dot_tile8(q, pack, rows, dots, n)
#define TILE4(n)  dot_tile4(q, pack, rows, dots, n)

TILES_6(DEFINE_TILE, tile16, TILE16)
TILES_12(DEFINE_TILE, tile8, TILE8)
TILES_8(DEFINE_TILE, tile4, TILE4)

static void
tile4_rows16(const KernelQuery *q, const float *pack, const TileRows *rows, float *dots)
{
	dot_tile4_transposed(q, pack, rows, dots, 2, 1);
}

static const DotTile tiles16[] = {NULL, TILES_6(TILE_ENTRY, tile16, _)};
static const DotTile tiles8[] = {NULL, TILES_12(TILE_ENTRY, tile8, _)};
static const DotTile tiles4[] = {NULL,         TILES_8(TILE_ENTRY, tile4, _) tile4_rows16,
								 tile4_rows16, tile4_rows16,
								 tile4_rows16, tile4_rows16,
								 tile4_rows16, tile4_rows16,
								 tile4_rows16};

static void
avx2_maxima16(const KernelRows *rows, const TileResult *tile, uint32_t at, float *best,
			  uint32_t *best_row)
{
	x86_maxima8(rows, tile, at, best, best_row);
	x86_maxima8(rows, tile, at + 8, best, best_row);
}

static void
avx2_keys16(const KernelRows *rows, const TileResult *tile, uint32_t at, float *keys, size_t nslots)
{
	x86_keys8(rows, tile, at, keys, nslots);
	x86_keys8(rows, tile, at + 8, keys, nslots);
}

/* ------------------------------------------------------------------------
 * Elements
 * ------------------------------------------------------------------------
 */

static void
avx2_half_to_float(const uint16_t *in, float *out, size_t n)
{
	size_t whole = n & ~(size_t) 7;

	for (size_t i = 0; i < whole; i += 8)
		_mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) (in + i))));
	for (size_t i = whole; i < n; i++)
		out[i] = _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(load_uint16(in + i))));
}

static void
avx2_float_to_half(const float *in, uint16_t *out, size_t n)
{
	size_t whole = n & ~(size_t) 7;

	for (size_t i = 0; i < whole; i += 8)
		_mm_storeu_si128((__m128i *) (out + i),
						 _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
	for (size_t i = whole; i < n; i++)
		out[i] = (uint16_t) _mm_cvtsi128_si32(
			_mm_cvtps_ph(_mm_set_ss(in[i]), _MM_FROUND_TO_NEAREST_INT));
}

static void
avx2_int8_to_float(const int8_t *in, float scale, float *out, size_t n)
{
	__m256 factor = _mm256_set1_ps(scale);
	size_t whole = n & ~(size_t) 7;

	for (size_t i = 0; i < whole; i += 8)
	{
		__m256i codes = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *) (in + i)));

		_mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_cvtepi32_ps(codes), factor));
	}
	for (size_t i = whole; i < n; i++)
		out[i] = (float) in[i] * scale;
}

static const TileKernels avx2_tiles = {
	.lanes4 =
		{
			.one = {.most_rows = 16, .full_first = true, .groups = 1, .tiles = tiles4},
			.maxima = x86_maxima4,
			.keys = x86_keys4,
		},
	.lanes8 =
		{
			.one = {.most_rows = MAX_TILE8_ROWS, .groups = 1, .tiles = tiles8},
			.maxima = x86_maxima8,
			.keys = x86_keys8,
		},
	.lanes16 =
		{
			.one = {.most_rows = MAX_TILE16_ROWS, .groups = 1, .tiles = tiles16},
			.pair = {.most_rows = MAX_TILE16_ROWS, .groups = 1, .tiles = tiles16},
			.maxima = avx2_maxima16,
			.keys = avx2_keys16,
		},
	.half_to_float = avx2_half_to_float,
	.int8_to_float = avx2_int8_to_float,
};

static void
avx2_maxsim_rows(const KernelQuery *q, const KernelRows *rows, float *best, uint32_t *best_row)
{
	TileSink sink = {best, best_row, NULL};

	tile_run(&avx2_tiles, q, rows, &sink);
}

static void
avx2_dot_matrix(const KernelQuery *q, const KernelRows *rows, float *out)
{
	TileSink sink = {NULL, NULL, out};

	tile_run(&avx2_tiles, q, rows, &sink);
}

/* ------------------------------------------------------------------------
 * sq8 for more than eight query tokens: see avx512.c; for fewer: see x86.h
 * ------------------------------------------------------------------------
 */

#define MAX_SQ8_ROWS 4
#define SQ8_CHUNK    512 /* dims of a row widened at a time */

/* Add the products of four dims of 8 query tokens and one row to acc. */
KERNEL_INLINE __m256i
sq8_add_quad(__m256i acc, __m256i even, __m256i odd, const int32_t *words)
{
	acc = _mm256_add_epi32(acc, _mm256_madd_epi16(even, _mm256_set1_epi32(words[0])));
	return _mm256_add_epi32(acc, _mm256_madd_epi16(odd, _mm256_set1_epi32(words[1])));
}

/* Compute the 8 query tokens of a group whose packed codes begin at pack. */
KERNEL_INLINE void
sq8_half_tile(const int8_t *pack, int32_t words[][SQ8_CHUNK / 2], uint32_t ndims, __m256i *acc,
			  const int nrows)
{
	for (uint32_t k = 0; k < ndims / 2; k += 2, pack += 64)
	{
		__m256i bytes = _mm256_loadu_si256((const __m256i *) pack);
		__m256i even = _mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8);
		__m256i odd = _mm256_srai_epi16(bytes, 8);

		KERNEL_UNROLL
		for (int i = 0; i < nrows; i++)
			acc[i] = sq8_add_quad(acc[i], even, odd, &words[i][k]);
	}
}

KERNEL_INLINE void
sq8_tile(const KernelSq8Query *q, uint32_t group, const TileRows *codes, int32_t *sums,
		 const int nrows)
{
	int32_t        words[MAX_SQ8_ROWS][SQ8_CHUNK / 2];
	const int8_t  *pack = q->pack + (size_t) group * q->dim4 * 16;
	const __m256i *correction = (const __m256i *) (q->correction + group * 16);
	__m256i        low[MAX_SQ8_ROWS];
	__m256i        high[MAX_SQ8_ROWS];

	KERNEL_UNROLL
	for (int i = 0; i < nrows; i++)
	{
		low[i] = _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_loadu_si256(correction));
		high[i] = _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_loadu_si256(correction + 1));
	}
	for (uint32_t start = 0; start < q->dim4; start += SQ8_CHUNK)
	{
		uint32_t n = min_uint32(q->dim4 - start, SQ8_CHUNK);

		for (int i = 0; i < nrows; i++)
			sq8_widen_row((const uint8_t *) codes->first + i * codes->stride + start, n, words[i]);
		for (uint32_t k = 0; k < n; k += 4)
			tile_prefetch(codes, start + k);
		sq8_half_tile(pack + (size_t) start * 16, words, n, low, nrows);
		sq8_half_tile(pack + (size_t) start * 16 + 32, words, n, high, nrows);
	}
	KERNEL_UNROLL
	for (int i = 0; i < nrows; i++)
	{
		_mm256_store_si256((__m256i *) (sums + i * 16), low[i]);
		_mm256_store_si256((__m256i *) (sums + i * 16 + 8), high[i]);
	}
}

#define SQ8_TILE(n) sq8_tile(q, group, codes, sums, n)

TILES_4(DEFINE_SQ8_TILE, sq8_tile, SQ8_TILE)

static const Sq8Tile sq8_tiles[] = {NULL, TILES_4(TILE_ENTRY, sq8_tile, _)};

/* Return eight of the keys of row r in one column of an sq8 tile. */
KERNEL_INLINE __m256
sq8_key(const Sq8Result *tile, uint32_t group, uint32_t r, uint32_t half, __m256 query_scale)
{
	const int32_t *sums = tile->sums + (r * tile->ngroups + group) * 16 + half;
	__m256         products = _mm256_cvtepi32_ps(_mm256_load_si256((const __m256i *) sums));
	__m256         scale = _mm256_mul_ps(_mm256_set1_ps(sq8_row_scale(tile, r)), query_scale);

	return _mm256_fmadd_ps(products, scale, _mm256_set1_ps(sq8_row_add(tile, r)));
}

static void
avx2_sq8_maxima(const Sq8Result *tile, uint32_t group, const float *query_scale, float *best)
{
	for (uint32_t half = 0; half < 16; half += 8)
	{
		__m256 scales = _mm256_loadu_ps(query_scale + half);
		__m256 largest = _mm256_loadu_ps(best + half);

		for (uint32_t r = 0; r < tile->nrows; r++)
			largest = _mm256_max_ps(sq8_key(tile, group, r, half, scales), largest);
		_mm256_storeu_ps(best + half, largest);
	}
}

static void
avx2_sq8_write(const Sq8Result *tile, uint32_t group, const float *query_scale, float *out,
			   size_t nslots)
{
	for (uint32_t half = 0; half < 16; half += 8)
	{
		__m256 scales = _mm256_loadu_ps(query_scale + half);

		for (uint32_t r = 0; r < tile->nrows; r++)
			_mm256_storeu_ps(out + r * nslots + half, sq8_key(tile, group, r, half, scales));
	}
}

static const Sq8Kernels avx2_sq8 = {
	.half = SQ8_FEW_SHAPE,
	.one = {.most_rows = MAX_SQ8_ROWS, .groups = 1, .tiles = sq8_tiles},
	.pair = {.most_rows = MAX_SQ8_ROWS, .groups = 1, .tiles = sq8_tiles},
	.maxima = avx2_sq8_maxima,
	.keys = avx2_sq8_write,
};

DEFINE_SQ8_KERNELS(avx2)

void
avx2_sq4_unpack(const uint8_t *rows, uint32_t nrows, uint32_t dim, bool has_add, uint8_t *out)
{
	const __m128i levels = _mm_loadu_si128((const __m128i *) kernel_sq4_levels);
	const __m128i nibble = _mm_set1_epi8(15);
	uint32_t      header = sizeof(float) * (has_add ? 2 : 1);
	uint32_t      half = dim / 2;

	for (uint32_t i = 0; i < nrows; i++)
	{
		memcpy(out, rows, header);
		for (uint32_t k = header; k < header + half; k += 16)
		{
			__m128i codes = _mm_loadu_si128((const __m128i *) (rows + k));
			__m128i low = _mm_and_si128(codes, nibble);
			__m128i high = _mm_and_si128(_mm_srli_epi16(codes, 4), nibble);

			_mm_storeu_si128((__m128i *) (out + k), _mm_shuffle_epi8(levels, low));
			_mm_storeu_si128((__m128i *) (out + half + k), _mm_shuffle_epi8(levels, high));
		}
		rows += kernel_sq4_row_size(dim, has_add);
		out += kernel_sq8_row_size(dim, has_add);
	}
}

/* ------------------------------------------------------------------------
 * Sketches: as in sketch512.h, but a register holds 2 byte positions
 * ------------------------------------------------------------------------
 */

/* Query tokens that share the loading and splitting of codes. */
#define SKETCH_TOKENS 4

/*
 * Add the byte sums of 32 dims for one query token to sums. low[0] and high[0]
 * hold the nibbles of positions 0 and 1; low[1] and high[1] those of positions
 * 2 and 3.
 */
KERNEL_INLINE __m256i
sketch_look_up(__m256i sums, const uint8_t *lut, const __m256i *low, const __m256i *high)
{
	const __m256i *table = (const __m256i *) lut;

	sums = _mm256_add_epi8(sums, _mm256_shuffle_epi8(_mm256_load_si256(table), low[0]));
	sums = _mm256_add_epi8(sums, _mm256_shuffle_epi8(_mm256_load_si256(table + 1), low[1]));
	sums = _mm256_add_epi8(sums, _mm256_shuffle_epi8(_mm256_load_si256(table + 2), high[0]));
	return _mm256_add_epi8(sums, _mm256_shuffle_epi8(_mm256_load_si256(table + 3), high[1]));
}

/* Add the byte sums of 32 dims to sums, for the query tokens whose tables begin at lut. */
KERNEL_INLINE void
sketch_add_step(const uint8_t *codes, const uint8_t *lut, __m256i *sums, const int ntokens)
{
	const __m256i nibble = _mm256_set1_epi8(15);
	__m256i       low[2];
	__m256i       high[2];

	KERNEL_UNROLL
	for (int i = 0; i < 2; i++)
	{
		__m256i bytes = _mm256_loadu_si256((const __m256i *) codes + i);

		low[i] = _mm256_and_si256(bytes, nibble);
		high[i] = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble);
	}
	KERNEL_UNROLL
	for (int t = 0; t < ntokens; t++)
		sums[t] = sketch_look_up(sums[t], lut + t * SKETCH_LUT_SIZE, low, high);
}

/*
 * Compute the 16-bit totals of a block's 16 tokens, in order, for the query
 * tokens from 'token' on. ntokens is constant at every call.
 */
KERNEL_INLINE void
sketch_totals(const KernelSketchQuery *q, const uint8_t *block, uint32_t token, __m256i *totals,
			  const int ntokens)
{
	const __m256i  low_byte = _mm256_set1_epi16(0xFF);
	const uint8_t *lut = q->lut + (size_t) token * SKETCH_LUT_SIZE;
	size_t         lut_stride = (size_t) q->ntokens * SKETCH_LUT_SIZE;
	__m256i        even[SKETCH_TOKENS];
	__m256i        odd[SKETCH_TOKENS];
	__m256i        sums[SKETCH_TOKENS];

	KERNEL_UNROLL
	for (int t = 0; t < ntokens; t++)
		even[t] = odd[t] = _mm256_setzero_si256();
	for (uint32_t k = 0; k < q->dim;)
	{
		uint32_t end = min_uint32(k + SKETCH_BYTE_DIMS / 2, q->dim);

		KERNEL_UNROLL
		for (int t = 0; t < ntokens; t++)
			sums[t] = _mm256_setzero_si256();
		for (; k < end; k += 32, lut += lut_stride, block += 64)
			sketch_add_step(block, lut, sums, ntokens);
		KERNEL_UNROLL
		for (int t = 0; t < ntokens; t++)
		{
			even[t] = _mm256_add_epi16(even[t], _mm256_and_si256(sums[t], low_byte));
			odd[t] = _mm256_add_epi16(odd[t], _mm256_srli_epi16(sums[t], 8));
		}
	}

	/*
	 * Interleave the even and the odd tokens, then add the two 128-bit lanes.
	 * "first" has tokens 0 to 7 in both lanes, "second" has tokens 8 to 15.
	 */
	KERNEL_UNROLL
	for (int t = 0; t < ntokens; t++)
	{
		__m256i first = _mm256_unpacklo_epi16(even[t], odd[t]);
		__m256i second = _mm256_unpackhi_epi16(even[t], odd[t]);

		totals[t] = _mm256_add_epi16(_mm256_permute2x128_si256(first, second, 0x20),
									 _mm256_permute2x128_si256(first, second, 0x31));
	}
}

/* Return the estimates of 8 of the 16 tokens of a block. */
KERNEL_INLINE __m256
sketch_estimate(const KernelSketchQuery *q, uint32_t token, const uint8_t *halves, __m128i totals)
{
	__m256 total = _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(totals));
	__m256 sum =
		_mm256_fmadd_ps(_mm256_set1_ps(q->delta[token]), total, _mm256_set1_ps(q->base[token]));
	__m256 factor = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) halves));
	__m256 estimate = _mm256_fmadd_ps(factor, sum, _mm256_set1_ps(q->constant[token]));

	if (!q->has_add)
		return _mm256_add_ps(estimate, _mm256_setzero_ps());
	return _mm256_add_ps(estimate,
						 _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) (halves + 32))));
}

KERNEL_INLINE void
sketch_update(const KernelSketchQuery *q, const uint8_t *block, uint32_t token, float *state,
			  const int ntokens)
{
	const uint8_t *halves = block + (size_t) q->dim * 2;
	__m256i        totals[SKETCH_TOKENS];

	sketch_totals(q, block, token, totals, ntokens);
	KERNEL_UNROLL
	for (int t = 0; t < ntokens; t++)
	{
		float *best = state + (size_t) (token + t) * SKETCH_BLOCK_TOKENS;
		__m256 low = sketch_estimate(q, token + t, halves, _mm256_castsi256_si128(totals[t]));
		__m256 high =
			sketch_estimate(q, token + t, halves + 16, _mm256_extracti128_si256(totals[t], 1));

		_mm256_storeu_ps(best, _mm256_max_ps(low, _mm256_loadu_ps(best)));
		_mm256_storeu_ps(best + 8, _mm256_max_ps(high, _mm256_loadu_ps(best + 8)));
	}
}

static void
avx2_sketch_blocks(const KernelSketchQuery *q, const uint8_t *blocks, uint32_t nblocks,
				   float *state)
{
	size_t   block_size = kernel_sketch_block_size(q->dim, q->has_add);
	uint32_t whole = q->ntokens - q->ntokens % SKETCH_TOKENS;

	for (uint32_t b = 0; b < nblocks; b++, blocks += block_size)
	{
		for (uint32_t token = 0; token < whole; token += SKETCH_TOKENS)
			sketch_update(q, blocks, token, state, SKETCH_TOKENS);
		if (q->ntokens - whole == 3)
			sketch_update(q, blocks, whole, state, 3);
		else if (q->ntokens - whole == 2)
			sketch_update(q, blocks, whole, state, 2);
		else if (q->ntokens - whole == 1)
			sketch_update(q, blocks, whole, state, 1);
	}
}

static void
avx2_sketch_scores(const KernelSketchQuery *q, uint32_t token, const uint8_t *block, float *scores)
{
	const uint8_t *halves = block + (size_t) q->dim * 2;
	__m256i        totals[SKETCH_TOKENS];

	sketch_totals(q, block, token, totals, 1);
	_mm256_storeu_ps(scores, sketch_estimate(q, token, halves, _mm256_castsi256_si128(totals[0])));
	_mm256_storeu_ps(
		scores + 8, sketch_estimate(q, token, halves + 16, _mm256_extracti128_si256(totals[0], 1)));
}

static void
avx2_sketch_finish(const KernelSketchQuery *q, const float *state, float *best)
{
	for (uint32_t token = 0; token < q->ntokens; token++, state += SKETCH_BLOCK_TOKENS)
	{
		__m256 eighths = _mm256_max_ps(_mm256_loadu_ps(state), _mm256_loadu_ps(state + 8));
		__m128 quarters =
			_mm_max_ps(_mm256_castps256_ps128(eighths), _mm256_extractf128_ps(eighths, 1));
		__m128 halves = _mm_max_ps(quarters, _mm_movehl_ps(quarters, quarters));
		__m128 largest = _mm_max_ss(halves, _mm_movehdup_ps(halves));

		/* Normalize the sign of a zero, as scalar_sketch_finish does. */
		best[token] = _mm_cvtss_f32(largest) + 0.0f;
	}
}

static void
avx2_pq_rows(const KernelPqQuery *q, const uint8_t *rows, uint32_t nrows, bool has_add, float *best)
{
	pq_run(q, rows, nrows, has_add, best);
}

DECLARE_PLAIN_KERNELS(avx2);
DEFINE_PLAIN_KERNELS(avx2)

const KernelOps kernels_avx2 = {
	.name = "avx2",
	.maxsim_rows = avx2_maxsim_rows,
	.dot_matrix = avx2_dot_matrix,
	.sq8_rows = avx2_sq8_rows,
	.sq8_keys = avx2_sq8_keys,
	PLAIN_KERNELS(avx2),
	.sq4_unpack = avx2_sq4_unpack,
	.pq_rows = avx2_pq_rows,
	.sketch_blocks = avx2_sketch_blocks,
	.sketch_finish = avx2_sketch_finish,
	.sketch_scores = avx2_sketch_scores,
	.half_to_float = avx2_half_to_float,
	.float_to_half = avx2_float_to_half,
};

#endif /* __x86_64__ */
