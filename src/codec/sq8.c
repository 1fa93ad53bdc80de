/*-------------------------------------------------------------------------
 *
 * sq8.c
 *	  Rows of int8 with one scale per token, in the layout of the kernels.
 *
 * For L2 a row represents the decoded token x', a point of its own. Its add is
 * -|x'|^2/2, so that keys order by the distance to x'. With -|x|^2/2 the
 * rounding error e = x' - x would enter as <q, e>. This way it is only <q - x,
 * e>, which is small for the near tokens, and these matter.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/codec.h"

#include <string.h>

static size_t
sq8_row_size(CodecShape shape)
{
	return kernel_sq8_row_size(shape.dim, shape.has_add);
}

static void
sq8_decode(const Coder *coder, const uint8_t *row, float *token, float *scratch)
{
	kernel_sq8_decode(row, coder->shape.dim, coder->shape.has_add, token);
}

static void
encode_row(CodecShape shape, const float *token, uint8_t *row)
{
	kernels->sq8_encode(token, shape.dim, shape.has_add, 0.0f, row);
	if (shape.has_add)
	{
		float add = -0.5f * kernels->sq8_squared(row, shape.dim, true);

		memcpy(row + sizeof(float), &add, sizeof(add));
	}
}

static void
sq8_encode(const Coder *coder, const float *tokens, uint32_t n, uint8_t *rows, float *scratch)
{
	for (uint32_t i = 0; i < n; i++)
		encode_row(coder->shape, tokens + (size_t) i * coder->shape.dim,
				   rows + i * sq8_row_size(coder->shape));
}

static size_t
sq8_query_size(CodecShape shape, uint32_t ntokens)
{
	return kernel_sq8_query_size(ntokens, shape.dim);
}

static CodecQuery *
sq8_query_prepare(const Coder *coder, const float *tokens, uint32_t ntokens, void *memory)
{
	return (CodecQuery *) kernel_sq8_pack(memory, tokens, ntokens, coder->shape.dim);
}

static uint32_t
sq8_query_slots(const CodecQuery *query)
{
	return kernel_sq8_slots((const KernelSq8Query *) query);
}

static void
sq8_score_rows(const Coder *coder, const CodecQuery *query, const uint8_t *rows, uint32_t nrows,
			   float *best)
{
	kernels->sq8_rows((const KernelSq8Query *) query, rows, nrows, coder->shape.has_add, best);
}

const Codec codec_sq8 = {
	.id = CODEC_SQ8,
	.name = "sq8",
	.error = 0.006,
	.row_size = sq8_row_size,
	.encode = sq8_encode,
	.decode = sq8_decode,
	.query_size = sq8_query_size,
	.query_prepare = sq8_query_prepare,
	.query_slots = sq8_query_slots,
	.score_rows = sq8_score_rows,
};
