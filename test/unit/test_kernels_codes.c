/*-------------------------------------------------------------------------
 *
 * test_kernels_codes.c
 *	  Kernels over codes: sq8 rows, sketches, and conversions of elements.
 *
 * All instruction sets must return the same bits as the scalar kernels. The
 * scalar kernels must not differ from float arithmetic by more than the codes'
 * error bounds.
 *
 *-------------------------------------------------------------------------
 */
#include "instruction_sets.h"
#include "sample.h"
#include "tap.h"

static void
begin(void)
{
	for (int i = 0; i < nsets; i++)
		agreed[i] = true;
}

static void
report(const char *what)
{
	for (int i = 1; i < nsets; i++)
		tap_ok(agreed[i], "%s: %s equals scalar", sets[i]->name, what);
}

/* The shape under test, printed if a test fails. */
static uint32_t case_tokens;
static uint32_t case_rows;
static uint32_t case_dim;

static void
set_case(uint32_t ntokens, uint32_t nrows, uint32_t dim)
{
	case_tokens = ntokens;
	case_rows = nrows;
	case_dim = dim;
}

static bool
same_floats(const float *expected, const float *got, size_t n, const char *what)
{
	for (size_t i = 0; i < n; i++)
	{
		if (same_float(expected[i], got[i]))
			continue;
		tap_diag("%s[%zu] is %a, not %a: %u tokens, %u rows, dim %u", what, i, got[i], expected[i],
				 case_tokens, case_rows, case_dim);
		return false;
	}
	return true;
}

/* Return n running maxima in their initial state. */
static float *
lowest(size_t n)
{
	float *best = sample_memory(n * sizeof(float));

	for (size_t i = 0; i < n; i++)
		best[i] = -INFINITY;
	return best;
}

/* ------------------------------------------------------------------------
 * sq8
 * ------------------------------------------------------------------------
 */

/* Return rows of arbitrary bytes that are valid in an index. */
static uint8_t *
sq8_random_rows(uint32_t nrows, uint32_t dim, bool has_add, SampleKind kind)
{
	size_t   row_size = kernel_sq8_row_size(dim, has_add);
	uint8_t *memory = sample_guarded(nrows * row_size);
	float   *token = sample_floats(kind, dim);

	for (uint32_t i = 0; i < nrows; i++)
	{
		if (i == 0 || sample_range(0, 3) > 0)
		{
			for (uint32_t k = 0; k < dim; k++)
				token[k] = sample_float(kind);
		}
		kernels->sq8_encode(token, dim, has_add, sample_float(kind), memory + i * row_size);
	}
	free(token);
	return memory;
}

/* Return true if best has the maxima of the keys of all rows. */
static bool
maxima_of_keys(const float *keys, uint32_t nrows, uint32_t nslots, const float *best)
{
	float *largest = lowest(nslots);
	bool   same;

	for (uint32_t i = 0; i < nrows; i++)
	{
		for (uint32_t slot = 0; slot < nslots; slot++)
		{
			if (keys[(size_t) i * nslots + slot] > largest[slot])
				largest[slot] = keys[(size_t) i * nslots + slot];
		}
	}
	same = same_floats(best, largest, nslots, "maximum of sq8 keys");
	free(largest);
	return same;
}

static bool sq8_keys_are_maxima = true;

static void
check_sq8(uint32_t ntokens, uint32_t nrows, uint32_t dim, bool has_add, SampleKind kind)
{
	float          *tokens = sample_floats(kind, (size_t) ntokens * dim);
	KernelSq8Query *q =
		kernel_sq8_pack(sample_memory(kernel_sq8_query_size(ntokens, dim)), tokens, ntokens, dim);
	uint8_t *rows = sq8_random_rows(nrows, dim, has_add, kind);
	size_t   row_size = kernel_sq8_row_size(dim, has_add);
	uint32_t nslots = kernel_sq8_slots(q);
	size_t   nkeys = (size_t) nrows * nslots;
	float   *expected = lowest(nslots);
	float   *expected_keys = sample_guarded(nkeys * sizeof(float));

	set_case(ntokens, nrows, dim);
	sets[0]->sq8_rows(q, rows, nrows, has_add, expected);
	sets[0]->sq8_keys(q, rows, nrows, has_add, expected_keys);
	for (int i = 1; i < nsets; i++)
	{
		float   *got = lowest(nslots);
		float   *keys = sample_guarded(nkeys * sizeof(float));
		uint32_t split = nrows / 3;

		sets[i]->sq8_rows(q, rows, split, has_add, got);
		sets[i]->sq8_rows(q, rows + split * row_size, nrows - split, has_add, got);
		sets[i]->sq8_keys(q, rows, nrows, has_add, keys);
		agreed[i] = same_floats(expected, got, nslots, "sq8 best") &&
					same_floats(expected_keys, keys, nkeys, "sq8 keys") && agreed[i];
		sample_guarded_free(keys, nkeys * sizeof(float));
		free(got);
	}
	sq8_keys_are_maxima =
		sq8_keys_are_maxima && maxima_of_keys(expected_keys, nrows, nslots, expected);
	sample_guarded_free(expected_keys, nkeys * sizeof(float));
	free(expected);
	sample_guarded_free(rows, nrows * row_size);
	free(q);
	free(tokens);
}

static void
test_sq8(void)
{
	static const uint32_t large[] = {96, 127, 128, 129, 512, 516, 768, 1024, 7000};

	begin();
	for (uint32_t ntokens = 1; ntokens <= 40; ntokens++)
	{
		for (uint32_t nrows = 0; nrows <= 40; nrows++)
			check_sq8(ntokens, nrows, sample_range(1, 70), sample_range(0, 1),
					  (SampleKind) sample_range(0, SAMPLE_KINDS - 1));
	}
	for (uint32_t dim = 1; dim <= 140; dim++)
	{
		for (int kind = 0; kind < SAMPLE_KINDS; kind++)
			check_sq8(sample_range(1, 40), sample_range(1, 40), dim, sample_range(0, 1),
					  (SampleKind) kind);
	}
	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++)
	{
		check_sq8(5, 19, large[i], false, SAMPLE_ORDINARY);
		check_sq8(33, 35, large[i], true, SAMPLE_ORDINARY);
	}
	report("sq8 rows");
	tap_ok(sq8_keys_are_maxima, "sq8: the largest keys are the maxima");
}

static bool sq8_queries_agree = true;

/*
 * Check encoding: all instruction sets produce the same rows and lengths, and
 * queries made from rows equal queries made from floats.
 */
static void
check_sq8_rows(uint32_t ntokens, uint32_t dim, bool has_add, SampleKind kind)
{
	size_t          row_size = kernel_sq8_row_size(dim, has_add);
	float          *tokens = sample_floats(kind, (size_t) ntokens * dim);
	uint8_t        *expected = sample_guarded(ntokens * row_size);
	const uint8_t **rows = sample_memory(ntokens * sizeof(uint8_t *));
	size_t          size = kernel_sq8_query_size(ntokens, dim);
	KernelSq8Query *q = kernel_sq8_pack(sample_memory(size), tokens, ntokens, dim);
	KernelSq8Query *from_rows;
	bool            same = true;

	set_case(ntokens, 0, dim);
	for (uint32_t i = 0; i < ntokens; i++)
	{
		rows[i] = expected + i * row_size;
		sets[0]->sq8_encode(tokens + (size_t) i * dim, dim, has_add, 0.5f, expected + i * row_size);
	}
	for (int s = 1; s < nsets; s++)
	{
		uint8_t *row = sample_guarded(row_size);

		for (uint32_t i = 0; i < ntokens; i++)
		{
			sets[s]->sq8_encode(tokens + (size_t) i * dim, dim, has_add, 0.5f, row);
			agreed[s] = agreed[s] && memcmp(row, rows[i], row_size) == 0 &&
						same_float(sets[0]->sq8_squared(row, dim, has_add),
								   sets[s]->sq8_squared(row, dim, has_add));
		}
		sample_guarded_free(row, row_size);
	}
	from_rows = kernel_sq8_pack_rows(sample_memory(size), rows, ntokens, dim, has_add);
	for (uint32_t slot = 0; slot < kernel_sq8_slots(q); slot++)
		same = same && q->correction[slot] == from_rows->correction[slot] &&
			   same_float(q->scale[slot], from_rows->scale[slot]);
	same = same && memcmp(q->pack, from_rows->pack, (size_t) kernel_sq8_slots(q) * q->dim4) == 0;
	sq8_queries_agree = sq8_queries_agree && same;
	free(from_rows);
	free(q);
	free(rows);
	sample_guarded_free(expected, ntokens * row_size);
	free(tokens);
}

/* Return true if the stored |x'|^2 is that of the decoded row. */
static bool
squared_is_of_decoded(uint32_t dim, bool has_add)
{
	float   *token = sample_floats(SAMPLE_ORDINARY, dim);
	float   *decoded = sample_memory(dim * sizeof(float));
	uint8_t *row = sample_memory(kernel_sq8_row_size(dim, has_add));
	double   squared = 0;
	double   got;

	sets[0]->sq8_encode(token, dim, has_add, 0, row);
	kernel_sq8_decode(row, dim, has_add, decoded);
	for (uint32_t k = 0; k < dim; k++)
		squared += (double) decoded[k] * decoded[k];
	got = sets[0]->sq8_squared(row, dim, has_add);
	free(row);
	free(decoded);
	free(token);
	return fabs(got - squared) <= 1e-5 * squared;
}

static void
test_sq8_encoding(void)
{
	bool squared = true;

	begin();
	for (uint32_t dim = 1; dim <= 140; dim++)
	{
		for (int kind = 0; kind < SAMPLE_KINDS; kind++)
			check_sq8_rows(sample_range(1, 40), dim, sample_range(0, 1), (SampleKind) kind);
		squared = squared && squared_is_of_decoded(dim, dim % 2);
	}
	check_sq8_rows(3, 16000, true, SAMPLE_ORDINARY);
	report("sq8 encoding");
	tap_ok(squared, "sq8: the squared length is that of the decoded row");
	tap_ok(sq8_queries_agree, "sq8: queries made from rows equal queries made from floats");
}

/* Check keys_max and keys_at_least with arbitrary keys, including NaNs and infinities. */
static void
check_keys(uint32_t nrows, uint32_t nslots, SampleKind kind)
{
	size_t    nkeys = (size_t) nrows * nslots;
	float    *keys = sample_floats(kind, nkeys > 0 ? nkeys : 1);
	float    *least = sample_floats(kind, nslots);
	float    *largest = sample_floats(kind, nslots);
	uint32_t *rows = sample_memory((nrows + 1) * sizeof(uint32_t));

	set_case(nslots, nrows, 0);
	for (uint32_t slot = 0; slot < nslots && sample_range(0, 1); slot++)
		least[slot] = INFINITY; /* a threshold that few rows reach */
	for (int s = 0; s < nsets; s++)
	{
		float   *raised = sample_memory(nslots * sizeof(float));
		uint32_t n = sets[s]->keys_at_least(keys, nrows, nslots, least, rows);
		uint32_t expected = 0;

		memcpy(raised, largest, nslots * sizeof(float));
		sets[s]->keys_max(keys, nrows, nslots, raised);
		for (uint32_t row = 0; row < nrows; row++)
		{
			bool reaches = false;

			for (uint32_t slot = 0; slot < nslots; slot++)
			{
				float key = keys[(size_t) row * nslots + slot];

				reaches = reaches || !(key < least[slot]);
				agreed[s] = agreed[s] && !(key > raised[slot]);
			}
			if (reaches)
				agreed[s] = agreed[s] && expected < n && rows[expected] == row;
			expected += reaches;
		}
		agreed[s] = agreed[s] && expected == n;
		for (uint32_t slot = 0; slot < nslots; slot++)
		{
			bool from_keys = same_float(raised[slot], largest[slot]);

			for (uint32_t row = 0; row < nrows; row++)
				from_keys = from_keys || keys[(size_t) row * nslots + slot] == raised[slot];
			agreed[s] = agreed[s] && from_keys;
		}
		free(raised);
	}
	free(rows);
	free(largest);
	free(least);
	free(keys);
}

static void
test_keys(void)
{
	begin();
	for (uint32_t nslots = 16; nslots <= 160; nslots += 16)
		for (uint32_t nrows = 0; nrows <= 20; nrows++)
			for (int kind = 0; kind < SAMPLE_KINDS; kind++)
				check_keys(nrows, nslots, (SampleKind) kind);
	for (int i = 0; i < nsets; i++)
		tap_ok(agreed[i], "%s: largest keys, and rows that reach a threshold", sets[i]->name);
}

/* Check the largest possible sums, with all codes at their limits. */
static void
test_sq8_extremes(void)
{
	const uint32_t  dim = 16000;
	float          *token = sample_memory(2 * dim * sizeof(float));
	uint8_t        *row = sample_memory(kernel_sq8_row_size(dim, false));
	KernelSq8Query *q;
	bool            exact = true;

	for (uint32_t k = 0; k < 2 * dim; k++)
		token[k] = k < dim ? 127.0f : -127.0f;
	q = kernel_sq8_pack(sample_memory(kernel_sq8_query_size(2, dim)), token, 2, dim);
	kernels->sq8_encode(token, dim, false, 0, row);
	for (int i = 0; i < nsets; i++)
	{
		float *best = lowest(16);

		sets[i]->sq8_rows(q, row, 1, false, best);
		exact = exact && best[0] == 16129.0f * dim && best[1] == -16129.0f * dim;
		free(best);
	}
	tap_ok(exact, "sq8: the largest sums do not overflow");
	free(q);
	free(row);
	free(token);
}

/* Return the maximum error of an inner product whose two sides are rounded to half a scale. */
static double
sq8_bound(const float *a, const float *b, uint32_t dim, double scale_a, double scale_b)
{
	double bound = 0;

	for (uint32_t k = 0; k < dim; k++)
		bound += fabs(a[k]) * scale_b / 2 + fabs(b[k]) * scale_a / 2 + scale_a * scale_b / 4;
	return bound * 1.0001 + 1e-6 * dim;
}

static void
test_sq8_error(void)
{
	bool within = true;
	bool decodes = true;

	for (uint32_t dim = 1; dim <= 200; dim++)
	{
		float          *q = sample_floats(SAMPLE_ORDINARY, dim);
		float          *d = sample_floats(SAMPLE_ORDINARY, dim);
		float          *decoded = sample_memory(dim * sizeof(float));
		float          *best = lowest(16);
		uint8_t        *row = sample_memory(kernel_sq8_row_size(dim, true));
		KernelSq8Query *packed =
			kernel_sq8_pack(sample_memory(kernel_sq8_query_size(1, dim)), q, 1, dim);
		double exact = 0.25;
		float  scale;

		kernels->sq8_encode(d, dim, true, 0.25f, row);
		memcpy(&scale, row, sizeof(scale));
		kernel_sq8_decode(row, dim, true, decoded);
		for (uint32_t k = 0; k < dim; k++)
		{
			exact += (double) q[k] * d[k];
			decodes = decodes && fabs(decoded[k] - d[k]) <= scale * 0.50001;
		}
		sets[0]->sq8_rows(packed, row, 1, true, best);
		within = within && fabs(best[0] - exact) <= sq8_bound(q, d, dim, packed->scale[0], scale);
		free(q);
		free(d);
		free(decoded);
		free(best);
		free(row);
		free(packed);
	}
	tap_ok(within, "sq8: scores are within the error of rounding both sides");
	tap_ok(decodes, "sq8: a decoded element is within half a scale");
}

/*
 * Check that all instruction sets unpack 4-bit rows to the same bytes, with
 * the codes in the documented places.
 */
static void
test_sq4_unpack(void)
{
	bool laid_out = true;

	begin();
	for (uint32_t i = 0; i < 400; i++)
	{
		uint32_t dim = 32 * sample_range(1, 40);
		uint32_t nrows = sample_range(0, 5);
		bool     has_add = sample_range(0, 1);
		size_t   header = has_add ? 8 : 4;
		size_t   in_size = nrows * kernel_sq4_row_size(dim, has_add);
		size_t   out_size = nrows * kernel_sq8_row_size(dim, has_add);
		uint8_t *rows = sample_guarded(in_size);
		uint8_t *expected = sample_guarded(out_size);

		for (size_t j = 0; j < in_size; j++)
			rows[j] = (uint8_t) sample_bits();
		sets[0]->sq4_unpack(rows, nrows, dim, has_add, expected);
		for (int s = 1; s < nsets; s++)
		{
			uint8_t *got = sample_guarded(out_size);

			sets[s]->sq4_unpack(rows, nrows, dim, has_add, got);
			agreed[s] = agreed[s] && memcmp(expected, got, out_size) == 0;
			sample_guarded_free(got, out_size);
		}
		if (nrows > 0)
			laid_out = laid_out && memcmp(rows, expected, header) == 0 &&
					   expected[header + 7] == kernel_sq4_levels[rows[header + 7] & 15] &&
					   expected[header + dim / 2 + 7] == kernel_sq4_levels[rows[header + 7] >> 4];
		sample_guarded_free(expected, out_size);
		sample_guarded_free(rows, in_size);
	}
	report("sq4 rows");
	tap_ok(laid_out, "sq4: the low half of a byte holds a dim of the first half");
}

/* ------------------------------------------------------------------------
 * pq
 * ------------------------------------------------------------------------
 */

static void
check_pq(uint32_t ntokens, uint32_t nrows, uint32_t m, bool has_add, SampleKind kind)
{
	KernelPqQuery *q =
		kernel_pq_lay_out(sample_memory(kernel_pq_query_size(ntokens, m)), ntokens, m);
	size_t   row_size = kernel_pq_row_size(m, has_add);
	uint8_t *rows = sample_guarded(nrows * row_size);
	float   *expected = lowest(kernel_pq_slots(q));

	for (float *entry = q->tables;
		 entry < kernel_pq_table(q, q->ngroups - 1, 0) + (size_t) m * PQ_CENTROIDS * q->last_lanes;
		 entry++)
		*entry = sample_float(kind);
	for (uint32_t i = 0; i < nrows; i++)
	{
		float add = sample_float(kind);

		for (size_t j = 0; j < row_size; j++)
			rows[i * row_size + j] = (uint8_t) sample_bits();
		if (has_add)
			memcpy(rows + i * row_size, &add, sizeof(add));
	}
	set_case(ntokens, nrows, m);
	sets[0]->pq_rows(q, rows, nrows, has_add, expected);
	for (int i = 1; i < nsets; i++)
	{
		float   *got = lowest(kernel_pq_slots(q));
		uint32_t split = nrows / 3;

		sets[i]->pq_rows(q, rows, split, has_add, got);
		sets[i]->pq_rows(q, rows + split * row_size, nrows - split, has_add, got);
		agreed[i] = same_floats(expected, got, kernel_pq_slots(q), "pq best") && agreed[i];
		free(got);
	}
	free(expected);
	sample_guarded_free(rows, nrows * row_size);
	free(q);
}

static void
test_pq(void)
{
	begin();
	for (uint32_t ntokens = 1; ntokens <= 40; ntokens++)
		for (uint32_t nrows = 0; nrows <= 12; nrows += 3)
			check_pq(ntokens, nrows, sample_range(1, 9), sample_range(0, 1),
					 (SampleKind) sample_range(0, SAMPLE_KINDS - 1));
	for (uint32_t m = 1; m <= 40; m++)
		check_pq(sample_range(1, 20), sample_range(1, 20), m, sample_range(0, 1), SAMPLE_ORDINARY);
	report("pq rows");
}

/* ------------------------------------------------------------------------
 * Sketches
 * ------------------------------------------------------------------------
 */

/* Return blocks of random bits, with factors of this kind. */
static uint8_t *
sketch_random_blocks(uint32_t nblocks, uint32_t dim, bool has_add, SampleKind kind)
{
	size_t   block_size = kernel_sketch_block_size(dim, has_add);
	uint8_t *memory = sample_guarded(nblocks * block_size);

	for (size_t i = 0; i < nblocks * block_size; i++)
		memory[i] = (uint8_t) sample_bits();
	for (uint32_t b = 0; b < nblocks; b++)
	{
		uint8_t *halves = memory + b * block_size + (size_t) dim * 2;

		for (size_t i = 0; i < block_size - (size_t) dim * 2; i += 2)
		{
			uint16_t half = kernel_float_to_half(sample_float(kind));

			memcpy(halves + i, &half, sizeof(half));
		}
	}
	return memory;
}

static void
check_sketch(uint32_t ntokens, uint32_t nblocks, uint32_t dim, bool has_add, SampleKind kind)
{
	float             *rotated = sample_floats(kind, (size_t) ntokens * dim);
	float             *constant = sample_floats(kind, ntokens);
	KernelSketchQuery *q = kernel_sketch_pack(sample_memory(kernel_sketch_query_size(ntokens, dim)),
											  rotated, constant, ntokens, dim, has_add);
	uint8_t           *blocks = sketch_random_blocks(nblocks, dim, has_add, kind);
	size_t             nstates = (size_t) ntokens * SKETCH_BLOCK_TOKENS;
	float             *expected = lowest(nstates);
	float             *expected_best = lowest(ntokens);
	float              scores[2][SKETCH_BLOCK_TOKENS];
	uint32_t           token = sample_range(0, ntokens - 1);

	set_case(ntokens, nblocks, dim);
	sets[0]->sketch_blocks(q, blocks, nblocks, expected);
	sets[0]->sketch_finish(q, expected, expected_best);
	sets[0]->sketch_scores(q, token, blocks, scores[0]);
	for (int i = 1; i < nsets; i++)
	{
		float *got = lowest(nstates);
		float *best = lowest(ntokens);

		sets[i]->sketch_blocks(q, blocks, nblocks, got);
		sets[i]->sketch_finish(q, got, best);
		sets[i]->sketch_scores(q, token, blocks, scores[1]);
		agreed[i] = same_floats(expected, got, nstates, "sketch state") &&
					same_floats(expected_best, best, ntokens, "sketch best") &&
					same_floats(scores[0], scores[1], SKETCH_BLOCK_TOKENS, "sketch scores") &&
					agreed[i];
		free(got);
		free(best);
	}
	free(rotated);
	free(constant);
	free(q);
	sample_guarded_free(blocks, nblocks * kernel_sketch_block_size(dim, has_add));
	free(expected);
	free(expected_best);
}

static void
test_sketch(void)
{
	begin();
	for (uint32_t ntokens = 1; ntokens <= 40; ntokens++)
	{
		for (uint32_t nblocks = 1; nblocks <= 6; nblocks++)
			check_sketch(ntokens, nblocks, 32 * sample_range(1, 9), sample_range(0, 1),
						 SAMPLE_ORDINARY);
	}
	for (int kind = 0; kind < SAMPLE_KINDS; kind++)
	{
		for (uint32_t dim = 32; dim <= 512; dim += 32)
			check_sketch(sample_range(1, 20), sample_range(1, 4), dim, sample_range(0, 1),
						 (SampleKind) kind);
	}
	check_sketch(3, 2, 768, true, SAMPLE_ORDINARY);
	check_sketch(3, 2, 1024, false, SAMPLE_ORDINARY);
	check_sketch(2, 1, 16000, true, SAMPLE_EQUAL);
	report("sketches");
}

/*
 * Check the end of a document, with maxima that are zeros of both signs, or
 * -infinity because nothing was found.
 */
static void
test_sketch_finish(void)
{
	begin();
	for (uint32_t ntokens = 1; ntokens <= 40; ntokens++)
	{
		KernelSketchQuery q = {.ntokens = ntokens};
		size_t            nstates = (size_t) ntokens * SKETCH_BLOCK_TOKENS;
		float            *state = sample_guarded(nstates * sizeof(float));
		float            *expected = lowest(ntokens);

		for (size_t i = 0; i < nstates; i++)
			state[i] = ntokens % 3 == 0          ? sample_float(SAMPLE_MIXED)
					   : sample_range(0, 20) > 0 ? -INFINITY
					   : sample_range(0, 1)      ? -0.0f
												 : 0.0f;
		set_case(ntokens, 0, 0);
		sets[0]->sketch_finish(&q, state, expected);
		for (int i = 1; i < nsets; i++)
		{
			float *got = lowest(ntokens);

			sets[i]->sketch_finish(&q, state, got);
			agreed[i] = same_floats(expected, got, ntokens, "finish") && agreed[i];
			free(got);
		}
		sample_guarded_free(state, nstates * sizeof(float));
		free(expected);
	}
	report("the end of a document");
}

/*
 * Check the largest possible totals: every nibble matches the pattern of the
 * query, so that the total is the sum of all |q|.
 */
static void
test_sketch_extremes(void)
{
	const uint32_t     dim = 16000;
	float             *rotated = sample_memory(dim * sizeof(float));
	float              constant = 0.0f;
	uint8_t           *block = sample_memory(kernel_sketch_block_size(dim, false));
	KernelSketchQuery *q;
	uint16_t           one = kernel_float_to_half(1.0f);
	bool               exact = true;

	for (uint32_t k = 0; k < dim; k++)
		rotated[k] = 1.0f;
	memset(block, 0xFF, (size_t) dim * 2);
	for (int t = 0; t < SKETCH_BLOCK_TOKENS; t++)
		memcpy(block + (size_t) dim * 2 + t * 2, &one, sizeof(one));
	q = kernel_sketch_pack(sample_memory(kernel_sketch_query_size(1, dim)), rotated, &constant, 1,
						   dim, false);
	for (int i = 0; i < nsets; i++)
	{
		float scores[SKETCH_BLOCK_TOKENS];

		sets[i]->sketch_scores(q, 0, block, scores);
		exact = exact && fabsf(scores[3] - (float) dim) < 1e-3f * dim;
	}
	tap_ok(exact, "sketch: the largest totals do not overflow");
	free(rotated);
	free(block);
	free(q);
}

/*
 * Check that an estimate is the signed sum of the query times the factor,
 * except for the rounding of the table entries.
 */
static void
test_sketch_error(void)
{
	bool within = true;

	for (uint32_t dim = 32; dim <= 512; dim += 32)
	{
		float             *rotated = sample_floats(SAMPLE_ORDINARY, dim);
		float              constant = 0.5f;
		uint8_t           *block = sketch_random_blocks(1, dim, true, SAMPLE_ORDINARY);
		KernelSketchQuery *q = kernel_sketch_pack(sample_memory(kernel_sketch_query_size(1, dim)),
												  rotated, &constant, 1, dim, true);
		float              scores[SKETCH_BLOCK_TOKENS];

		sets[0]->sketch_scores(q, 0, block, scores);
		for (uint32_t t = 0; t < SKETCH_BLOCK_TOKENS; t++)
		{
			uint16_t halves[2];
			double   sum = 0;
			double   factor;

			memcpy(&halves[0], block + dim * 2 + t * 2, 2);
			memcpy(&halves[1], block + dim * 2 + 32 + t * 2, 2);
			factor = kernel_half_to_float(halves[0]);
			for (uint32_t k = 0; k < dim; k++)
				sum += (block[k / 8 * 16 + t] >> (k % 8) & 1) ? rotated[k] : -rotated[k];
			within = within &&
					 fabs(scores[t] - (factor * sum + 0.5 + kernel_half_to_float(halves[1]))) <=
						 fabs(factor) * (dim / 4) * q->delta[0] / 2 + 1e-5 * dim;
		}
		free(rotated);
		sample_guarded_free(block, kernel_sketch_block_size(dim, true));
		free(q);
	}
	tap_ok(within, "sketch: estimates are within the rounding of the tables");
}

/* Check that a scaled query has the tables and the scaled scores of the original. */
static void
test_sketch_scale(void)
{
	const uint32_t     dim = 128;
	float             *rotated = sample_floats(SAMPLE_ORDINARY, 3 * dim);
	uint8_t           *block = sketch_random_blocks(1, dim, false, SAMPLE_ORDINARY);
	const float        constants[3] = {0};
	const float        factors[3] = {2, 0.25f, 0};
	KernelSketchQuery *q = kernel_sketch_pack(sample_memory(kernel_sketch_query_size(3, dim)),
											  rotated, constants, 3, dim, false);
	KernelSketchQuery *scaled =
		kernel_sketch_scale(sample_memory(kernel_sketch_query_size(3, dim)), q, factors);
	bool same = scaled->lut == q->lut;

	q->constant[1] = 5;
	for (uint32_t t = 0; t < 3; t++)
	{
		float whole[SKETCH_BLOCK_TOKENS];
		float part[SKETCH_BLOCK_TOKENS];

		sets[0]->sketch_scores(q, t, block, whole);
		sets[0]->sketch_scores(scaled, t, block, part);
		for (int i = 0; i < SKETCH_BLOCK_TOKENS; i++)
			same = same && fabsf(part[i] - factors[t] * (whole[i] - q->constant[t])) <=
							   1e-4f * (fabsf(whole[i]) + 5);
	}
	tap_ok(same, "sketch: a scaled query has scaled scores, without constants");
	free(rotated);
	sample_guarded_free(block, kernel_sketch_block_size(dim, false));
	free(q);
	free(scaled);
}

/* ------------------------------------------------------------------------
 * Elements
 * ------------------------------------------------------------------------
 */

static void
test_half_round_trip(void)
{
	bool exact = true;
	bool even = true;

	for (uint32_t h = 0; h <= 0xFFFF; h++)
	{
		float f = kernel_half_to_float((uint16_t) h);

		if (isnan(f))
			exact = exact && (h & 0x7C00) == 0x7C00 &&
					isnan(kernel_half_to_float(kernel_float_to_half(f)));
		else
			exact = exact && kernel_float_to_half(f) == h;
	}
	/*
	 * A value halfway between two neighbours rounds to the even one; a value
	 * slightly beside it, to the nearer one.
	 */
	for (uint32_t h = 0; h < 0x7BFF; h++)
	{
		float low = kernel_half_to_float((uint16_t) h);
		float middle = low + (kernel_half_to_float((uint16_t) (h + 1)) - low) / 2;

		even = even && kernel_float_to_half(middle) == h + (h & 1) &&
			   kernel_float_to_half(nextafterf(middle, 0)) == h &&
			   kernel_float_to_half(nextafterf(middle, INFINITY)) == h + 1;
	}
	tap_ok(exact, "half: all values go to float and back");
	tap_ok(even, "half: rounds to nearest even");
	tap_ok(kernel_float_to_half(65519.996f) == 0x7BFF && kernel_float_to_half(65520.0f) == 0x7C00 &&
			   kernel_float_to_half(-INFINITY) == 0xFC00,
		   "half: infinity from 65,520 on");
}

static void
test_conversions(void)
{
	const uint32_t all = 0x10000;
	uint16_t      *halves = sample_memory(all * sizeof(uint16_t));
	uint16_t      *narrow[2];
	float         *floats[2];

	for (int i = 0; i < 2; i++)
	{
		narrow[i] = sample_memory(all * sizeof(uint16_t));
		floats[i] = sample_memory(all * sizeof(float));
	}
	for (uint32_t h = 0; h < all; h++)
		halves[h] = (uint16_t) h;
	begin();
	sets[0]->half_to_float(halves, floats[0], all);
	for (int i = 1; i < nsets; i++)
	{
		sets[i]->half_to_float(halves, floats[1], all);
		agreed[i] = memcmp(floats[0], floats[1], all * sizeof(float)) == 0;
	}
	for (uint32_t n = 0; n < 40; n++)
	{
		uint32_t bits[40];

		for (uint32_t i = 0; i < n; i++)
			bits[i] = sample_bits() & (sample_bits() % 4 == 0 ? 0xBFFFFFFF : 0xC7FFFFFF);
		for (int i = 0; i < nsets; i++)
		{
			memset(narrow[i > 0], 0x55, 42 * sizeof(uint16_t));
			sets[i]->float_to_half((const float *) bits, narrow[i > 0], n);
			agreed[i] = agreed[i] && memcmp(narrow[0], narrow[i > 0], 42 * sizeof(uint16_t)) == 0;
		}
	}
	report("conversions of elements");
	free(halves);
	for (int i = 0; i < 2; i++)
	{
		free(narrow[i]);
		free(floats[i]);
	}
}

/* ------------------------------------------------------------------------
 * Dispatch and sizes
 * ------------------------------------------------------------------------
 */

static void
test_dispatch(void)
{
	const char *in_use = kernels->name;
	bool        listed = false;

	for (const char *const *name = kernels_names(); *name != NULL; name++)
	{
		listed = listed || strcmp(*name, in_use) == 0;
		if (kernels_select(*name) != kernels_supported(*name) ||
			(kernels_supported(*name) && strcmp(kernels->name, *name) != 0))
			tap_ok(false, "selecting %s", *name);
	}
	tap_ok(listed, "the implementation in use is one of those listed");
	tap_ok(!kernels_select("mmx") && !kernels_supported("mmx"), "an unknown name is refused");
	tap_ok(kernels_select("scalar") && strcmp(kernels->name, "scalar") == 0,
		   "scalar runs anywhere");
	tap_ok(kernels_select("auto") && kernels == sets[nsets - 1],
		   "auto takes the last one supported");
	tap_ok(kernel_query_size(UINT32_MAX, UINT32_MAX) == SIZE_MAX || sizeof(size_t) > 8 ||
			   kernel_query_size(UINT32_MAX, UINT32_MAX) > (size_t) UINT32_MAX * UINT32_MAX,
		   "sizes do not wrap around");
	tap_ok(kernel_norm((const float[]) {3, 4}, 2) == 5.0f, "norm");
}

int
main(void)
{
	find_sets();
	test_sq8();
	test_sq8_encoding();
	test_keys();
	test_sq8_extremes();
	test_sq8_error();
	test_sq4_unpack();
	test_pq();
	test_sketch();
	test_sketch_finish();
	test_sketch_extremes();
	test_sketch_error();
	test_sketch_scale();
	test_half_round_trip();
	test_conversions();
	test_dispatch();
	return tap_done();
}
