/*-------------------------------------------------------------------------
 *
 * internal.h
 *	  Definitions shared by the kernel implementations and used nowhere else.
 *
 * Everything here is a short static inline function, because each kernel file
 * is compiled for its own instruction set. A function that is emitted once and
 * linked for all of them could contain instructions that the machine lacks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_KERNELS_INTERNAL_H
#define COLBERT_KERNELS_INTERNAL_H

#include <math.h>
#include <string.h>

#include "kernels/kernels.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the packed layouts of the kernels are little-endian"
#endif

#define KERNEL_INLINE static inline __attribute__((always_inline))

/*
 * Fully unroll a loop of constant length over registers. If the loop remained,
 * its array of registers would live in memory.
 */
#if defined(__clang__)
#define KERNEL_UNROLL _Pragma("clang loop unroll(full)")
#else
#define KERNEL_UNROLL _Pragma("GCC unroll 32")
#endif

/* Rows in a query's scratch: the tallest tile of any kernel. */
#define KERNEL_SCRATCH_ROWS 24

/*
 * Return the floats from one row of the scratch to the next. The odd cache
 * line keeps rows of 1,024 dims out of each other's cache sets.
 */
KERNEL_INLINE size_t
kernel_scratch_stride(uint32_t dim)
{
	return (((size_t) dim + 15) & ~(size_t) 15) + 16;
}

/*
 * Maximum entry of a sketch query's tables. Four steps of 32 dims add eight
 * entries to each byte, so that the sum still fits: 8 * 31 < 256.
 */
#define MAX_SKETCH_STEPS 31
#define SKETCH_BYTE_DIMS 128
#define SKETCH_LUT_SIZE  128 /* bytes of one query token's tables for 32 dims */

/*
 * Load from unaligned memory. The compiler folds these loads into the
 * instruction that uses them.
 */
KERNEL_INLINE float
load_float(const void *p)
{
	float value;

	memcpy(&value, p, sizeof(value));
	return value;
}

KERNEL_INLINE int32_t
load_int32(const void *p)
{
	int32_t value;

	memcpy(&value, p, sizeof(value));
	return value;
}

KERNEL_INLINE uint16_t
load_uint16(const void *p)
{
	uint16_t value;

	memcpy(&value, p, sizeof(value));
	return value;
}

/* Return a parameter of row i, or the given default if the run has no such parameter. */
KERNEL_INLINE float
row_param(const KernelRows *rows, const float *param, uint32_t i, float otherwise)
{
	if (param == NULL)
		return otherwise;
	return load_float((const char *) param + i * rows->param_stride);
}

KERNEL_INLINE const uint8_t *
row_bytes(const KernelRows *rows, uint32_t i)
{
	return (const uint8_t *) rows->rows + i * rows->stride;
}

KERNEL_INLINE uint32_t
min_uint32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/*
 * Return the height of the next block when 'left' rows remain. Blocks have at
 * most 'largest' rows and nearly equal heights: 65 rows are five blocks of 13,
 * not four of 16 and a single row, which would have nothing to hide the
 * latency of its additions.
 */
KERNEL_INLINE uint32_t
next_block_rows(uint32_t left, uint32_t largest)
{
	uint32_t nblocks = (left + largest - 1) / largest;

	return (left + nblocks - 1) / nblocks;
}

/* Implementations in this build. */
extern const KernelOps kernels_scalar;
#if defined(__x86_64__)
extern const KernelOps kernels_avx2;
extern const KernelOps kernels_avx512;
extern const KernelOps kernels_avx512vnni;
extern const KernelOps kernels_amx;
extern const bool      kernels_amx_built;

/* The AVX-512 kernels use this one too: memory limits it, so that wider registers gain nothing. */
extern void avx2_sq4_unpack(const uint8_t *rows, uint32_t nrows, uint32_t dim, bool has_add,
							uint8_t *out);
#elif defined(__aarch64__)
extern const KernelOps kernels_neon;
extern const KernelOps kernels_neondot;
#endif

#endif /* COLBERT_KERNELS_INTERNAL_H */
