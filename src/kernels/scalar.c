/*-------------------------------------------------------------------------
 *
 * scalar.c
 *	  The kernels in plain C: the definition that every other implementation
 *	  must match.
 *
 * Written to be read, not to be fast: it follows the rules of kernels.h line
 * by line. If the build has no instruction for fmaf, the library's function
 * returns the same result.
 *
 *-------------------------------------------------------------------------
 */
#include "kernels/plain.h"

/* Return element k of row i, widened to float. */
static float
row_element(const KernelRows *rows, uint32_t i, uint32_t k)
{
	const uint8_t *row = row_bytes(rows, i);

	switch (rows->element)
	{
		case KERNEL_FLOAT2:
			return kernel_half_to_float(load_uint16(row + (size_t) k * 2));
		case KERNEL_INT8:
			return (float) (int8_t) row[k] * row_param(rows, rows->scale, i, 1.0f);
		default:
			return load_float(row + (size_t) k * 4);
	}
}

/* Compute the keys of one row for the lanes of one group of query tokens. */
static void
row_keys(const KernelQuery *q, const KernelRows *rows, uint32_t i, uint32_t group, float *keys)
{
	const float *pack = q->pack + (size_t) group * q->dim * q->lanes;
	float        mul = row_param(rows, rows->mul, i, 1.0f);
	float        add = row_param(rows, rows->add, i, 0.0f);

	for (uint32_t lane = 0; lane < q->lanes; lane++)
		keys[lane] = 0.0f;
	for (uint32_t k = 0; k < q->dim; k++)
	{
		float d = row_element(rows, i, k);

		for (uint32_t lane = 0; lane < q->lanes; lane++)
			keys[lane] = fmaf(pack[(size_t) k * q->lanes + lane], d, keys[lane]);
	}
	for (uint32_t lane = 0; lane < q->lanes; lane++)
		keys[lane] = fmaf(keys[lane], mul, add);
}

static void
scalar_maxsim_rows(const KernelQuery *q, const KernelRows *rows, float *best, uint32_t *best_row)
{
	for (uint32_t i = 0; i < rows->nrows; i++)
	{
		for (uint32_t group = 0; group < q->ngroups; group++)
		{
			float    keys[16];
			uint32_t slot = group * q->lanes;

			row_keys(q, rows, i, group, keys);
			for (uint32_t lane = 0; lane < q->lanes; lane++, slot++)
			{
				if (!(keys[lane] > best[slot]))
					continue;
				best[slot] = keys[lane];
				if (best_row != NULL)
					best_row[slot] = rows->first + i;
			}
		}
	}
}

static void
scalar_dot_matrix(const KernelQuery *q, const KernelRows *rows, float *out)
{
	for (uint32_t i = 0; i < rows->nrows; i++)
	{
		for (uint32_t group = 0; group < q->ngroups; group++)
			row_keys(q, rows, i, group,
					 out + (size_t) i * kernel_query_slots(q) + group * q->lanes);
	}
}

/* Return the sum of integer products of one row and one slot. */
static int32_t
sq8_dot(const KernelSq8Query *q, uint32_t slot, const uint8_t *codes)
{
	const int8_t *pack = q->pack + (size_t) (slot / 16) * q->dim4 * 16 + (slot % 16) * 4;
	int32_t       sum = -q->correction[slot];

	for (uint32_t k = 0; k < q->dim4; k++)
		sum += (int32_t) codes[k] * pack[(size_t) (k / 4) * 64 + k % 4];
	return sum;
}

static float
sq8_key(const KernelSq8Query *q, uint32_t slot, const uint8_t *row, bool has_add)
{
	float          scale = load_float(row);
	float          add = has_add ? load_float(row + sizeof(float)) : 0.0f;
	const uint8_t *codes = row + sizeof(float) * (has_add ? 2 : 1);

	return fmaf((float) sq8_dot(q, slot, codes), scale * q->scale[slot], add);
}

static void
scalar_sq8_rows(const KernelSq8Query *q, const uint8_t *rows, uint32_t nrows, bool has_add,
				float *best)
{
	size_t row_size = kernel_sq8_row_size(q->dim, has_add);

	for (uint32_t i = 0; i < nrows; i++)
	{
		for (uint32_t slot = 0; slot < kernel_sq8_slots(q); slot++)
		{
			float key = sq8_key(q, slot, rows + i * row_size, has_add);

			if (key > best[slot])
				best[slot] = key;
		}
	}
}

static void
scalar_sq8_keys(const KernelSq8Query *q, const uint8_t *rows, uint32_t nrows, bool has_add,
				float *out)
{
	size_t   row_size = kernel_sq8_row_size(q->dim, has_add);
	uint32_t nslots = kernel_sq8_slots(q);

	for (uint32_t i = 0; i < nrows; i++)
	{
		for (uint32_t slot = 0; slot < nslots; slot++)
			out[(size_t) i * nslots + slot] = sq8_key(q, slot, rows + i * row_size, has_add);
	}
}

static void
scalar_sq4_unpack(const uint8_t *rows, uint32_t nrows, uint32_t dim, bool has_add, uint8_t *out)
{
	uint32_t header = sizeof(float) * (has_add ? 2 : 1);
	uint32_t half = dim / 2;

	for (uint32_t i = 0; i < nrows; i++)
	{
		memcpy(out, rows, header);
		for (uint32_t k = 0; k < half; k++)
		{
			out[header + k] = kernel_sq4_levels[rows[header + k] & 15];
			out[header + half + k] = kernel_sq4_levels[rows[header + k] >> 4];
		}
		rows += kernel_sq4_row_size(dim, has_add);
		out += kernel_sq8_row_size(dim, has_add);
	}
}

static void
scalar_pq_rows(const KernelPqQuery *q, const uint8_t *rows, uint32_t nrows, bool has_add,
			   float *best)
{
	for (uint32_t i = 0; i < nrows; i++, rows += kernel_pq_row_size(q->m, has_add))
	{
		const uint8_t *codes = rows + (has_add ? sizeof(float) : 0);

		for (uint32_t slot = 0; slot < kernel_pq_slots(q); slot++)
		{
			uint32_t lanes = kernel_pq_lanes(q, slot / 16);
			float    key = kernel_pq_table(q, slot / 16, 0)[codes[0] * lanes + slot % 16];

			for (uint32_t s = 1; s < q->m; s++)
				key += kernel_pq_table(q, slot / 16, s)[codes[s] * lanes + slot % 16];
			if (has_add)
				key += load_float(rows);
			if (key > best[slot])
				best[slot] = key;
		}
	}
}

/* Return the sum of a token's table entries for one lane of a block. */
static uint32_t
sketch_total(const KernelSketchQuery *q, uint32_t token, const uint8_t *block, uint32_t lane)
{
	uint32_t total = 0;

	for (uint32_t p = 0; p < q->dim / 8; p++)
	{
		uint8_t        bits = block[(size_t) p * 16 + lane];
		const uint8_t *lut = q->lut + ((size_t) (p / 4) * q->ntokens + token) * SKETCH_LUT_SIZE;
		const uint8_t *low = lut + (p % 4) * 16;

		total += low[bits & 15] + low[64 + (bits >> 4)];
	}
	return total;
}

static void
scalar_sketch_scores(const KernelSketchQuery *q, uint32_t token, const uint8_t *block,
					 float *scores)
{
	const uint8_t *factors = block + (size_t) q->dim * 2;
	const uint8_t *adds = factors + 32;

	for (uint32_t lane = 0; lane < SKETCH_BLOCK_TOKENS; lane++)
	{
		float total = (float) sketch_total(q, token, block, lane);
		float sum = fmaf(q->delta[token], total, q->base[token]);
		float factor = kernel_half_to_float(load_uint16(factors + lane * 2));
		float add = q->has_add ? kernel_half_to_float(load_uint16(adds + lane * 2)) : 0.0f;

		scores[lane] = fmaf(factor, sum, q->constant[token]) + add;
	}
}

static void
scalar_sketch_blocks(const KernelSketchQuery *q, const uint8_t *blocks, uint32_t nblocks,
					 float *state)
{
	size_t block_size = kernel_sketch_block_size(q->dim, q->has_add);

	for (uint32_t b = 0; b < nblocks; b++)
	{
		for (uint32_t token = 0; token < q->ntokens; token++)
		{
			float  scores[SKETCH_BLOCK_TOKENS];
			float *best = state + (size_t) token * SKETCH_BLOCK_TOKENS;

			scalar_sketch_scores(q, token, blocks + b * block_size, scores);
			for (uint32_t lane = 0; lane < SKETCH_BLOCK_TOKENS; lane++)
			{
				if (scores[lane] > best[lane])
					best[lane] = scores[lane];
			}
		}
	}
}

/*
 * Adding zero turns -0 into +0. Otherwise the sign of a zero maximum would
 * depend on the order in which lanes are compared.
 */
static void
scalar_sketch_finish(const KernelSketchQuery *q, const float *state, float *best)
{
	for (uint32_t token = 0; token < q->ntokens; token++)
	{
		const float *lanes = state + (size_t) token * SKETCH_BLOCK_TOKENS;
		float        largest = lanes[0];

		for (uint32_t lane = 1; lane < SKETCH_BLOCK_TOKENS; lane++)
			largest = lanes[lane] > largest ? lanes[lane] : largest;
		best[token] = largest + 0.0f;
	}
}

static void
scalar_half_to_float(const uint16_t *in, float *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = kernel_half_to_float(in[i]);
}

static void
scalar_float_to_half(const float *in, uint16_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = kernel_float_to_half(in[i]);
}

DECLARE_PLAIN_KERNELS(scalar);
DEFINE_PLAIN_KERNELS(scalar)

const KernelOps kernels_scalar = {
	.name = "scalar",
	.maxsim_rows = scalar_maxsim_rows,
	.dot_matrix = scalar_dot_matrix,
	.sq8_rows = scalar_sq8_rows,
	.sq8_keys = scalar_sq8_keys,
	PLAIN_KERNELS(scalar),
	.sq4_unpack = scalar_sq4_unpack,
	.pq_rows = scalar_pq_rows,
	.sketch_blocks = scalar_sketch_blocks,
	.sketch_finish = scalar_sketch_finish,
	.sketch_scores = scalar_sketch_scores,
	.half_to_float = scalar_half_to_float,
	.float_to_half = scalar_float_to_half,
};
