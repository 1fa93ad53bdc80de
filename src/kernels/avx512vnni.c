/*-------------------------------------------------------------------------
 *
 * avx512vnni.c
 *	  The kernels for AVX-512 with VNNI, which adds products of bytes four at
 *	  a time.
 *
 * Everything about floats is inherited from avx512.c.
 *
 *-------------------------------------------------------------------------
 */
#if defined(__x86_64__)

#include "kernels/avx512.h"

/* ------------------------------------------------------------------------
 * sq8: like the tiles of the float kernels, four dims at a time
 * ------------------------------------------------------------------------
 */

#define MAX_SQ8_ROWS      16
#define MAX_SQ8_PAIR_ROWS 12 /* two groups: 24 accumulators, 2 query registers, 1 broadcast */

/* nrows and ngroups are constant at every call. */
KERNEL_INLINE void
sq8_tile(const KernelSq8Query *q, uint32_t group, const TileRows *codes, int32_t *sums,
		 const int nrows, const int ngroups)
{
	__m512i       acc[MAX_SQ8_PAIR_ROWS * 2];
	const char   *base[ROW_BASES];
	uint32_t      dim4 = q->dim4;
	const int8_t *pack = q->pack + (size_t) group * dim4 * 16;
	const int8_t *second = pack + (size_t) dim4 * 16;

	set_row_bases(base, codes, nrows);
	KERNEL_UNROLL
	for (int i = 0; i < nrows * ngroups; i++)
		acc[i] = _mm512_sub_epi32(_mm512_setzero_si512(),
								  _mm512_loadu_si512(q->correction + (group + i % ngroups) * 16));

	for (size_t k = 0; k < dim4; k += 4)
	{
		__m512i q0 = _mm512_loadu_si512(pack + k * 16);
		__m512i q1 = ngroups > 1 ? _mm512_loadu_si512(second + k * 16) : q0;

		tile_prefetch(codes, k);
		KERNEL_UNROLL
		for (int i = 0; i < nrows; i++)
		{
			__m512i d = _mm512_set1_epi32(load_int32(row_at(base, codes->stride, i) + k));

			acc[i * ngroups] = _mm512_dpbusd_epi32(acc[i * ngroups], d, q0);
			if (ngroups > 1)
				acc[i * ngroups + 1] = _mm512_dpbusd_epi32(acc[i * ngroups + 1], d, q1);
		}
	}

	KERNEL_UNROLL
	for (int i = 0; i < nrows * ngroups; i++)
		_mm512_store_si512(sums + i * 16, acc[i]);
}

/* Compute the first 8 tokens of a group. The others are padding, and their sums are zero. */
KERNEL_INLINE void
sq8_half_tile(const KernelSq8Query *q, uint32_t group, const TileRows *codes, int32_t *sums,
			  const int nrows)
{
	__m256i       acc[MAX_SQ8_ROWS];
	const char   *base[ROW_BASES];
	uint32_t      dim4 = q->dim4;
	const int8_t *pack = q->pack + (size_t) group * dim4 * 16;

	set_row_bases(base, codes, nrows);
	KERNEL_UNROLL
	for (int i = 0; i < nrows; i++)
		acc[i] =
			_mm256_sub_epi32(_mm256_setzero_si256(),
							 _mm256_loadu_si256((const __m256i *) (q->correction + group * 16)));

	for (size_t k = 0; k < dim4; k += 4)
	{
		__m256i tokens = _mm256_loadu_si256((const __m256i *) (pack + k * 16));

		tile_prefetch(codes, k);
		KERNEL_UNROLL
		for (int i = 0; i < nrows; i++)
		{
			__m256i d = _mm256_set1_epi32(load_int32(row_at(base, codes->stride, i) + k));

			acc[i] = _mm256_dpbusd_epi32(acc[i], d, tokens);
		}
	}

	KERNEL_UNROLL
	for (int i = 0; i < nrows; i++)
		_mm512_store_si512(sums + i * 16, _mm512_zextsi256_si512(acc[i]));
}

#define SQ8_HALF_TILE(n) sq8_half_tile(q, group, codes, sums, n)
#define SQ8_TILE(n)      sq8_tile(q, group, codes, sums, n, 1)
#define SQ8_TILE_PAIR(n) sq8_tile(q, group, codes, sums, n, 2)

TILES_16(DEFINE_SQ8_TILE, sq8_half_tile, SQ8_HALF_TILE)
TILES_16(DEFINE_SQ8_TILE, sq8_tile, SQ8_TILE)
TILES_12(DEFINE_SQ8_TILE, sq8_tile_pair, SQ8_TILE_PAIR)

static const Sq8Tile sq8_half_tiles[] = {NULL, TILES_16(TILE_ENTRY, sq8_half_tile, _)};
static const Sq8Tile sq8_tiles[] = {NULL, TILES_16(TILE_ENTRY, sq8_tile, _)};
static const Sq8Tile sq8_tiles_pair[] = {NULL, TILES_12(TILE_ENTRY, sq8_tile_pair, _)};

static const Sq8Kernels avx512vnni_sq8 = {
	.half = {.most_rows = MAX_SQ8_ROWS, .groups = 1, .tiles = sq8_half_tiles},
	.one = {.most_rows = MAX_SQ8_ROWS, .groups = 1, .tiles = sq8_tiles},
	.pair = {.most_rows = MAX_SQ8_PAIR_ROWS, .groups = 2, .tiles = sq8_tiles_pair},
	.maxima = avx512_sq8_maxima,
	.keys = avx512_sq8_write,
};

static void
avx512vnni_sq8_rows(const KernelSq8Query *q, const uint8_t *rows, uint32_t nrows, bool has_add,
					float *best)
{
	sq8_run(&avx512vnni_sq8, q, rows, nrows, has_add, (Sq8Sink) {best, NULL});
}

void
avx512vnni_sq8_keys(const KernelSq8Query *q, const uint8_t *rows, uint32_t nrows, bool has_add,
					float *out)
{
	sq8_run(&avx512vnni_sq8, q, rows, nrows, has_add, (Sq8Sink) {NULL, out});
}

/* ------------------------------------------------------------------------
 * Sketches
 * ------------------------------------------------------------------------
 */

KERNEL_INLINE __m512i
sketch_add_quads(__m512i total, __m512i bytes)
{
	return _mm512_dpbusd_epi32(total, bytes, _mm512_set1_epi8(1));
}

#include "kernels/sketch512.h"

void
avx512vnni_sketch_blocks(const KernelSketchQuery *q, const uint8_t *blocks, uint32_t nblocks,
						 float *state)
{
	sketch_blocks(q, blocks, nblocks, state);
}

void
avx512vnni_sketch_scores(const KernelSketchQuery *q, uint32_t token, const uint8_t *block,
						 float *scores)
{
	sketch_scores(q, token, block, scores);
}

const KernelOps kernels_avx512vnni = {
	.name = "avx512vnni",
	AVX512_KERNELS,
	.sq8_rows = avx512vnni_sq8_rows,
	.sq8_keys = avx512vnni_sq8_keys,
	.sketch_blocks = avx512vnni_sketch_blocks,
	.sketch_scores = avx512vnni_sketch_scores,
};

#endif /* __x86_64__ */
