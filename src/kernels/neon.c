/*-------------------------------------------------------------------------
 *
 * neon.c
 *	  The kernels for aarch64: NEON, which every such processor has.
 *
 * The tiles are those of the x86 files with 4 floats per register. A
 * multiply-add can broadcast one element of a register to all lanes, so four
 * dims of a row are loaded at once.
 *
 *-------------------------------------------------------------------------
 */
#if defined(__aarch64__)

#include "kernels/neon.h"
#define PQ_WIDTH 4
#include "kernels/pq.h"

/* ------------------------------------------------------------------------
 * Tiles of dot products
 * ------------------------------------------------------------------------
 */

#define MAX_TILE16_ROWS  4 /* 16 accumulators, 4 query registers, 4 of rows */
#define MAX_TILE8_ROWS   8
#define MAX_TILE4_ROWS   12
#define MAX_ACCUMULATORS 16

/*
 * Add the products of one dim, element c of each row's register. c, nrows and
 * nquads (registers of query tokens) are constant at every call.
 */
KERNEL_INLINE void
add_dim(float32x4_t *acc, const float *pack, const float32x4_t *d, const int c, const int nrows,
		const int nquads)
{
	float32x4_t q[4];

	KERNEL_UNROLL
	for (int j = 0; j < nquads; j++)
		q[j] = vld1q_f32(pack + (c * nquads + j) * 4);
	KERNEL_UNROLL
	for (int i = 0; i < nrows; i++)
	{
		KERNEL_UNROLL
		for (int j = 0; j < nquads; j++)
		{
			float32x4_t *sum = &acc[i * nquads + j];

			*sum = c == 0   ? vfmaq_laneq_f32(*sum, q[j], d[i], 0)
				   : c == 1 ? vfmaq_laneq_f32(*sum, q[j], d[i], 1)
				   : c == 2 ? vfmaq_laneq_f32(*sum, q[j], d[i], 2)
							: vfmaq_laneq_f32(*sum, q[j], d[i], 3);
		}
	}
}

/* nrows and nquads are constant at every call. */
KERNEL_INLINE void
dot_tile(const KernelQuery *q, const float *pack, const TileRows *rows, float *dots,
		 const int nrows, const int nquads)
{
	float32x4_t acc[MAX_ACCUMULATORS];
	float32x4_t d[MAX_TILE4_ROWS];
	size_t      whole = q->dim & ~(uint32_t) 3;

	KERNEL_UNROLL
	for (int i = 0; i < nrows * nquads; i++)
		acc[i] = vdupq_n_f32(0.0f);
	for (size_t k = 0; k < whole; k += 4, pack += nquads * 16)
	{
		tile_prefetch(rows, k);
		tile_prefetch(rows, k + 2);
		KERNEL_UNROLL
		for (int i = 0; i < nrows; i++)
			d[i] = vreinterpretq_f32_u8(
				vld1q_u8((const uint8_t *) rows->first + i * rows->stride + k * 4));
		add_dim(acc, pack, d, 0, nrows, nquads);
		add_dim(acc, pack, d, 1, nrows, nquads);
		add_dim(acc, pack, d, 2, nrows, nquads);
		add_dim(acc, pack, d, 3, nrows, nquads);
	}
	for (size_t k = whole; k < q->dim; k++, pack += nquads * 4)
	{
		KERNEL_UNROLL
		for (int i = 0; i < nrows; i++)
			d[i] = vdupq_n_f32(load_float(rows->first + i * rows->stride + k * 4));
		add_dim(acc, pack, d, 0, nrows, nquads);
	}
	KERNEL_UNROLL
	for (int i = 0; i < nrows * nquads; i++)
		vst1q_f32(dots + i * 4, acc[i]);
}

#define TILE16(n) dot_tile(q, pack, rows, dots, n, 4)
#define TILE8(n)  dot_tile(q, pack, rows, dots, n, 2)
#define TILE4(n)  dot_tile(q, pack, rows, dots, n, 1)

TILES_4(DEFINE_TILE, tile16, TILE16)
TILES_8(DEFINE_TILE, tile8, TILE8)
TILES_12(DEFINE_TILE, tile4, TILE4)

static const DotTile tiles16[] = {NULL, TILES_4(TILE_ENTRY, tile16, _)};
static const DotTile tiles8[] = {NULL, TILES_8(TILE_ENTRY, tile8, _)};
static const DotTile tiles4[] = {NULL, TILES_12(TILE_ENTRY, tile4, _)};

/* ------------------------------------------------------------------------
 * From dots to keys and maxima
 * ------------------------------------------------------------------------
 */

KERNEL_INLINE float32x4_t
tile_key(const KernelRows *rows, const TileResult *tile, uint32_t r, uint32_t at)
{
	return vfmaq_f32(vdupq_n_f32(tile_add(rows, tile, r)),
					 vld1q_f32(tile->dots + r * tile->width + at),
					 vdupq_n_f32(tile_mul(rows, tile, r)));
}

static void
maxima4(const KernelRows *rows, const TileResult *tile, uint32_t at, float *best,
		uint32_t *best_row)
{
	uint32_t    slot = tile->first_slot + at;
	float32x4_t largest = vld1q_f32(best + slot);
	uint32x4_t  winner = best_row == NULL ? vdupq_n_u32(0) : vld1q_u32(best_row + slot);

	for (uint32_t r = 0; r < tile->nrows; r++)
	{
		float32x4_t key = tile_key(rows, tile, r, at);

		winner = vbslq_u32(vcgtq_f32(key, largest), vdupq_n_u32(rows->first + tile->first_row + r),
						   winner);
		largest = neon_larger(key, largest);
	}
	vst1q_f32(best + slot, largest);
	if (best_row != NULL)
		vst1q_u32(best_row + slot, winner);
}

static void
maxima8(const KernelRows *rows, const TileResult *tile, uint32_t at, float *best,
		uint32_t *best_row)
{
	maxima4(rows, tile, at, best, best_row);
	maxima4(rows, tile, at + 4, best, best_row);
}

static void
maxima16(const KernelRows *rows, const TileResult *tile, uint32_t at, float *best,
		 uint32_t *best_row)
{
	maxima8(rows, tile, at, best, best_row);
	maxima8(rows, tile, at + 8, best, best_row);
}

static void
keys4(const KernelRows *rows, const TileResult *tile, uint32_t at, float *keys, size_t nslots)
{
	keys += tile->first_row * nslots + tile->first_slot + at;
	for (uint32_t r = 0; r < tile->nrows; r++)
		vst1q_f32(keys + r * nslots, tile_key(rows, tile, r, at));
}

static void
keys8(const KernelRows *rows, const TileResult *tile, uint32_t at, float *keys, size_t nslots)
{
	keys4(rows, tile, at, keys, nslots);
	keys4(rows, tile, at + 4, keys, nslots);
}

static void
keys16(const KernelRows *rows, const TileResult *tile, uint32_t at, float *keys, size_t nslots)
{
	keys8(rows, tile, at, keys, nslots);
	keys8(rows, tile, at + 8, keys, nslots);
}

/* ------------------------------------------------------------------------
 * Elements
 * ------------------------------------------------------------------------
 */

void
neon_half_to_float(const uint16_t *in, float *out, size_t n)
{
	size_t whole = n & ~(size_t) 3;

	for (size_t i = 0; i < whole; i += 4)
	{
		uint16x4_t halves = vreinterpret_u16_u8(vld1_u8((const uint8_t *) (in + i)));

		vst1q_f32(out + i, vcvt_f32_f16(vreinterpret_f16_u16(halves)));
	}
	for (size_t i = whole; i < n; i++)
		out[i] = kernel_half_to_float(load_uint16(in + i));
}

void
neon_float_to_half(const float *in, uint16_t *out, size_t n)
{
	size_t whole = n & ~(size_t) 3;

	for (size_t i = 0; i < whole; i += 4)
		vst1_u16(out + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(in + i))));
	for (size_t i = whole; i < n; i++)
		out[i] = kernel_float_to_half(in[i]);
}

static void
neon_int8_to_float(const int8_t *in, float scale, float *out, size_t n)
{
	size_t whole = n & ~(size_t) 7;

	for (size_t i = 0; i < whole; i += 8)
	{
		int16x8_t words = vmovl_s8(vld1_s8(in + i));

		vst1q_f32(out + i, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(words))), scale));
		vst1q_f32(out + i + 4, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_high_s16(words))), scale));
	}
	for (size_t i = whole; i < n; i++)
		out[i] = (float) in[i] * scale;
}

static const TileKernels neon_tiles = {
	.lanes4 =
		{
			.one = {.most_rows = MAX_TILE4_ROWS, .groups = 1, .tiles = tiles4},
			.maxima = maxima4,
			.keys = keys4,
		},
	.lanes8 =
		{
			.one = {.most_rows = MAX_TILE8_ROWS, .groups = 1, .tiles = tiles8},
			.maxima = maxima8,
			.keys = keys8,
		},
	.lanes16 =
		{
			.one = {.most_rows = MAX_TILE16_ROWS, .groups = 1, .tiles = tiles16},
			.pair = {.most_rows = MAX_TILE16_ROWS, .groups = 1, .tiles = tiles16},
			.maxima = maxima16,
			.keys = keys16,
		},
	.half_to_float = neon_half_to_float,
	.int8_to_float = neon_int8_to_float,
};

void
neon_maxsim_rows(const KernelQuery *q, const KernelRows *rows, float *best, uint32_t *best_row)
{
	TileSink sink = {best, best_row, NULL};

	tile_run(&neon_tiles, q, rows, &sink);
}

void
neon_dot_matrix(const KernelQuery *q, const KernelRows *rows, float *out)
{
	TileSink sink = {NULL, NULL, out};

	tile_run(&neon_tiles, q, rows, &sink);
}

/* ------------------------------------------------------------------------
 * sq8
 *
 * Codes are made signed, so that no correction is needed. The product of two
 * codes then fits in 16 bits, and products are added pairwise into 32 bits.
 * ------------------------------------------------------------------------
 */

#define MAX_SQ8_ROWS 2

/* Sums of the two halves of a quad of query tokens, with pairs of dims not added yet. */
typedef struct Sq8Sums
{
	int32x4_t low;
	int32x4_t high;
} Sq8Sums;

KERNEL_INLINE void
sq8_tile(const KernelSq8Query *q, uint32_t group, const TileRows *codes, int32_t *sums,
		 const int nrows)
{
	const int8_t *pack = q->pack + (size_t) group * q->dim4 * 16;
	Sq8Sums       acc[MAX_SQ8_ROWS * 4];

	KERNEL_UNROLL
	for (int i = 0; i < nrows * 4; i++)
		acc[i].low = acc[i].high = vdupq_n_s32(0);
	for (size_t k = 0; k < q->dim4; k += 4, pack += 64)
	{
		tile_prefetch(codes, k);
		KERNEL_UNROLL
		for (int i = 0; i < nrows; i++)
		{
			int32_t dword = load_int32(codes->first + i * codes->stride + k) ^ (int32_t) 0x80808080;
			int8x8_t d = vreinterpret_s8_s32(vdup_n_s32(dword));

			KERNEL_UNROLL
			for (int j = 0; j < 4; j++)
			{
				int8x16_t tokens = vld1q_s8(pack + j * 16);
				Sq8Sums  *sum = &acc[i * 4 + j];

				sum->low = vpadalq_s16(sum->low, vmull_s8(vget_low_s8(tokens), d));
				sum->high = vpadalq_s16(sum->high, vmull_s8(vget_high_s8(tokens), d));
			}
		}
	}
	KERNEL_UNROLL
	for (int i = 0; i < nrows * 4; i++)
		vst1q_s32(sums + i * 4, vpaddq_s32(acc[i].low, acc[i].high));
}

#define SQ8_TILE(n) sq8_tile(q, group, codes, sums, n)

DEFINE_SQ8_TILE(sq8_tile, SQ8_TILE, 1)
DEFINE_SQ8_TILE(sq8_tile, SQ8_TILE, 2)

static const Sq8Tile sq8_tiles[] = {NULL, sq8_tile_1, sq8_tile_2};

static const Sq8Kernels neon_sq8 = {
	SQ8_SHAPES(MAX_SQ8_ROWS, sq8_tiles),
	.maxima = neon_sq8_maxima,
	.keys = neon_sq8_write,
};

DEFINE_SQ8_KERNELS(neon)

void
neon_sq4_unpack(const uint8_t *rows, uint32_t nrows, uint32_t dim, bool has_add, uint8_t *out)
{
	const uint8x16_t levels = vld1q_u8(kernel_sq4_levels);
	uint32_t         header = sizeof(float) * (has_add ? 2 : 1);
	uint32_t         half = dim / 2;

	for (uint32_t i = 0; i < nrows; i++)
	{
		memcpy(out, rows, header);
		for (uint32_t k = header; k < header + half; k += 16)
		{
			uint8x16_t codes = vld1q_u8(rows + k);

			vst1q_u8(out + k, vqtbl1q_u8(levels, vandq_u8(codes, vdupq_n_u8(15))));
			vst1q_u8(out + half + k, vqtbl1q_u8(levels, vshrq_n_u8(codes, 4)));
		}
		rows += kernel_sq4_row_size(dim, has_add);
		out += kernel_sq8_row_size(dim, has_add);
	}
}

/* ------------------------------------------------------------------------
 * Sketches: one table lookup per nibble position of the 16 tokens of a block
 * ------------------------------------------------------------------------
 */

/* Return the 16-bit totals of the 16 tokens of a block, in order. */
KERNEL_INLINE uint16x8x2_t
sketch_totals(const KernelSketchQuery *q, const uint8_t *block, uint32_t token)
{
	const uint8_t *lut = q->lut + (size_t) token * SKETCH_LUT_SIZE;
	size_t         lut_stride = (size_t) q->ntokens * SKETCH_LUT_SIZE;
	uint16x8x2_t   totals = {{vdupq_n_u16(0), vdupq_n_u16(0)}};

	for (uint32_t k = 0; k < q->dim; k += 32, lut += lut_stride, block += 64)
	{
		uint8x16_t sums = vdupq_n_u8(0);

		KERNEL_UNROLL
		for (int p = 0; p < 4; p++)
		{
			uint8x16_t codes = vld1q_u8(block + p * 16);

			sums =
				vaddq_u8(sums, vqtbl1q_u8(vld1q_u8(lut + p * 16), vandq_u8(codes, vdupq_n_u8(15))));
			sums = vaddq_u8(sums, vqtbl1q_u8(vld1q_u8(lut + 64 + p * 16), vshrq_n_u8(codes, 4)));
		}
		totals.val[0] = vaddw_u8(totals.val[0], vget_low_u8(sums));
		totals.val[1] = vaddw_u8(totals.val[1], vget_high_u8(sums));
	}
	return totals;
}

KERNEL_INLINE float32x4_t
load_halves(const uint8_t *halves)
{
	return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(halves)));
}

void
neon_sketch_scores(const KernelSketchQuery *q, uint32_t token, const uint8_t *block, float *scores)
{
	const uint8_t *halves = block + (size_t) q->dim * 2;
	uint16x8x2_t   totals = sketch_totals(q, block, token);

	for (int quad = 0; quad < 4; quad++)
	{
		uint16x8_t  half = totals.val[quad / 2];
		uint16x4_t  words = quad % 2 == 0 ? vget_low_u16(half) : vget_high_u16(half);
		float32x4_t total = vcvtq_f32_u32(vmovl_u16(words));
		float32x4_t sum =
			vfmaq_f32(vdupq_n_f32(q->base[token]), vdupq_n_f32(q->delta[token]), total);
		float32x4_t factor = load_halves(halves + quad * 8);
		float32x4_t add = q->has_add ? load_halves(halves + 32 + quad * 8) : vdupq_n_f32(0.0f);

		vst1q_f32(scores + quad * 4,
				  vaddq_f32(vfmaq_f32(vdupq_n_f32(q->constant[token]), factor, sum), add));
	}
}

void
neon_sketch_blocks(const KernelSketchQuery *q, const uint8_t *blocks, uint32_t nblocks,
				   float *state)
{
	size_t block_size = kernel_sketch_block_size(q->dim, q->has_add);

	for (uint32_t b = 0; b < nblocks; b++)
	{
		for (uint32_t token = 0; token < q->ntokens; token++)
		{
			float *best = state + (size_t) token * SKETCH_BLOCK_TOKENS;
			float  scores[SKETCH_BLOCK_TOKENS];

			neon_sketch_scores(q, token, blocks + b * block_size, scores);
			for (int lane = 0; lane < SKETCH_BLOCK_TOKENS; lane += 4)
				vst1q_f32(best + lane,
						  neon_larger(vld1q_f32(scores + lane), vld1q_f32(best + lane)));
		}
	}
}

void
neon_sketch_finish(const KernelSketchQuery *q, const float *state, float *best)
{
	for (uint32_t token = 0; token < q->ntokens; token++, state += SKETCH_BLOCK_TOKENS)
	{
		float32x4_t low = vmaxq_f32(vld1q_f32(state), vld1q_f32(state + 4));
		float32x4_t high = vmaxq_f32(vld1q_f32(state + 8), vld1q_f32(state + 12));

		/* Normalize the sign of a zero, as scalar_sketch_finish does. */
		best[token] = vmaxvq_f32(vmaxq_f32(low, high)) + 0.0f;
	}
}

void
neon_pq_rows(const KernelPqQuery *q, const uint8_t *rows, uint32_t nrows, bool has_add, float *best)
{
	pq_run(q, rows, nrows, has_add, best);
}

DEFINE_PLAIN_KERNELS(neon)

const KernelOps kernels_neon = {
	.name = "neon",
	NEON_KERNELS,
	.sq8_rows = neon_sq8_rows,
	.sq8_keys = neon_sq8_keys,
};

#endif /* __aarch64__ */
