/*-------------------------------------------------------------------------
 *
 * neondot.c
 *	  NEON with dot products of bytes (Armv8.2 and later): sq8 rows;
 *	  everything else is as in neon.c.
 *
 *-------------------------------------------------------------------------
 */
#if defined(__aarch64__)

#include "kernels/neon.h"

#define MAX_SQ8_ROWS 4 /* 16 accumulators, 4 query registers, 4 of rows */

/*
 * Add the products of four dims, dword c of each row's register. c and nrows
 * are constant at every call.
 */
KERNEL_INLINE void
sq8_add_quad(int32x4_t *acc, const int8_t *pack, const int8x16_t *d, const int c, const int nrows)
{
	int8x16_t q[4];

	KERNEL_UNROLL
	for (int j = 0; j < 4; j++)
		q[j] = vld1q_s8(pack + c * 64 + j * 16);
	KERNEL_UNROLL
	for (int i = 0; i < nrows * 4; i++)
		acc[i] = c == 0   ? vdotq_laneq_s32(acc[i], q[i % 4], d[i / 4], 0)
				 : c == 1 ? vdotq_laneq_s32(acc[i], q[i % 4], d[i / 4], 1)
				 : c == 2 ? vdotq_laneq_s32(acc[i], q[i % 4], d[i / 4], 2)
						  : vdotq_laneq_s32(acc[i], q[i % 4], d[i / 4], 3);
}

KERNEL_INLINE void
sq8_tile(const KernelSq8Query *q, uint32_t group, const TileRows *codes, int32_t *sums,
		 const int nrows)
{
	/* Flip the sign bit: code + 128 becomes the signed code, and no correction is needed. */
	const uint8x16_t bias = vdupq_n_u8(0x80);
	const int8_t    *pack = q->pack + (size_t) group * q->dim4 * 16;
	size_t           whole = q->dim4 & ~(uint32_t) 15;
	int32x4_t        acc[MAX_SQ8_ROWS * 4];
	int8x16_t        d[MAX_SQ8_ROWS];

	KERNEL_UNROLL
	for (int i = 0; i < nrows * 4; i++)
		acc[i] = vdupq_n_s32(0);
	for (size_t k = 0; k < whole; k += 16, pack += 256)
	{
		tile_prefetch(codes, k);
		tile_prefetch(codes, k + 8);
		KERNEL_UNROLL
		for (int i = 0; i < nrows; i++)
			d[i] = vreinterpretq_s8_u8(
				veorq_u8(vld1q_u8((const uint8_t *) codes->first + i * codes->stride + k), bias));
		sq8_add_quad(acc, pack, d, 0, nrows);
		sq8_add_quad(acc, pack, d, 1, nrows);
		sq8_add_quad(acc, pack, d, 2, nrows);
		sq8_add_quad(acc, pack, d, 3, nrows);
	}
	for (size_t k = whole; k < q->dim4; k += 4, pack += 64)
	{
		KERNEL_UNROLL
		for (int i = 0; i < nrows; i++)
		{
			uint32x4_t dword =
				vdupq_n_u32((uint32_t) load_int32(codes->first + i * codes->stride + k));

			d[i] = vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_u32(dword), bias));
		}
		sq8_add_quad(acc, pack, d, 0, nrows);
	}
	KERNEL_UNROLL
	for (int i = 0; i < nrows * 4; i++)
		vst1q_s32(sums + i * 4, acc[i]);
}

#define SQ8_TILE(n) sq8_tile(q, group, codes, sums, n)

TILES_4(DEFINE_SQ8_TILE, sq8_tile, SQ8_TILE)

static const Sq8Tile sq8_tiles[] = {NULL, TILES_4(TILE_ENTRY, sq8_tile, _)};

static const Sq8Kernels neondot_sq8 = {
	SQ8_SHAPES(MAX_SQ8_ROWS, sq8_tiles),
	.maxima = neon_sq8_maxima,
	.keys = neon_sq8_write,
};

DEFINE_SQ8_KERNELS(neondot)

const KernelOps kernels_neondot = {
	.name = "neondot",
	NEON_KERNELS,
	.sq8_rows = neondot_sq8_rows,
	.sq8_keys = neondot_sq8_keys,
};

#endif /* __aarch64__ */
