/*-------------------------------------------------------------------------
 *
 * kernels_pq.h
 *	  pq rows: the entries of a row's codes, added up lane by lane.
 *
 * Nothing but additions of whole registers in the order of the sub-quantizers,
 * so it is written once, in the compiler's vectors, for every instruction set
 * that includes it. Several rows at a time hide the latency of the additions
 * and of the tables, which fill a second-level cache.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_KERNELS_PQ_H
#define COLBERT_KERNELS_PQ_H

#include "kernels/kernels_internal.h"

#define PQ_BLOCK_ROWS 4

/* A block of rows against one group of query tokens, for a number of lanes; nrows is a constant wherever it is expanded. */
#define DEFINE_PQ_BLOCK(lanes) \
typedef float PqLanes##lanes __attribute__((vector_size(4 * lanes))); \
typedef int32_t PqMask##lanes __attribute__((vector_size(4 * lanes))); \
\
KERNEL_INLINE void \
pq_block_##lanes(const float *tables, uint32_t m, const uint8_t *rows, bool has_add, float *best, const int nrows) \
{ \
	size_t		stride = kernel_pq_row_size(m, has_add); \
	const uint8_t *codes = rows + stride - m; \
	PqLanes##lanes acc[PQ_BLOCK_ROWS]; \
	PqLanes##lanes entry; \
	PqLanes##lanes largest; \
\
	KERNEL_UNROLL \
	for (int i = 0; i < nrows; i++) \
		memcpy(&acc[i], tables + (size_t) codes[i * stride] * lanes, sizeof(entry)); \
	for (uint32_t s = 1; s < m; s++) \
	{ \
		tables += PQ_CENTROIDS * lanes; \
		KERNEL_UNROLL \
		for (int i = 0; i < nrows; i++) \
		{ \
			memcpy(&entry, tables + (size_t) codes[i * stride + s] * lanes, sizeof(entry)); \
			acc[i] += entry; \
		} \
	} \
\
	memcpy(&largest, best, sizeof(largest)); \
	KERNEL_UNROLL \
	for (int i = 0; i < nrows; i++) \
	{ \
		PqMask##lanes larger; \
\
		if (has_add) \
			acc[i] += load_float(rows + i * stride); \
		larger = acc[i] > largest; \
		largest = (PqLanes##lanes) (((PqMask##lanes) acc[i] & larger) | ((PqMask##lanes) largest & ~larger)); \
	} \
	memcpy(best, &largest, sizeof(largest)); \
} \
\
KERNEL_INLINE void \
pq_group_##lanes(const float *tables, uint32_t m, const uint8_t *rows, uint32_t nrows, bool has_add, float *best) \
{ \
	size_t		stride = kernel_pq_row_size(m, has_add); \
\
	for (; nrows >= PQ_BLOCK_ROWS; nrows -= PQ_BLOCK_ROWS, rows += PQ_BLOCK_ROWS * stride) \
		pq_block_##lanes(tables, m, rows, has_add, best, PQ_BLOCK_ROWS); \
	for (; nrows > 0; nrows--, rows += stride) \
		pq_block_##lanes(tables, m, rows, has_add, best, 1); \
}

DEFINE_PQ_BLOCK(4)
DEFINE_PQ_BLOCK(8)
DEFINE_PQ_BLOCK(16)

KERNEL_INLINE void
pq_run(const KernelPqQuery *q, const uint8_t *rows, uint32_t nrows, bool has_add, float *best)
{
	for (uint32_t group = 0; group < q->ngroups; group++, best += 16)
	{
		const float *tables = kernel_pq_table(q, group, 0);

		switch (kernel_pq_lanes(q, group))
		{
			case 4:
				pq_group_4(tables, q->m, rows, nrows, has_add, best);
				break;
			case 8:
				pq_group_8(tables, q->m, rows, nrows, has_add, best);
				break;
			default:
				pq_group_16(tables, q->m, rows, nrows, has_add, best);
		}
	}
}

#endif							/* COLBERT_KERNELS_PQ_H */
