/*-------------------------------------------------------------------------
 *
 * sq4.c
 *	  Rows of four bits per dim of the rotated token, with one scale per
 *	  token.
 *
 * The dims of a rotated token are approximately normally distributed. The 16
 * levels are therefore the Lloyd-Max levels of a normal distribution
 * (kernel_sq4_levels), which have a fifth less error than evenly spaced ones.
 * Codes are fitted to the scale and the scale to the codes in turn; every step
 * can only reduce the squared error.
 *
 * Rows are scored as sq8 rows of the padded dims, into which the kernels
 * unpack them. For L2, add is -|x'|^2/2 of the decoded token, as in sq8.c.
 *
 *-------------------------------------------------------------------------
 */
#include "base/vec.h"
#include "codec/codec.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define FITS 2 /* fits of the scale to the codes: later ones gain little */

/* Standard deviation of the normal distribution that the levels are for, in their units. */
#define LEVEL_DEVIATION 46.0f

/* Bytes of unpacked rows at a time, and bounds for the resulting number of rows. */
#define UNPACKED_BYTES 16384
#define MIN_UNPACKED   16
#define MAX_UNPACKED   96

static size_t
sq4_row_size(CodecShape shape)
{
	return kernel_sq4_row_size(rotation_padded(shape.dim), shape.has_add);
}

static size_t
sq4_scratch_floats(CodecShape shape)
{
	return 3 * (size_t) rotation_padded(shape.dim);
}

/*
 * Divide by the largest magnitude, so that no sum overflows. Returns that
 * magnitude, or 0 without dividing if it is zero or infinite.
 */
static float
normalise(float *x, uint32_t n)
{
	float largest = 0.0f;

	for (uint32_t k = 0; k < n; k++)
		largest = fabsf(x[k]) > largest ? fabsf(x[k]) : largest;
	if (!(largest > 0.0f && largest <= FLT_MAX))
		return 0.0f;
	for (uint32_t k = 0; k < n; k += 4)
		quad_store(x + k, quad_load(x + k) / (Quad) {largest, largest, largest, largest});
	return largest;
}

/* Add a step to the levels of magnitudes at or above a threshold, and 1 to their rank. */
static inline void
step_up(Quad magnitude, float threshold, float step, Quad *level, IntQuad *rank)
{
	IntQuad beyond = magnitude >= (Quad) {threshold, threshold, threshold, threshold};

	*level += (Quad) ((IntQuad) (Quad) {step, step, step, step} & beyond);
	*rank -= beyond;
}

/* Find the level nearest to each x / scale, and its code. */
static void
nearest_levels(const float *x, uint32_t n, float scale, float *levels, int32_t *codes)
{
	const IntQuad sign_bit = {INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN};
	float         inverse = 1.0f / scale;

	for (uint32_t k = 0; k < n; k += 4)
	{
		Quad    scaled = quad_load(x + k) * inverse;
		IntQuad sign = (IntQuad) scaled & sign_bit;
		Quad    magnitude = (Quad) ((IntQuad) scaled & ~sign_bit);
		Quad    level = {6, 6, 6, 6};
		IntQuad rank = {0};

		step_up(magnitude, 12.0f, 12, &level, &rank);
		step_up(magnitude, 24.0f, 12, &level, &rank);
		step_up(magnitude, 36.5f, 13, &level, &rank);
		step_up(magnitude, 50.5f, 15, &level, &rank);
		step_up(magnitude, 66.0f, 16, &level, &rank);
		step_up(magnitude, 84.5f, 21, &level, &rank);
		step_up(magnitude, 110.5f, 31, &level, &rank);
		quad_store(levels + k, (Quad) ((IntQuad) level | sign));
		/* 8 + rank, or 7 - rank for negative values. */
		rank = (rank ^ (sign >> 31)) + 8;
		memcpy(codes + k, &rank, sizeof(rank));
	}
}

/*
 * Compute the codes and levels of x, whose largest magnitude is 1, and return
 * the scale that goes with them. Finishes with the codes, so that each dim has
 * its nearest level.
 */
static float
fit(const float *x, uint32_t n, float *levels, int32_t *codes)
{
	float scale = sqrtf(vec_squared(x, n) / (float) n) / LEVEL_DEVIATION;

	for (int i = 0; i < FITS; i++)
	{
		nearest_levels(x, n, scale, levels, codes);
		scale = vec_dot(x, levels, n) / vec_squared(levels, n);
	}
	nearest_levels(x, n, scale, levels, codes);
	return scale;
}

/*
 * Return |x'|^2 of the decoded token. If dims are padded, rotating back drops
 * a part of it. Overwrites x and levels.
 */
static float
decoded_square(const Rotation *rotation, float scale, float *x, float *levels)
{
	if (rotation->dim == rotation->padded)
		return scale * (scale * vec_squared(levels, rotation->padded));
	for (uint32_t k = 0; k < rotation->padded; k++)
		x[k] = scale * levels[k];
	rotation_revert(rotation, x, levels);
	return vec_squared(levels, rotation->dim);
}

static void
encode_row(const Coder *coder, const float *token, uint8_t *row, float *scratch)
{
	uint32_t padded = coder->rotation->padded;
	float   *x = scratch;
	float   *levels = scratch + padded;
	int32_t *codes = (int32_t *) (scratch + 2 * (size_t) padded);
	float    largest;
	float    scale;

	rotation_apply(coder->rotation, token, x);
	largest = normalise(x, padded);
	if (largest > 0.0f)
		scale = fit(x, padded, levels, codes) * largest;
	else
	{
		scale = 0.0f;
		memset(levels, 0, padded * sizeof(float));
		memset(codes, 0, padded * sizeof(int32_t));
	}

	memcpy(row, &scale, sizeof(float));
	row += sizeof(float);
	if (coder->shape.has_add)
	{
		float add = -0.5f * decoded_square(coder->rotation, scale, x, levels);

		memcpy(row, &add, sizeof(float));
		row += sizeof(float);
	}
	for (uint32_t k = 0; k < padded / 2; k++)
		row[k] = (uint8_t) (codes[k] | codes[k + padded / 2] << 4);
}

static void
sq4_encode(const Coder *coder, const float *tokens, uint32_t n, uint8_t *rows, float *scratch)
{
	for (uint32_t i = 0; i < n; i++)
		encode_row(coder, tokens + (size_t) i * coder->shape.dim,
				   rows + i * sq4_row_size(coder->shape), scratch);
}

static void
sq4_decode(const Coder *coder, const uint8_t *row, float *token, float *scratch)
{
	uint32_t       padded = coder->rotation->padded;
	const uint8_t *codes = row + sizeof(float) * (coder->shape.has_add ? 2 : 1);
	float          scale;

	memcpy(&scale, row, sizeof(float));
	for (uint32_t k = 0; k < padded / 2; k++)
	{
		scratch[k] = scale * (float) (kernel_sq4_levels[codes[k] & 15] - SQ8_BIAS);
		scratch[k + padded / 2] = scale * (float) (kernel_sq4_levels[codes[k] >> 4] - SQ8_BIAS);
	}
	rotation_revert(coder->rotation, scratch, token);
}

/* ---- Queries ---- */

/* The query as for sq8, and room for rows unpacked for it. */
typedef struct Sq4Query
{
	KernelSq8Query *tokens;
	uint8_t        *rows;
	uint32_t        most_rows;
} Sq4Query;

static uint32_t
most_unpacked(uint32_t padded)
{
	uint32_t rows = UNPACKED_BYTES / (uint32_t) kernel_sq8_row_size(padded, true);

	return rows < MIN_UNPACKED ? MIN_UNPACKED : rows > MAX_UNPACKED ? MAX_UNPACKED : rows;
}

/*
 * Return the bytes between the Sq4Query and the packed query. They hold the
 * rotated tokens and, later, unpacked rows.
 */
static size_t
shared_bytes(uint32_t padded, uint32_t ntokens)
{
	size_t rotated = sizeof(float) * (size_t) padded * ntokens;
	size_t rows = most_unpacked(padded) * kernel_sq8_row_size(padded, true);

	return ((rotated > rows ? rotated : rows) + 63) & ~(size_t) 63;
}

static size_t
sq4_query_size(CodecShape shape, uint32_t ntokens)
{
	uint32_t padded = rotation_padded(shape.dim);
	size_t   packed = kernel_sq8_query_size(ntokens, padded);

	return packed > SIZE_MAX / 8 ? SIZE_MAX
								 : sizeof(Sq4Query) + 64 + shared_bytes(padded, ntokens) + packed;
}

static CodecQuery *
sq4_query_prepare(const Coder *coder, const float *tokens, uint32_t ntokens, void *memory)
{
	Sq4Query *q = memory;
	uint32_t  padded = coder->rotation->padded;
	float    *rotated = (float *) (((uintptr_t) (q + 1) + 63) & ~(uintptr_t) 63);

	for (uint32_t i = 0; i < ntokens; i++)
		rotation_apply(coder->rotation, tokens + (size_t) i * coder->shape.dim,
					   rotated + (size_t) i * padded);
	q->rows = (uint8_t *) rotated;
	q->most_rows = most_unpacked(padded);
	q->tokens = kernel_sq8_pack(q->rows + shared_bytes(padded, ntokens), rotated, ntokens, padded);
	return (CodecQuery *) q;
}

static uint32_t
sq4_query_slots(const CodecQuery *query)
{
	return kernel_sq8_slots(((const Sq4Query *) query)->tokens);
}

static void
sq4_score_rows(const Coder *coder, const CodecQuery *query, const uint8_t *rows, uint32_t nrows,
			   float *best)
{
	const Sq4Query *q = (const Sq4Query *) query;
	uint32_t        padded = coder->rotation->padded;
	bool            has_add = coder->shape.has_add;
	uint32_t        nruns = (nrows + q->most_rows - 1) / q->most_rows;

	/* Divide the rows into runs of nearly equal length. */
	for (; nruns > 0; nruns--)
	{
		uint32_t n = (nrows + nruns - 1) / nruns;

		kernels->sq4_unpack(rows, n, padded, has_add, q->rows);
		kernels->sq8_rows(q->tokens, q->rows, n, has_add, best);
		rows += n * kernel_sq4_row_size(padded, has_add);
		nrows -= n;
	}
}

const Codec codec_sq4 = {
	.id = CODEC_SQ4,
	.name = "sq4",
	.error = 0.1,
	.coarse = true,
	.row_size = sq4_row_size,
	.scratch_floats = sq4_scratch_floats,
	.encode = sq4_encode,
	.decode = sq4_decode,
	.query_size = sq4_query_size,
	.query_prepare = sq4_query_prepare,
	.query_slots = sq4_query_slots,
	.score_rows = sq4_score_rows,
};
