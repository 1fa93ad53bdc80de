/*-------------------------------------------------------------------------
 *
 * internal.h
 *	  What the implementations of the kernels share, and nobody else needs.
 *
 * Everything here is a static inline of a few lines, because each file of
 * kernels is compiled for an instruction set of its own: a function that is
 * emitted once and linked for all could carry instructions that the machine
 * lacks.
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

/* Before a loop of constant length over registers: it must vanish, or its array would live in memory. */
#if defined(__clang__)
#define KERNEL_UNROLL _Pragma("clang loop unroll(full)")
#else
#define KERNEL_UNROLL _Pragma("GCC unroll 32")
#endif

/* Rows that a query's scratch holds: the largest block of rows of any kernel. */
#define KERNEL_SCRATCH_ROWS 24

/*
 * Floats from one row of the scratch to the next. The odd cache line keeps
 * rows of 1,024 dims out of each other's cache sets.
 */
KERNEL_INLINE size_t
kernel_scratch_stride(uint32_t dim)
{
	return (((size_t) dim + 15) & ~(size_t) 15) + 16;
}

/*
 * Entries of a sketch query's tables are at most this, so that the eight
 * nibbles of a byte position in four steps of 32 dims add up in a byte.
 */
#define MAX_SKETCH_STEPS 31
#define SKETCH_BYTE_DIMS 128
#define SKETCH_LUT_SIZE  128 /* bytes of a query token's tables for 32 dims */

/* Unaligned loads that the compiler folds into the instruction that uses them. */
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

/* A parameter of row i, or what stands for it where the run has none. */
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
 * Rows are taken in blocks of at most 'largest', of nearly equal height: 65
 * rows are five blocks of 13 and not four of 16 and a lonely one, whose chain
 * of additions would have nothing to hide its latency. Returns the height of
 * the next block when 'left' rows are left.
 */
KERNEL_INLINE uint32_t
next_block_rows(uint32_t left, uint32_t largest)
{
	uint32_t nblocks = (left + largest - 1) / largest;

	return (left + nblocks - 1) / nblocks;
}

/* The implementations of this build. */
extern const KernelOps kernels_scalar;
#if defined(__x86_64__)
extern const KernelOps kernels_avx2;
extern const KernelOps kernels_avx512;
extern const KernelOps kernels_avx512vnni;
extern const KernelOps kernels_amx;
extern const bool      kernels_amx_built;

/* Limited by memory: nothing is gained by wider registers. */
extern void avx2_sq4_unpack(const uint8_t *rows, uint32_t nrows, uint32_t dim, bool has_add,
							uint8_t *out);
#elif defined(__aarch64__)
extern const KernelOps kernels_neon;
extern const KernelOps kernels_neondot;
#endif

#endif /* COLBERT_KERNELS_INTERNAL_H */
