/*-------------------------------------------------------------------------
 *
 * pq.h
 *	  Score pq rows by adding the entries of a row's codes lane by lane.
 *
 * The code only adds whole registers in the order of the sub-quantizers, so it
 * is written once with the compiler's vector types, for every instruction set
 * that includes it. Processing several rows at a time hides the latency of the
 * additions and of the tables, which fill a second-level cache.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_KERNELS_PQ_H
#define COLBERT_KERNELS_PQ_H

#include "kernels/internal.h"

#define PQ_BLOCK_ROWS 4

/* Maximum lanes per register, defined by the including file. Wider groups take several passes. */
#ifndef PQ_WIDTH
#error "PQ_WIDTH is not set"
#endif

/* The tables of one group, from lane 'first' on. */
typedef struct PqTables
{
	const float *first;
	uint32_t     step; /* lanes per entry */
	uint32_t     m;
	bool         has_add;
} PqTables;

/*
 * Define the functions for registers of a given number of lanes: one for a
 * block of rows, with nrows constant at every call, and one for all rows.
 */
#define DEFINE_PQ_BLOCK(lanes)                                                                   \
	typedef float   PqLanes##lanes __attribute__((vector_size(4 * lanes)));                      \
	typedef int32_t PqMask##lanes __attribute__((vector_size(4 * lanes)));                       \
                                                                                                 \
	KERNEL_INLINE void pq_block_##lanes(const PqTables *t, const uint8_t *rows, float *best,     \
										const int nrows)                                         \
	{                                                                                            \
		size_t         stride = kernel_pq_row_size(t->m, t->has_add);                            \
		const uint8_t *codes = rows + stride - t->m;                                             \
		const float   *table = t->first;                                                         \
		PqLanes##lanes acc[PQ_BLOCK_ROWS];                                                       \
		PqLanes##lanes entry;                                                                    \
		PqLanes##lanes largest;                                                                  \
                                                                                                 \
		KERNEL_UNROLL                                                                            \
		for (int i = 0; i < nrows; i++)                                                          \
			memcpy(&acc[i], table + (size_t) codes[i * stride] * t->step, sizeof(entry));        \
		for (uint32_t s = 1; s < t->m; s++)                                                      \
		{                                                                                        \
			table += PQ_CENTROIDS * t->step;                                                     \
			KERNEL_UNROLL                                                                        \
			for (int i = 0; i < nrows; i++)                                                      \
			{                                                                                    \
				memcpy(&entry, table + (size_t) codes[i * stride + s] * t->step, sizeof(entry)); \
				acc[i] += entry;                                                                 \
			}                                                                                    \
		}                                                                                        \
                                                                                                 \
		memcpy(&largest, best, sizeof(largest));                                                 \
		KERNEL_UNROLL                                                                            \
		for (int i = 0; i < nrows; i++)                                                          \
		{                                                                                        \
			PqMask##lanes larger;                                                                \
                                                                                                 \
			if (t->has_add)                                                                      \
				acc[i] += load_float(rows + i * stride);                                         \
			larger = acc[i] > largest;                                                           \
			largest = (PqLanes##lanes)(((PqMask##lanes) acc[i] & larger) |                       \
									   ((PqMask##lanes) largest & ~larger));                     \
		}                                                                                        \
		memcpy(best, &largest, sizeof(largest));                                                 \
	}                                                                                            \
                                                                                                 \
	KERNEL_INLINE void pq_group_##lanes(PqTables t, const uint8_t *rows, uint32_t nrows,         \
										float *best)                                             \
	{                                                                                            \
		size_t stride = kernel_pq_row_size(t.m, t.has_add);                                      \
                                                                                                 \
		for (; nrows >= PQ_BLOCK_ROWS; nrows -= PQ_BLOCK_ROWS, rows += PQ_BLOCK_ROWS * stride)   \
			pq_block_##lanes(&t, rows, best, PQ_BLOCK_ROWS);                                     \
		for (; nrows > 0; nrows--, rows += stride)                                               \
			pq_block_##lanes(&t, rows, best, 1);                                                 \
	}

DEFINE_PQ_BLOCK(4)
#if PQ_WIDTH >= 8
DEFINE_PQ_BLOCK(8)
#endif
#if PQ_WIDTH >= 16
DEFINE_PQ_BLOCK(16)
#endif

KERNEL_INLINE void
pq_run(const KernelPqQuery *q, const uint8_t *rows, uint32_t nrows, bool has_add, float *best)
{
	for (uint32_t group = 0; group < q->ngroups; group++)
	{
		uint32_t lanes = kernel_pq_lanes(q, group);
		PqTables t = {kernel_pq_table(q, group, 0), lanes, q->m, has_add};
		uint32_t width = min_uint32(lanes, PQ_WIDTH);

		for (uint32_t lane = 0; lane < lanes; lane += width, t.first += width, best += width)
		{
			if (width == 4)
				pq_group_4(t, rows, nrows, best);
#if PQ_WIDTH >= 8
			else if (width == 8)
				pq_group_8(t, rows, nrows, best);
#endif
#if PQ_WIDTH >= 16
			else
				pq_group_16(t, rows, nrows, best);
#endif
		}
	}
}

#endif /* COLBERT_KERNELS_PQ_H */
