/*-------------------------------------------------------------------------
 *
 * sketch.h
 *	  One bit a dim: the sketch of a token, and queries against sketches.
 *
 * RaBitQ (Gao and Long, SIGMOD 2024): with o = R(x - mean), keep sign(o) and
 * the factor f = |o|^2 / |o|_1; then  f * sum(sign(o) * Rq)  is an unbiased
 * estimate of <q, x - mean>. Estimates of inner product add q . mean, as the
 * query's constant.
 *
 * Estimates of L2 are of the key  <q, x> - |x|^2/2  (larger is nearer), with
 * both sides centred:
 *
 *		<q, x> - |x|^2/2  =  <q - mean, x - mean>  - |x - mean|^2/2
 *							 + <q, mean> - |mean|^2/2
 *
 * The first term is estimated from the bits (its error grows with |q - mean|,
 * less than |q|), the second is kept beside the factor, and the rest belongs
 * to the query alone: it is the query's constant. So a norm that all tokens
 * share costs none of the 11 bits of the second term. Keys of sketches and of
 * code rows are comparable in both metrics.
 *
 * Factor and second term are binary16: they saturate where |x - mean| is
 * above about 400,000 (and 361 for L2), and lose bits below about 1e-4 (and
 * 0.01).
 *
 * Tokens given to this floor are prepared: normalised where the metric is
 * cosine, multiplied by the scale of the index otherwise, which brings them to
 * about length 1. Plain C without PostgreSQL; never allocates.
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

/* The signs of eight dims as a byte, the first dim lowest; 1 is positive. */
static inline uint8_t
sketch_sign_byte(const float *dims)
{
	unsigned bits = 0;

	for (int j = 0; j < 8; j++)
		bits |= (unsigned) (dims[j] >= 0) << j;
	return (uint8_t) bits;
}

/* Bytes of one block of 16 tokens. */
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

/* Floats of scratch that the calls below need. */
static inline size_t
sketch_scratch_floats(const SketchParams *params)
{
	return 2 * (size_t) params->rotation->padded;
}

/* Encode n (1 .. 16) row-major tokens into one block; the rest of the block repeats the last. */
extern void sketch_encode_block(const SketchParams *params, const float *tokens, uint32_t n,
								uint8_t *block, float *scratch);

/* Write the sketch of one token into lane (0 .. 15) of a block, leaving the others. */
extern void sketch_encode_lane(const SketchParams *params, const float *token, uint32_t lane,
							   uint8_t *block, float *scratch);

/*
 * Prepare a query: ntokens x dim prepared floats into memory of
 * sketch_query_size(). scratch: ntokens * (padded + 1) floats.
 */
extern size_t             sketch_query_size(const SketchParams *params, uint32_t ntokens);
extern KernelSketchQuery *sketch_query_prepare(const SketchParams *params, const float *tokens,
											   uint32_t ntokens, void *memory, float *scratch);

#endif /* COLBERT_SKETCH_H */
