/*-------------------------------------------------------------------------
 *
 * plain.h
 *	  Kernels in plain C that the compiler vectorizes. The file of each
 *	  instruction set includes its own copy.
 *
 * Inside each loop over the data is a loop of constant length, so that the
 * compiler can vectorize without changing any result.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_KERNELS_PLAIN_H
#define COLBERT_KERNELS_PLAIN_H

#include "kernels/internal.h"

/* ---- Encoding sq8 rows ---- */

#define MAX_SQ8   127
#define SQ8_LANES 16

KERNEL_INLINE float
sq8_scale(const float *token, uint32_t dim)
{
	float  largest[SQ8_LANES] = {0};
	size_t k = 0;

	for (; k + SQ8_LANES <= dim; k += SQ8_LANES)
		for (size_t j = 0; j < SQ8_LANES; j++)
			largest[j] = fabsf(token[k + j]) > largest[j] ? fabsf(token[k + j]) : largest[j];
	for (; k < dim; k++)
		largest[0] = fabsf(token[k]) > largest[0] ? fabsf(token[k]) : largest[0];
	for (int j = 1; j < SQ8_LANES; j++)
		largest[0] = largest[j] > largest[0] ? largest[j] : largest[0];
	return largest[0] / MAX_SQ8;
}

/*
 * Return the code of x as stored in a row: x / scale rounded to nearest even,
 * + 128. A subnormal scale is so coarse that the quotient can exceed 127.
 */
KERNEL_INLINE uint8_t
sq8_code(float x, float scale)
{
	const float round_to_integer = 0x1.8p23f;
	float       code = x / scale;

	code = code > MAX_SQ8 ? MAX_SQ8 : code < -MAX_SQ8 ? -MAX_SQ8 : code == code ? code : 0.0f;
	return (uint8_t) ((int32_t) ((code + round_to_integer) - round_to_integer) + SQ8_BIAS);
}

/* Encode one row. A zero token has scale 0 and zero codes. */
KERNEL_INLINE void
plain_sq8_encode(const float *token, uint32_t dim, bool has_add, float add, uint8_t *row)
{
	float  scale = sq8_scale(token, dim);
	size_t padded = ((size_t) dim + 3) & ~(size_t) 3;
	size_t k = 0;

	memcpy(row, &scale, sizeof(float));
	row += sizeof(float);
	if (has_add)
	{
		memcpy(row, &add, sizeof(float));
		row += sizeof(float);
	}
	if (!(scale > 0.0f))
	{
		memset(row, SQ8_BIAS, padded);
		return;
	}
	for (; k + SQ8_LANES <= dim; k += SQ8_LANES)
		for (size_t j = 0; j < SQ8_LANES; j++)
			row[k + j] = sq8_code(token[k + j], scale);
	for (; k < dim; k++)
		row[k] = sq8_code(token[k], scale);
	memset(row + dim, SQ8_BIAS, padded - dim);
}

KERNEL_INLINE float
plain_sq8_squared(const uint8_t *row, uint32_t dim, bool has_add)
{
	const uint8_t *codes = row + sizeof(float) * (has_add ? 2 : 1);
	float          scale = load_float(row);
	int32_t        sums[SQ8_LANES] = {0};
	size_t         k = 0;

	for (; k + SQ8_LANES <= dim; k += SQ8_LANES)
		for (size_t j = 0; j < SQ8_LANES; j++)
			sums[j] += (codes[k + j] - SQ8_BIAS) * (codes[k + j] - SQ8_BIAS);
	for (; k < dim; k++)
		sums[0] += (codes[k] - SQ8_BIAS) * (codes[k] - SQ8_BIAS);
	for (int j = 1; j < SQ8_LANES; j++)
		sums[0] += sums[j];
	return scale * (scale * (float) sums[0]);
}

/* ---- Lengths ---- */

#define NORM_ROWS 8

/* Rows side by side hide the latency of the fused operations, whose order is fixed. */
KERNEL_INLINE void
plain_norms(const float *tokens, uint32_t n, uint32_t dim, float *norms)
{
	uint32_t t = 0;

	for (; t + NORM_ROWS <= n; t += NORM_ROWS)
	{
		const float *rows = tokens + (size_t) t * dim;
		float        sums[NORM_ROWS] = {0};

		for (size_t k = 0; k < dim; k++)
			for (size_t j = 0; j < NORM_ROWS; j++)
				sums[j] = fmaf(rows[j * dim + k], rows[j * dim + k], sums[j]);
		for (size_t j = 0; j < NORM_ROWS; j++)
			norms[t + j] = sqrtf(sums[j]);
	}
	for (; t < n; t++)
		norms[t] = kernel_norm(tokens + (size_t) t * dim, dim);
}

/* ---- Scanning keys: rows of nslots floats, nslots being a multiple of 16 ---- */

#define KEY_LANES     16
#define MAX_KEY_LANES 64

/* lanes is constant at every call: this many comparison chains run side by side. */
KERNEL_INLINE void
max_lanes(const float *keys, uint32_t nrows, uint32_t nslots, float *largest, const size_t lanes)
{
	float most[MAX_KEY_LANES];

	for (size_t j = 0; j < lanes; j++)
		most[j] = largest[j];
	for (size_t row = 0; row < nrows; row++)
	{
		const float *of_row = keys + row * nslots;

		for (size_t j = 0; j < lanes; j++)
			most[j] = of_row[j] > most[j] ? of_row[j] : most[j];
	}
	for (size_t j = 0; j < lanes; j++)
		largest[j] = most[j];
}

KERNEL_INLINE void
plain_keys_max(const float *keys, uint32_t nrows, uint32_t nslots, float *largest)
{
	size_t slot = 0;

	for (; slot + MAX_KEY_LANES <= nslots; slot += MAX_KEY_LANES)
		max_lanes(keys + slot, nrows, nslots, largest + slot, MAX_KEY_LANES);
	for (; slot < nslots; slot += KEY_LANES)
		max_lanes(keys + slot, nrows, nslots, largest + slot, KEY_LANES);
}

KERNEL_INLINE uint32_t
plain_keys_at_least(const float *keys, uint32_t nrows, uint32_t nslots, const float *least,
					uint32_t *rows)
{
	uint32_t nreaching = 0;

	for (uint32_t row = 0; row < nrows; row++, keys += nslots)
	{
		int32_t reaching[KEY_LANES] = {0};

		for (size_t slot = 0; slot < nslots; slot += KEY_LANES)
			for (size_t j = 0; j < KEY_LANES; j++)
				reaching[j] |= keys[slot + j] < least[slot + j] ? 0 : -1;
		for (size_t half = KEY_LANES / 2; half > 0; half /= 2)
			for (size_t j = 0; j < half; j++)
				reaching[j] |= reaching[j + half];
		rows[nreaching] = row;
		nreaching += reaching[0] != 0;
	}
	return nreaching;
}

/*
 * DEFINE_PLAIN_KERNELS defines the functions of one instruction set, with
 * names that begin with prefix. DECLARE_PLAIN_KERNELS declares them, and
 * PLAIN_KERNELS initializes their members of KernelOps.
 */
#define DEFINE_PLAIN_KERNELS(prefix)                                                           \
	void prefix##_sq8_encode(const float *token, uint32_t dim, bool has_add, float add,        \
							 uint8_t *row)                                                     \
	{                                                                                          \
		plain_sq8_encode(token, dim, has_add, add, row);                                       \
	}                                                                                          \
	float prefix##_sq8_squared(const uint8_t *row, uint32_t dim, bool has_add)                 \
	{                                                                                          \
		return plain_sq8_squared(row, dim, has_add);                                           \
	}                                                                                          \
	void prefix##_norms(const float *tokens, uint32_t n, uint32_t dim, float *norms)           \
	{                                                                                          \
		plain_norms(tokens, n, dim, norms);                                                    \
	}                                                                                          \
	void prefix##_keys_max(const float *keys, uint32_t nrows, uint32_t nslots, float *largest) \
	{                                                                                          \
		plain_keys_max(keys, nrows, nslots, largest);                                          \
	}                                                                                          \
	uint32_t prefix##_keys_at_least(const float *keys, uint32_t nrows, uint32_t nslots,        \
									const float *least, uint32_t *rows)                        \
	{                                                                                          \
		return plain_keys_at_least(keys, nrows, nslots, least, rows);                          \
	}

#define DECLARE_PLAIN_KERNELS(prefix)                                                              \
	extern void     prefix##_sq8_encode(const float *token, uint32_t dim, bool has_add, float add, \
										uint8_t *row);                                             \
	extern float    prefix##_sq8_squared(const uint8_t *row, uint32_t dim, bool has_add);          \
	extern void     prefix##_norms(const float *tokens, uint32_t n, uint32_t dim, float *norms);   \
	extern void     prefix##_keys_max(const float *keys, uint32_t nrows, uint32_t nslots,          \
									  float *largest);                                             \
	extern uint32_t prefix##_keys_at_least(const float *keys, uint32_t nrows, uint32_t nslots,     \
										   const float *least, uint32_t *rows)

#define PLAIN_KERNELS(prefix)                                               \
	.sq8_encode = prefix##_sq8_encode, .sq8_squared = prefix##_sq8_squared, \
	.norms = prefix##_norms, .keys_max = prefix##_keys_max,                 \
	.keys_at_least = prefix##_keys_at_least

#endif /* COLBERT_KERNELS_PLAIN_H */
