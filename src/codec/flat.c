/*-------------------------------------------------------------------------
 *
 * flat.c
 *	  Rows of float4: [float add if has_add], then dim floats.
 *
 * add is -|x|^2/2. Keys are those of the float kernels, bit for bit.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/codec.h"

#include <string.h>

/* Bytes before the elements. */
static inline size_t
header_size(CodecShape shape)
{
	return shape.has_add ? sizeof(float) : 0;
}

static size_t
flat_row_size(CodecShape shape)
{
	return header_size(shape) + sizeof(float) * (size_t) shape.dim;
}

static void
encode_row(CodecShape shape, const float *token, uint8_t *row)
{
	if (shape.has_add)
	{
		float norm = kernel_norm(token, shape.dim);
		float add = -0.5f * (norm * norm);

		memcpy(row, &add, sizeof(add));
	}
	memcpy(row + header_size(shape), token, sizeof(float) * (size_t) shape.dim);
}

static void
flat_encode(const Coder *coder, const float *tokens, uint32_t n, uint8_t *rows, float *scratch)
{
	for (uint32_t i = 0; i < n; i++)
		encode_row(coder->shape, tokens + (size_t) i * coder->shape.dim,
				   rows + i * flat_row_size(coder->shape));
}

static void
flat_decode(const Coder *coder, const uint8_t *row, float *token, float *scratch)
{
	memcpy(token, row + header_size(coder->shape), sizeof(float) * (size_t) coder->shape.dim);
}

static size_t
flat_query_size(CodecShape shape, uint32_t ntokens)
{
	return kernel_query_size(ntokens, shape.dim);
}

static CodecQuery *
flat_query_prepare(const Coder *coder, const float *tokens, uint32_t ntokens, void *memory)
{
	return (CodecQuery *) kernel_query_pack(memory, tokens, ntokens, coder->shape.dim);
}

static uint32_t
flat_query_slots(const CodecQuery *query)
{
	return kernel_query_slots((const KernelQuery *) query);
}

static void
flat_score_rows(const Coder *coder, const CodecQuery *query, const uint8_t *rows, uint32_t nrows,
				float *best)
{
	CodecShape shape = coder->shape;
	KernelRows run = {
		.rows = rows + header_size(shape),
		.stride = flat_row_size(shape),
		.element = KERNEL_FLOAT4,
		.nrows = nrows,
		.add = shape.has_add ? (const float *) rows : NULL,
		.param_stride = flat_row_size(shape),
	};

	kernels->maxsim_rows((const KernelQuery *) query, &run, best, NULL);
}

const Codec codec_flat = {
	.id = CODEC_FLAT,
	.name = "flat",
	.row_size = flat_row_size,
	.encode = flat_encode,
	.decode = flat_decode,
	.query_size = flat_query_size,
	.query_prepare = flat_query_prepare,
	.query_slots = flat_query_slots,
	.score_rows = flat_score_rows,
};
