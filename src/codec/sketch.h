/*-------------------------------------------------------------------------
 *
 * sketch.h
 *	  Sketches of tokens, one bit per dim, and queries against sketches.
 *
 * RaBitQ (Gao and Long, SIGMOD 2024): with o = R(x - mean), store sign(o) and
 * the factor f = |o|^2 / |o|_1. Then  f * sum(sign(o) * Rq)  is an unbiased
 * estimate of <q, x - mean>. Estimates of inner products add q . mean, which
 * is the query's constant.
 *
 * For L2 the key  <q, x> - |x|^2/2  (larger is nearer) is estimated, with both
 * sides centered:
 *
 *		<q, x> - |x|^2/2  =  <q - mean, x - mean>  - |x - mean|^2/2
 *							 + <q, mean> - |mean|^2/2
 *
 * The first term is estimated from the bits; its error grows with |q - mean|,
 * which is less than |q|. The second term is stored beside the factor. The
 * rest depends on the query alone: it is the query's constant. So a component
 * that all tokens share takes none of the 11 bits of the second term. Keys of
 * sketches and of code rows are comparable in both metrics.
 *
 * Factor and second term are binary16. They saturate if |x - mean| is above
 * about 400,000 (361 for L2), and lose bits below about 1e-4 (0.01 for L2).
 *
 * Tokens are prepared: normalized if the metric is cosine, otherwise
 * multiplied by the scale of the index, which brings them to about length 1.
 * Plain C without PostgreSQL; never allocates.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SKETCH_H
#define COLBERT_SKETCH_H

#include "codec/rotation.h"
#include "kernels/kernels.h"

typedef struct SketchParams
{
	const Rotation *rotation;
	const float    *mean;    /* rotation->dim floats */
	bool            has_add; /* L2 */
} SketchParams;

/* Return the signs of eight dims as a byte, the first dim in the lowest bit; 1 is positive. */
static inline uint8_t
sketch_sign_byte(const float *dims)
{
	unsigned bits = 0;

	for (int j = 0; j < 8; j++)
		bits |= (unsigned) (dims[j] >= 0) << j;
	return (uint8_t) bits;
}

/* Return the bytes of one block of 16 tokens. */
static inline size_t
sketch_block_size(const SketchParams *params)
{
	return kernel_sketch_block_size(params->rotation->padded, params->has_add);
}

static inline uint32_t
sketch_blocks_for(uint32_t ntokens)
{
	return ntokens / SKETCH_BLOCK_TOKENS + (ntokens % SKETCH_BLOCK_TOKENS != 0);
}

/* Return the floats of scratch for the functions below. */
static inline size_t
sketch_scratch_floats(const SketchParams *params)
{
	return 2 * (size_t) params->rotation->padded;
}

/* Encode n (1 .. 16) row-major tokens into one block. Its other lanes repeat the last token. */
extern void sketch_encode_block(const SketchParams *params, const float *tokens, uint32_t n,
								uint8_t *block, float *scratch);

/* Write the sketch of one token into a lane (0 .. 15) of a block, leaving the other lanes alone. */
extern void sketch_encode_lane(const SketchParams *params, const float *token, uint32_t lane,
							   uint8_t *block, float *scratch);

/*
 * A row holds the sketch of one token: its signs, its factor and, for L2, its
 * addend. Rows are kept where sketches are read singly; a kernel reads them
 * from the lanes of a block.
 */
static inline size_t
sketch_row_size(const SketchParams *params)
{
	return sketch_block_size(params) / SKETCH_BLOCK_TOKENS;
}

/* Encode a token as a row. block: room for one block. */
extern void sketch_encode_row(const SketchParams *params, const float *token, uint8_t *row,
							  uint8_t *block, float *scratch);

/* Copy a row into a lane (0 .. 15) of a block, leaving the other lanes alone. */
extern void sketch_row_to_lane(const SketchParams *params, const uint8_t *row, uint32_t lane,
							   uint8_t *block);

/*
 * Prepare a query of ntokens x dim prepared floats in memory of
 * sketch_query_size() bytes. scratch has ntokens * (padded + 1) floats.
 */
extern size_t             sketch_query_size(const SketchParams *params, uint32_t ntokens);
extern KernelSketchQuery *sketch_query_prepare(const SketchParams *params, const float *tokens,
											   uint32_t ntokens, void *memory, float *scratch);

/*
 * Copy a query prepared with the same rotation and another mean, for inner
 * products, in memory of sketch_query_recentred_size() bytes. The copy points to
 * the tables of the original.
 */
extern size_t             sketch_query_recentred_size(uint32_t ntokens);
extern KernelSketchQuery *sketch_query_recentre(const SketchParams *params, const float *tokens,
												const KernelSketchQuery *query, void *memory);

#endif /* COLBERT_SKETCH_H */
