/*-------------------------------------------------------------------------
 *
 * sketch.c
 *	  Encode tokens as sketches, and prepare queries against sketches
 *	  (RaBitQ).
 *
 *-------------------------------------------------------------------------
 */
#include "codec/sketch.h"

#include <string.h>

#include "base/vec.h"

#define HALF_SIGN 0x8000

/* Compute |o|_1 and |o|^2; n is a multiple of VEC_PARTS. */
static void
both_norms(const float *o, uint32_t n, float *absolute, float *squared)
{
	VecParts a = VEC_ZERO;
	VecParts s = VEC_ZERO;

	for (uint32_t i = 0; i < n; i += VEC_PARTS)
	{
		VecParts x = vec_load(o + i);

		a = vec_plus(a, vec_flip(x, x));
		s = vec_add_products(s, x, x);
	}
	*absolute = vec_total(a);
	*squared = vec_total(s);
}

/*
 * Return the nearest binary16 of a length, but at most the largest finite one.
 * That is also the result for a NaN, which comes from infinities.
 */
static uint16_t
half_saturated(float length)
{
	return kernel_float_to_half(length <= MAX_HALF ? length : MAX_HALF);
}

static inline void
store_half(uint8_t *block, size_t position, uint32_t lane, uint16_t half)
{
	memcpy(block + position + lane * sizeof(half), &half, sizeof(half));
}

void
sketch_encode_lane(const SketchParams *params, const float *token, uint32_t lane, uint8_t *block,
				   float *scratch)
{
	uint32_t padded = params->rotation->padded;
	size_t   factors = (size_t) SKETCH_BLOCK_TOKENS * (padded / 8);
	float    absolute, squared;

	rotation_apply_centred(params->rotation, token, params->mean, scratch);
	for (uint32_t p = 0; p < padded / 8; p++)
		block[(size_t) p * SKETCH_BLOCK_TOKENS + lane] = sketch_sign_byte(scratch + 8 * (size_t) p);

	both_norms(scratch, padded, &absolute, &squared);
	store_half(block, factors, lane, half_saturated(absolute == 0 ? 0 : squared / absolute));
	if (params->has_add)
		store_half(block, factors + SKETCH_BLOCK_TOKENS * sizeof(uint16_t), lane,
				   half_saturated(0.5f * squared) | HALF_SIGN);
}

static inline uint16_t
read_half(const uint8_t *from)
{
	uint16_t half;

	memcpy(&half, from, sizeof(half));
	return half;
}

/* Copy one lane of a block to all lanes after it. */
static void
repeat_lane(const SketchParams *params, uint32_t lane, uint8_t *block)
{
	uint32_t nbytes = params->rotation->padded / 8;
	uint8_t *half = block + (size_t) SKETCH_BLOCK_TOKENS * nbytes;

	for (uint32_t p = 0; p < nbytes; p++)
	{
		uint8_t *row = block + (size_t) p * SKETCH_BLOCK_TOKENS;

		memset(row + lane + 1, row[lane], SKETCH_BLOCK_TOKENS - 1 - lane);
	}
	for (int part = 0; part < (params->has_add ? 2 : 1); part++)
	{
		for (uint32_t i = lane + 1; i < SKETCH_BLOCK_TOKENS; i++)
			memcpy(half + i * sizeof(uint16_t), half + lane * sizeof(uint16_t), sizeof(uint16_t));
		half += SKETCH_BLOCK_TOKENS * sizeof(uint16_t);
	}
}

void
sketch_encode_block(const SketchParams *params, const float *tokens, uint32_t n, uint8_t *block,
					float *scratch)
{
	for (uint32_t i = 0; i < n; i++)
		sketch_encode_lane(params, tokens + (size_t) i * params->rotation->dim, i, block, scratch);
	repeat_lane(params, n - 1, block);
}

void
sketch_encode_row(const SketchParams *params, const float *token, uint8_t *row, uint8_t *block,
				  float *scratch)
{
	size_t nsigns = params->rotation->padded / 8;

	sketch_encode_lane(params, token, 0, block, scratch);
	for (size_t k = 0; k < nsigns; k++)
		row[k] = block[k * SKETCH_BLOCK_TOKENS];
	for (size_t k = nsigns; k < sketch_row_size(params); k += sizeof(uint16_t))
		memcpy(row + k, block + k * SKETCH_BLOCK_TOKENS, sizeof(uint16_t));
}

void
sketch_row_to_lane(const SketchParams *params, const uint8_t *row, uint32_t lane, uint8_t *block)
{
	size_t nsigns = params->rotation->padded / 8;
	size_t size = sketch_row_size(params);

	/* padded is a multiple of 32: four bytes at a time. */
	for (size_t k = 0; k < nsigns; k += sizeof(uint32_t))
	{
		uint8_t *out = block + k * SKETCH_BLOCK_TOKENS + lane;
		uint8_t  in[sizeof(uint32_t)];

		memcpy(in, row + k, sizeof(in));
		out[0] = in[0];
		out[SKETCH_BLOCK_TOKENS] = in[1];
		out[2 * SKETCH_BLOCK_TOKENS] = in[2];
		out[3 * SKETCH_BLOCK_TOKENS] = in[3];
	}
	for (size_t k = nsigns; k < size; k += sizeof(uint16_t))
		store_half(block, k * SKETCH_BLOCK_TOKENS, lane, read_half(row + k));
}

size_t
sketch_query_size(const SketchParams *params, uint32_t ntokens)
{
	return kernel_sketch_query_size(ntokens, params->rotation->padded);
}

KernelSketchQuery *
sketch_query_prepare(const SketchParams *params, const float *tokens, uint32_t ntokens,
					 void *memory, float *scratch)
{
	const Rotation *rotation = params->rotation;
	uint32_t        dim = rotation->dim;
	float          *rotated = scratch;
	float          *constant = scratch + (size_t) ntokens * rotation->padded;
	float           shared = 0;

	if (params->has_add)
		shared = 0.5f * vec_squared(params->mean, dim);
	for (uint32_t i = 0; i < ntokens; i++)
	{
		const float *token = tokens + (size_t) i * dim;
		float       *out = rotated + (size_t) i * rotation->padded;

		if (params->has_add)
			rotation_apply_centred(rotation, token, params->mean, out);
		else
			rotation_apply(rotation, token, out);
		constant[i] = vec_dot(token, params->mean, dim) - shared;
	}
	return kernel_sketch_pack(memory, rotated, constant, ntokens, rotation->padded,
							  params->has_add);
}

size_t
sketch_query_recentred_size(uint32_t ntokens)
{
	return sizeof(KernelSketchQuery) + ntokens * sizeof(float);
}

KernelSketchQuery *
sketch_query_recentre(const SketchParams *params, const float *tokens,
					  const KernelSketchQuery *query, void *memory)
{
	KernelSketchQuery *copy = memory;
	uint32_t           dim = params->rotation->dim;

	*copy = *query;
	copy->constant = (float *) (copy + 1);
	for (uint32_t i = 0; i < query->ntokens; i++)
		copy->constant[i] = vec_dot(tokens + (size_t) i * dim, params->mean, dim);
	return copy;
}
