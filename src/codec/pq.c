/*-------------------------------------------------------------------------
 *
 * pq.c
 *	  Product quantization (Jegou, Douze and Schmid 2011) of rotated tokens.
 *
 * The padded dims are divided into pq_m parts of nearly equal width. Each part
 * is encoded as the nearest of 256 centroids, in one byte. The rotation makes
 * all parts alike, so none deserves more bits than another.
 *
 * Rows are scored by tables, one per part, of the inner products of the query
 * tokens with all centroids. For L2, add is -|x'|^2/2 of the decoded token. If
 * no dims are padded, that is a sum over its centroids.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/pq.h"

#include <math.h>
#include <string.h>

#include "base/vec.h"
#include "codec/codec.h"

/* Tokens encoded at a time, and tokens of a query prepared at a time. */
#define BATCH 64
#define GROUP 16

static size_t
pq_row_size(CodecShape shape)
{
	return kernel_pq_row_size(shape.pq_m, shape.has_add);
}

static size_t
pq_codebook_floats(CodecShape shape)
{
	return PQ_CENTROIDS * ((size_t) rotation_padded(shape.dim) + shape.pq_m);
}

/* Return the floats of the widest part. */
static uint32_t
widest_part(CodecShape shape)
{
	return (rotation_padded(shape.dim) + shape.pq_m - 1) / shape.pq_m;
}

/* Return the floats of memory to pack one part of n tokens. */
static size_t
packed_floats(CodecShape shape, uint32_t n)
{
	return (kernel_query_size(n, widest_part(shape)) + sizeof(float) - 1) / sizeof(float);
}

/* ---- Encoding ---- */

/*
 * Return the floats of a batch's rotated tokens, one part of them, that part
 * packed, keys and codes.
 */
static size_t
pq_scratch_floats(CodecShape shape)
{
	return BATCH * ((size_t) rotation_padded(shape.dim) + widest_part(shape) + 2) +
		   packed_floats(shape, BATCH);
}

/* Copy one part of n rotated tokens to 'to', one after another, and pack it. */
static KernelQuery *
pack_part(PqPart part, const float *rotated, uint32_t padded, uint32_t n, float *to, void *memory)
{
	for (uint32_t i = 0; i < n; i++)
		memcpy(to + (size_t) i * part.width, rotated + (size_t) i * padded + part.start,
			   part.width * sizeof(float));
	return kernel_query_pack(memory, to, n, part.width);
}

static void
pq_decode(const Coder *coder, const uint8_t *row, float *token, float *scratch)
{
	CodecShape     shape = coder->shape;
	const uint8_t *codes = row + pq_row_size(shape) - shape.pq_m;

	for (uint32_t s = 0; s < shape.pq_m; s++)
	{
		PqPart part = pq_part(shape, coder->codebooks, s);

		memcpy(scratch + part.start, pq_centroid(part, codes[s]), part.width * sizeof(float));
	}
	rotation_revert(coder->rotation, scratch, token);
}

/*
 * Return -|x'|^2/2 of the decoded token, which differs from that of the
 * centroids if dims are padded. scratch has room for two rotated tokens.
 */
static float
decoded_add(const Coder *coder, const uint8_t *row, float *scratch)
{
	float *token = scratch + coder->rotation->padded;

	pq_decode(coder, row, token, scratch);
	return -0.5f * vec_squared(token, coder->shape.dim);
}

/* Encode up to BATCH tokens: their codes and addends. */
static void
encode_batch(const Coder *coder, const float *tokens, uint32_t n, uint8_t *rows, float *scratch)
{
	CodecShape shape = coder->shape;
	uint32_t   padded = coder->rotation->padded;
	size_t     row_size = pq_row_size(shape);
	float     *rotated = scratch;
	float     *keys = rotated + (size_t) BATCH * padded;
	uint32_t  *codes = (uint32_t *) (keys + BATCH);
	float     *piece = (float *) (codes + BATCH);
	float     *memory = piece + (size_t) BATCH * widest_part(shape);
	float      add[BATCH] = {0};

	for (uint32_t i = 0; i < n; i++)
		rotation_apply(coder->rotation, tokens + (size_t) i * shape.dim,
					   rotated + (size_t) i * padded);
	for (uint32_t s = 0; s < shape.pq_m; s++)
	{
		PqPart part = pq_part(shape, coder->codebooks, s);

		pq_nearest(part, pack_part(part, rotated, padded, n, piece, memory), keys, codes);
		for (uint32_t i = 0; i < n; i++)
		{
			rows[i * row_size + row_size - shape.pq_m + s] = (uint8_t) codes[i];
			add[i] += pq_add(part, codes[i]);
		}
	}
	for (uint32_t i = 0; shape.has_add && i < n; i++)
	{
		if (shape.dim != padded)
			add[i] = decoded_add(coder, rows + i * row_size, rotated);
		memcpy(rows + i * row_size, &add[i], sizeof(float));
	}
}

static void
pq_encode(const Coder *coder, const float *tokens, uint32_t n, uint8_t *rows, float *scratch)
{
	for (uint32_t first = 0; first < n; first += BATCH)
		encode_batch(coder, tokens + (size_t) first * coder->shape.dim,
					 n - first < BATCH ? n - first : BATCH,
					 rows + first * pq_row_size(coder->shape), scratch);
}

/* ---- Queries ---- */

/* Return the bytes of the tables and of scratch for one group of tokens. */
static size_t
pq_query_size(CodecShape shape, uint32_t ntokens)
{
	size_t tables = kernel_pq_query_size(ntokens, shape.pq_m);
	size_t scratch = GROUP * ((size_t) rotation_padded(shape.dim) + widest_part(shape)) +
					 packed_floats(shape, GROUP);

	return tables > SIZE_MAX / 2 ? SIZE_MAX : tables + scratch * sizeof(float);
}

static CodecQuery *
pq_query_prepare(const Coder *coder, const float *tokens, uint32_t ntokens, void *memory)
{
	CodecShape     shape = coder->shape;
	uint32_t       padded = coder->rotation->padded;
	KernelPqQuery *q = kernel_pq_lay_out(memory, ntokens, shape.pq_m);
	float *rotated = (float *) ((char *) memory + kernel_pq_query_size(ntokens, shape.pq_m));
	float *piece = rotated + (size_t) GROUP * padded;
	float *packed = piece + (size_t) GROUP * widest_part(shape);

	for (uint32_t group = 0; group < q->ngroups; group++)
	{
		uint32_t n = group + 1 < q->ngroups ? GROUP : (ntokens - 1) % GROUP + 1;

		for (uint32_t i = 0; i < n; i++)
			rotation_apply(coder->rotation, tokens + (size_t) (group * GROUP + i) * shape.dim,
						   rotated + (size_t) i * padded);
		for (uint32_t s = 0; s < shape.pq_m; s++)
		{
			PqPart     part = pq_part(shape, coder->codebooks, s);
			KernelRows rows = {
				.rows = part.centroids, .stride = pq_stride(part), .nrows = PQ_CENTROIDS};

			kernels->dot_matrix(pack_part(part, rotated, padded, n, piece, packed), &rows,
								kernel_pq_table(q, group, s));
		}
	}
	return (CodecQuery *) q;
}

static uint32_t
pq_query_slots(const CodecQuery *query)
{
	return kernel_pq_slots((const KernelPqQuery *) query);
}

static void
pq_score_rows(const Coder *coder, const CodecQuery *query, const uint8_t *rows, uint32_t nrows,
			  float *best)
{
	kernels->pq_rows((const KernelPqQuery *) query, rows, nrows, coder->shape.has_add, best);
}

const Codec codec_pq = {
	.id = CODEC_PQ,
	.name = "pq",
	.error = 0.25,
	.coarse = true,
	.row_size = pq_row_size,
	.codebook_floats = pq_codebook_floats,
	.train = pq_train,
	.scratch_floats = pq_scratch_floats,
	.encode = pq_encode,
	.decode = pq_decode,
	.query_size = pq_query_size,
	.query_prepare = pq_query_prepare,
	.query_slots = pq_query_slots,
	.score_rows = pq_score_rows,
};
