/*-------------------------------------------------------------------------
 *
 * pack.c
 *	  Pack queries for the kernels, and decode sq8 rows.
 *
 * One portable version serves all instruction sets and is compiled without
 * their flags: a query is packed once and then scores thousands of documents.
 * All arithmetic is exactly defined, so a query or a row packs to the same
 * bytes on every machine.
 *
 *-------------------------------------------------------------------------
 */
#include <float.h>

#include "base/prefetch.h"
#include "base/quad.h"
#include "kernels/internal.h"

#define PACK_ALIGNMENT 64

/* Multiply and add with saturation at SIZE_MAX. */
static size_t
mul_saturated(size_t a, size_t b)
{
	size_t result;

	return __builtin_mul_overflow(a, b, &result) ? SIZE_MAX : result;
}

static size_t
add_saturated(size_t a, size_t b)
{
	size_t result;

	return __builtin_add_overflow(a, b, &result) ? SIZE_MAX : result;
}

static char *
align_up(void *p)
{
	return (char *) (((uintptr_t) p + PACK_ALIGNMENT - 1) & ~(uintptr_t) (PACK_ALIGNMENT - 1));
}

static uint32_t
groups_of(uint32_t n, uint32_t size)
{
	return n / size + (n % size != 0);
}

/* ------------------------------------------------------------------------
 * Float queries
 * ------------------------------------------------------------------------
 */

static uint32_t
query_lanes(uint32_t ntokens)
{
	return ntokens <= 4 ? 4 : ntokens <= 8 ? 8 : 16;
}

static size_t
query_pack_floats(uint32_t ntokens, uint32_t dim)
{
	uint32_t lanes = query_lanes(ntokens);

	return mul_saturated((size_t) groups_of(ntokens, lanes) * lanes, dim);
}

size_t
kernel_query_size(uint32_t ntokens, uint32_t dim)
{
	size_t floats = add_saturated(query_pack_floats(ntokens, dim),
								  KERNEL_SCRATCH_ROWS * kernel_scratch_stride(dim));

	/* The struct, alignment of pack, and alignment of scratch after pack. */
	return add_saturated(mul_saturated(floats, sizeof(float)),
						 sizeof(KernelQuery) + 2 * PACK_ALIGNMENT);
}

/*
 * Transpose four elements of four tokens, which are dim apart, into four
 * places that are lanes floats apart.
 */
static inline void
pack_square(const float *tokens, size_t dim, float *out, size_t lanes)
{
	Quad a = quad_load(tokens);
	Quad b = quad_load(tokens + dim);
	Quad c = quad_load(tokens + 2 * dim);
	Quad d = quad_load(tokens + 3 * dim);
	Quad ab = quad_shuffle(a, b, 0, 4, 1, 5);
	Quad cd = quad_shuffle(c, d, 0, 4, 1, 5);

	quad_store(out, quad_shuffle(ab, cd, 0, 1, 4, 5));
	quad_store(out + lanes, quad_shuffle(ab, cd, 2, 3, 6, 7));
	ab = quad_shuffle(a, b, 2, 6, 3, 7);
	cd = quad_shuffle(c, d, 2, 6, 3, 7);
	quad_store(out + 2 * lanes, quad_shuffle(ab, cd, 0, 1, 4, 5));
	quad_store(out + 3 * lanes, quad_shuffle(ab, cd, 2, 3, 6, 7));
}

/* Pack n tokens (n <= lanes) side by side; lanes without a token are zero. */
static void
pack_group(const float *tokens, uint32_t n, uint32_t dim, float *out, uint32_t lanes)
{
	uint32_t quads = n / 4 * 4;
	uint32_t squares = dim / 4 * 4;

	if (n < lanes)
		memset(out, 0, sizeof(float) * lanes * dim);
	for (uint32_t lane = 0; lane < quads; lane += 4)
		for (uint32_t k = 0; k < squares; k += 4)
			pack_square(tokens + (size_t) lane * dim + k, dim, out + (size_t) k * lanes + lane,
						lanes);
	for (uint32_t lane = 0; lane < n; lane++)
		for (uint32_t k = lane < quads ? squares : 0; k < dim; k++)
			out[(size_t) k * lanes + lane] = tokens[(size_t) lane * dim + k];
}

KernelQuery *
kernel_query_pack(void *memory, const float *tokens, uint32_t ntokens, uint32_t dim)
{
	KernelQuery *q = memory;
	size_t       packed = query_pack_floats(ntokens, dim);

	q->ntokens = ntokens;
	q->dim = dim;
	q->lanes = query_lanes(ntokens);
	q->ngroups = groups_of(ntokens, q->lanes);
	q->pack = (float *) align_up(q + 1);
	q->scratch = (float *) align_up(q->pack + packed);

	for (uint32_t first = 0; first < ntokens; first += q->lanes)
	{
		uint32_t n = ntokens - first < q->lanes ? ntokens - first : q->lanes;

		pack_group(tokens + (size_t) first * dim, n, dim, q->pack + (size_t) first * dim, q->lanes);
	}
	return q;
}

float
kernel_norm(const float *x, uint32_t dim)
{
	float sum = 0.0f;

	for (uint32_t k = 0; k < dim; k++)
		sum = fmaf(x[k], x[k], sum);
	return sqrtf(sum);
}

/* ------------------------------------------------------------------------
 * sq8: symmetric, one scale per token
 * ------------------------------------------------------------------------
 */

size_t
kernel_sq8_query_size(uint32_t ntokens, uint32_t dim)
{
	size_t slots = (size_t) groups_of(ntokens, 16) * 16;
	size_t codes = mul_saturated(slots, ((size_t) dim + 3) & ~(size_t) 3);
	size_t params = mul_saturated(slots, sizeof(int32_t) + sizeof(float));

	/* Plus one row, into which kernel_sq8_pack encodes each token. */
	params = add_saturated(params, kernel_sq8_row_size(dim, false));
	return add_saturated(add_saturated(codes, params), sizeof(KernelSq8Query) + PACK_ALIGNMENT);
}

static KernelSq8Query *
sq8_lay_out(void *memory, uint32_t ntokens, uint32_t dim)
{
	KernelSq8Query *q = memory;
	uint32_t        slots;

	q->ntokens = ntokens;
	q->dim = dim;
	q->dim4 = (dim + 3) & ~(uint32_t) 3;
	q->ngroups = groups_of(ntokens, 16);
	slots = kernel_sq8_slots(q);
	q->pack = (int8_t *) align_up(q + 1);
	q->correction = (int32_t *) (q->pack + (size_t) slots * q->dim4);
	q->scale = (float *) (q->correction + slots);
	return q;
}

/* Return the sum of eight bytes. */
static inline int32_t
sum_of_bytes(uint64_t bytes)
{
	const uint64_t even = UINT64_C(0x00FF00FF00FF00FF);

	return (int32_t) (((bytes & even) + (bytes >> 8 & even)) * UINT64_C(0x0001000100010001) >> 48);
}

/* Put the codes of a row into a slot: each next four dims go 64 bytes further. */
static void
sq8_put(KernelSq8Query *q, uint32_t slot, const uint8_t *row, const uint8_t *codes)
{
	const uint64_t bias = UINT64_C(0x0101010101010101) * SQ8_BIAS;
	int8_t        *out = q->pack + (size_t) (slot / 16) * q->dim4 * 16 + (slot % 16) * 4;
	int32_t        sum = 0;
	size_t         k = 0;

	for (; k + 8 <= q->dim4; k += 8)
	{
		uint64_t eight;
		uint32_t fours[2];

		memcpy(&eight, codes + k, 8);
		sum += sum_of_bytes(eight);
		eight ^= bias;
		memcpy(fours, &eight, 8);
		memcpy(out + k * 16, &fours[0], 4);
		memcpy(out + (k + 4) * 16, &fours[1], 4);
	}
	if (k < q->dim4)
	{
		uint32_t four;

		memcpy(&four, codes + k, 4);
		sum += sum_of_bytes(four);
		four ^= (uint32_t) bias;
		memcpy(out + k * 16, &four, 4);
	}
	q->correction[slot] = SQ8_BIAS * (sum - SQ8_BIAS * (int32_t) q->dim4);
	q->scale[slot] = load_float(row);
}

/* Zero the slots without a token. */
static void
sq8_clear(KernelSq8Query *q, uint32_t first)
{
	for (uint32_t slot = first; slot < kernel_sq8_slots(q); slot++)
	{
		int8_t *out = q->pack + (size_t) (slot / 16) * q->dim4 * 16 + (slot % 16) * 4;

		for (uint32_t k = 0; k < q->dim4; k += 4)
			memset(out + (size_t) k * 16, 0, 4);
		q->correction[slot] = 0;
		q->scale[slot] = 0;
	}
}

KernelSq8Query *
kernel_sq8_pack(void *memory, const float *tokens, uint32_t ntokens, uint32_t dim)
{
	KernelSq8Query *q = sq8_lay_out(memory, ntokens, dim);
	uint8_t        *row = (uint8_t *) (q->scale + kernel_sq8_slots(q));

	for (uint32_t slot = 0; slot < ntokens; slot++)
	{
		kernels->sq8_encode(tokens + (size_t) slot * dim, dim, false, 0, row);
		sq8_put(q, slot, row, row + sizeof(float));
	}
	sq8_clear(q, ntokens);
	return q;
}

/* Rows to prefetch ahead of the one being packed; they are scattered in memory. */
#define PREFETCH_ROWS 4

KernelSq8Query *
kernel_sq8_pack_rows(void *memory, const uint8_t *const *rows, uint32_t ntokens, uint32_t dim,
					 bool has_add)
{
	KernelSq8Query *q = sq8_lay_out(memory, ntokens, dim);

	for (uint32_t slot = 0; slot < ntokens; slot++)
	{
		if (slot + PREFETCH_ROWS < ntokens)
			prefetch_bytes(rows[slot + PREFETCH_ROWS], kernel_sq8_row_size(dim, has_add));
		sq8_put(q, slot, rows[slot], rows[slot] + sizeof(float) * (has_add ? 2 : 1));
	}
	sq8_clear(q, ntokens);
	return q;
}

void
kernel_sq8_decode(const uint8_t *row, uint32_t dim, bool has_add, float *token)
{
	float          scale = load_float(row);
	const uint8_t *codes = row + sizeof(float) * (has_add ? 2 : 1);

	for (uint32_t k = 0; k < dim; k++)
		token[k] = (float) (codes[k] - SQ8_BIAS) * scale;
}

/* ------------------------------------------------------------------------
 * pq
 * ------------------------------------------------------------------------
 */

size_t
kernel_pq_query_size(uint32_t ntokens, uint32_t m)
{
	size_t entries =
		mul_saturated(mul_saturated(groups_of(ntokens, 16) * (size_t) 16, m), PQ_CENTROIDS);

	return add_saturated(mul_saturated(entries, sizeof(float)),
						 sizeof(KernelPqQuery) + PACK_ALIGNMENT);
}

KernelPqQuery *
kernel_pq_lay_out(void *memory, uint32_t ntokens, uint32_t m)
{
	KernelPqQuery *q = memory;

	q->ntokens = ntokens;
	q->m = m;
	q->ngroups = groups_of(ntokens, 16);
	q->last_lanes = query_lanes((ntokens - 1) % 16 + 1);
	q->tables = (float *) align_up(q + 1);
	return q;
}

/* ------------------------------------------------------------------------
 * Sketches
 * ------------------------------------------------------------------------
 */

#define MAX_SKETCH_TOTAL 65535

size_t
kernel_sketch_query_size(uint32_t ntokens, uint32_t dim)
{
	size_t lut = mul_saturated(mul_saturated(ntokens, dim), 4);
	size_t params = mul_saturated(ntokens, 3 * sizeof(float));

	return add_saturated(add_saturated(lut, params), sizeof(KernelSketchQuery) + PACK_ALIGNMENT);
}

/* Return the difference between the largest and the smallest sum of +-q over four dims. */
static double
sketch_nibble_range(const float *q)
{
	return 2.0 *
		   (fabs((double) q[0]) + fabs((double) q[1]) + fabs((double) q[2]) + fabs((double) q[3]));
}

/*
 * Fill the sixteen entries of one nibble: the sum above its minimum, in steps
 * of delta. per_step is 1 / delta, or 0. Each dim adds to the entries whose bit
 * has its sign.
 *
 * A quad has the entries of the same two low bits, which are four bytes apart.
 * Sums are clamped while they are still floats, because converting a float that
 * no integer can hold is undefined.
 */
static void
sketch_fill_nibble(const float *q, float per_step, float steps, uint8_t *entries)
{
	const IntQuad third = {0, -1, 0, -1};
	const IntQuad fourth = {0, 0, -1, -1};
	const float   first[2] = {q[0] > 0.0f ? 0.0f : 2.0f * fabsf(q[0]),
                            q[0] > 0.0f ? 2.0f * fabsf(q[0]) : 0.0f};
	const float second[2] = {q[1] > 0.0f ? 0.0f : 2.0f * fabsf(q[1]),
							 q[1] > 0.0f ? 2.0f * fabsf(q[1]) : 0.0f};
	Quad high = quad_if(q[2] > 0.0f ? third : ~third, 2.0f * fabsf(q[2])) +
				quad_if(q[3] > 0.0f ? fourth : ~fourth, 2.0f * fabsf(q[3]));
	IntQuad bytes = {0};

	for (int low = 0; low < 4; low++)
	{
		Quad sums = ((first[low & 1] + second[low >> 1]) + high) * per_step + 0.5f;

		bytes |= quad_numbers(quad_lesser(sums, steps)) << (8 * low);
	}
	memcpy(entries, &bytes, sizeof(bytes));
}

static void
sketch_pack_token(KernelSketchQuery *s, uint32_t token, const float *q)
{
	uint32_t nnibbles = s->dim / 4;
	uint32_t steps = min_uint32(MAX_SKETCH_STEPS, MAX_SKETCH_TOTAL / (nnibbles > 0 ? nnibbles : 1));
	double   widest = 0.0;
	double   minimum = 0.0;
	float    per_step;

	for (uint32_t n = 0; n < nnibbles; n++)
	{
		double range = sketch_nibble_range(q + (size_t) n * 4);

		widest = range > widest ? range : widest;
		minimum -= range / 2;
	}
	s->delta[token] = (float) (widest / steps);
	s->base[token] = (float) minimum;
	/* For a token this short 1 / delta could be infinite, and 0 * infinity is a NaN. */
	per_step = s->delta[token] >= FLT_MIN ? 1.0f / s->delta[token] : 0.0f;

	for (uint32_t n = 0; n < nnibbles; n++)
	{
		/* Nibble n is the low or high half of byte n / 2; each step of 32 dims has four bytes. */
		uint8_t *entries = s->lut + ((size_t) (n / 8) * s->ntokens + token) * SKETCH_LUT_SIZE;

		entries += (n % 2) * 64 + (n / 2 % 4) * 16;
		sketch_fill_nibble(q + (size_t) n * 4, per_step, (float) steps, entries);
	}
}

KernelSketchQuery *
kernel_sketch_pack(void *memory, const float *rotated, const float *constant, uint32_t ntokens,
				   uint32_t dim, bool has_add)
{
	KernelSketchQuery *s = memory;

	s->ntokens = ntokens;
	s->dim = dim;
	s->has_add = has_add;
	s->lut = (uint8_t *) align_up(s + 1);
	s->delta = (float *) (s->lut + (size_t) ntokens * dim * 4);
	s->base = s->delta + ntokens;
	s->constant = s->base + ntokens;

	for (uint32_t token = 0; token < ntokens; token++)
	{
		s->constant[token] = constant[token];
		sketch_pack_token(s, token, rotated + (size_t) token * dim);
	}
	return s;
}

size_t
kernel_sketch_scaled_size(uint32_t ntokens)
{
	return sizeof(KernelSketchQuery) + 3 * sizeof(float) * (size_t) ntokens;
}

KernelSketchQuery *
kernel_sketch_scale(void *memory, const KernelSketchQuery *query, const float *factors)
{
	KernelSketchQuery *s = memory;

	*s = *query;
	s->delta = (float *) (s + 1);
	s->base = s->delta + query->ntokens;
	s->constant = s->base + query->ntokens;
	for (uint32_t token = 0; token < query->ntokens; token++)
	{
		s->delta[token] = query->delta[token] * factors[token];
		s->base[token] = query->base[token] * factors[token];
		s->constant[token] = 0;
	}
	return s;
}
