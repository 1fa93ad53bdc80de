/*-------------------------------------------------------------------------
 *
 * test_codec.c
 *	  Compare sketches and code rows with plain double-precision arithmetic.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "codec/sketch.h"
#include "sample.h"
#include "tap.h"
#include "vectors.h"

/* ------------------------------------------------------------------------
 * Helpers
 * ------------------------------------------------------------------------
 */

/* Return the key that a codec approximates: <q, x>, or <q, x> - |x|^2/2. */
static double
exact_key(const float *q, const float *x, size_t dim, bool has_add)
{
	return inner(q, x, dim) - (has_add ? inner(x, x, dim) / 2 : 0);
}

static float
gaussian(void)
{
	float sum = 0;

	for (int i = 0; i < 6; i++)
		sum += sample_float(SAMPLE_ORDINARY);
	return sum * 0.70710678f;
}

/*
 * Return n random vectors of length about 'spread' around a common vector of
 * length 'shift'. They are normalized on request.
 */
static float *
cloud(uint32_t n, uint32_t dim, float shift, float spread, bool unit)
{
	float *x = sample_memory(sizeof(float) * n * dim);

	for (uint32_t i = 0; i < n; i++)
	{
		float *row = x + (size_t) i * dim;
		double length;

		for (uint32_t k = 0; k < dim; k++)
			row[k] = (spread * gaussian() + shift * (k % 3 == 0   ? 1.5f
													 : k % 3 == 1 ? -0.8f
																  : 0.3f)) /
					 sqrtf((float) dim);
		length = sqrt(inner(row, row, dim));
		for (uint32_t k = 0; k < dim && unit; k++)
			row[k] = (float) (row[k] / length);
	}
	return x;
}

static float *
mean_of(const float *x, uint32_t n, uint32_t dim)
{
	float *mean = sample_memory(sizeof(float) * dim);

	for (uint32_t k = 0; k < dim; k++)
	{
		double sum = 0;

		for (uint32_t i = 0; i < n; i++)
			sum += x[(size_t) i * dim + k];
		mean[k] = (float) (sum / n);
	}
	return mean;
}

/* ------------------------------------------------------------------------
 * Sketches
 * ------------------------------------------------------------------------
 */

typedef struct SketchErrors
{
	double bias;   /* mean of all errors, relative to their spread */
	double spread; /* root mean square, relative to the spread expected by RaBitQ */
	double
		beyond; /* fraction of errors beyond 2.6 expected spreads; 0.01 for a normal distribution */
} SketchErrors;

/* Compare the estimates of nqueries x ntokens pairs with the exact keys. */
static SketchErrors
sketch_errors(const SketchParams *params, const float *x, uint32_t ntokens, const float *q,
			  uint32_t nqueries)
{
	uint32_t dim = params->rotation->dim;
	uint32_t padded = params->rotation->padded;
	uint8_t *block = sample_memory(sketch_block_size(params));
	float   *scratch =
		sample_memory(sizeof(float) * (sketch_scratch_floats(params) + nqueries * (padded + 1)));
	void              *memory = sample_memory(sketch_query_size(params, nqueries));
	KernelSketchQuery *query = sketch_query_prepare(params, q, nqueries, memory, scratch);
	SketchErrors       errors = {0};
	double             n = (double) ntokens * nqueries;

	for (uint32_t i = 0; i < ntokens; i++)
	{
		const float *token = x + (size_t) i * dim;
		double       length = 0;

		for (uint32_t k = 0; k < dim; k++)
			length += ((double) token[k] - params->mean[k]) * ((double) token[k] - params->mean[k]);
		if (i % SKETCH_BLOCK_TOKENS == 0)
			sketch_encode_block(params, token, ntokens - i < 16 ? ntokens - i : 16, block, scratch);
		for (uint32_t t = 0; t < nqueries; t++)
		{
			const float *qt = q + (size_t) t * dim;
			float        scores[SKETCH_BLOCK_TOKENS];
			double       side = 0;
			double       along = 0;
			double       expected, error;

			for (uint32_t k = 0; k < dim; k++)
			{
				double v = (double) qt[k] - (params->has_add ? params->mean[k] : 0);

				side += v * v;
				along += v * ((double) token[k] - params->mean[k]);
			}
			/*
			 * Only the part of q orthogonal to o contributes to the error:
			 * (pi/2 - 1) |o|^2 of it per dim (Gao and Long 2024, 3.2).
			 */
			expected = sqrt((M_PI / 2 - 1) / padded * fmax(side * length - along * along, 1e-12));
			kernels->sketch_scores(query, t, block, scores);
			error = (scores[i % SKETCH_BLOCK_TOKENS] - exact_key(qt, token, dim, params->has_add)) /
					expected;
			errors.bias += error / n;
			errors.spread += error * error / n;
			errors.beyond += (fabs(error) > 2.6) / n;
		}
	}
	errors.spread = sqrt(errors.spread);
	free(memory);
	free(scratch);
	free(block);
	return errors;
}

/*
 * Check that estimates have the mean and the spread stated in the paper,
 * whatever mean the tokens have in common.
 */
static void
test_sketch_errors(uint32_t dim, float shift, bool has_add)
{
	enum
	{
		TOKENS = 300,
		QUERIES = 24
	};
	Rotation    *rotation = new_rotation(dim, 3);
	float       *x = cloud(TOKENS, dim, shift, 1, true);
	float       *q = cloud(QUERIES, dim, shift, 1, true);
	float       *mean = mean_of(x, TOKENS, dim);
	SketchParams params = {rotation, mean, has_add};
	SketchErrors errors = sketch_errors(&params, x, TOKENS, q, QUERIES);

	tap_ok(
		fabs(errors.bias) < 0.12 && errors.spread < 1.12 && errors.beyond < 0.03,
		"sketch, %u dims, shift %.1f, %s: bias %.3f, spread %.3f of the expected, %.4f beyond 2.6",
		dim, shift, has_add ? "L2" : "inner product", errors.bias, errors.spread, errors.beyond);
	free(mean);
	free(q);
	free(x);
	free(rotation);
}

/*
 * Check that a norm shared by all tokens does not reduce the precision of the
 * 11 bits that L2 keeps.
 */
static void
test_sketch_shared_norm(void)
{
	test_sketch_errors(128, 30.0f, true);
}

/* Encode tokens as rows, copy them into the lanes of a block, and compare it with the block. */
static bool
rows_agree(const SketchParams *params, const float *x, uint32_t ntokens, const uint8_t *block)
{
	size_t   size = sketch_block_size(params);
	float   *scratch = sample_memory(sizeof(float) * sketch_scratch_floats(params));
	uint8_t *row = sample_memory(sketch_row_size(params));
	uint8_t *room = sample_memory(size);
	uint8_t *lanes = sample_memory(size);
	bool     agree;

	memset(lanes, 0xEE, size);
	for (uint32_t lane = 16; lane-- > 0;)
	{
		uint32_t token = lane < ntokens ? lane : ntokens - 1;

		sketch_encode_row(params, x + (size_t) token * params->rotation->dim, row, room, scratch);
		sketch_row_to_lane(params, row, lane, lanes);
	}
	agree = memcmp(block, lanes, size) == 0;
	free(lanes);
	free(room);
	free(row);
	free(scratch);
	return agree;
}

/*
 * Check that lanes are independent, that lanes beyond the last token repeat
 * it, and that estimates agree with a plain decoder.
 */
static void
test_sketch_layout(bool has_add)
{
	enum
	{
		DIM = 70,
		TOKENS = 5
	};
	Rotation    *rotation = new_rotation(DIM, 9);
	float       *x = cloud(TOKENS, DIM, 0.5f, 1, false);
	float       *mean = mean_of(x, TOKENS, DIM);
	SketchParams params = {rotation, mean, has_add};
	size_t       size = sketch_block_size(&params);
	float       *scratch = sample_memory(sizeof(float) * sketch_scratch_floats(&params));
	uint8_t     *block = sample_memory(size);
	uint8_t     *lanes = sample_memory(size);
	bool         signs = true;

	memset(lanes, 0xEE, size);
	sketch_encode_block(&params, x, TOKENS, block, scratch);
	for (uint32_t lane = 16; lane-- > 0;)
	{
		const float *token = x + (size_t) (lane < TOKENS ? lane : TOKENS - 1) * DIM;

		sketch_encode_lane(&params, token, lane, lanes, scratch);
		rotation_apply_centred(rotation, token, mean, scratch);
		for (uint32_t k = 0; k < rotation->padded; k++)
			signs = signs &&
					((block[(size_t) (k / 8) * 16 + lane] >> (k % 8)) & 1) == (scratch[k] >= 0);
	}
	tap_ok(memcmp(block, lanes, size) == 0,
		   "a block equals its lanes encoded one by one, the last repeated%s",
		   has_add ? " (L2)" : "");
	tap_ok(rows_agree(&params, x, TOKENS, block), "rows copied into the lanes are the block%s",
		   has_add ? " (L2)" : "");
	tap_ok(signs, "bits are the signs of the rotated token");
	tap_ok(size == 16 * (96 / 8 + (has_add ? 4 : 2)), "a block of 96 padded dims has %zu bytes",
		   size);
	free(lanes);
	free(block);
	free(scratch);
	free(mean);
	free(x);
	free(rotation);
}

/* Check that factors and addends are finite for any token, and that the zero token has factor 0. */
static void
test_sketch_extremes(void)
{
	enum
	{
		DIM = 40
	};
	const float  sizes[] = {0.0f, 1e-45f, 1e-38f, 1e-6f, 1.0f, 300.0f, 1e5f, 1e18f, 1e30f, 3.4e38f};
	Rotation    *rotation = new_rotation(DIM, 1);
	float        mean[DIM] = {0};
	SketchParams params = {rotation, mean, true};
	uint8_t     *block = sample_memory(sketch_block_size(&params));
	float       *scratch = sample_memory(sizeof(float) * sketch_scratch_floats(&params));

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		float    token[DIM];
		uint16_t halves[2];
		float    factor, add, norm;

		for (int k = 0; k < DIM; k++)
			token[k] = (k % 2 ? 1 : -1) * sizes[i];
		norm = sizes[i] * sqrtf(DIM);
		sketch_encode_block(&params, token, 1, block, scratch);
		memcpy(&halves[0], block + 16 * 64 / 8, sizeof(uint16_t));
		memcpy(&halves[1], block + 16 * 64 / 8 + 32, sizeof(uint16_t));
		factor = kernel_half_to_float(halves[0]);
		add = kernel_half_to_float(halves[1]);
		tap_ok(isfinite(factor) && isfinite(add) && factor >= 0 && add <= 0 &&
				   (norm * norm / 2 > 65504
						? add == -65504
						: fabsf(add + norm * norm / 2) <= 0.001f * norm * norm + 1e-7f) &&
				   (sizes[i] > 0 || factor == 0) && (norm < 1e8f || factor == 65504),
			   "token of length %g: factor %g, addend %g", norm, factor, add);
	}
	free(scratch);
	free(block);
	free(rotation);
}

/* ------------------------------------------------------------------------
 * Code rows
 * ------------------------------------------------------------------------
 */

static void *
hook_alloc(void *arg, size_t bytes)
{
	return sample_memory(bytes);
}

static void
hook_release(void *arg, void *memory)
{
	free(memory);
}

static void
hook_interrupt(void *arg)
{
}

/* Train the codebooks of a coder on n tokens. */
static void
train_coder(Coder *coder, const float *x, uint32_t n, size_t scratch)
{
	const KmeansHooks hooks = {
		.alloc = hook_alloc, .release = hook_release, .interrupt = hook_interrupt};
	size_t      size = (size_t) n * coder->shape.dim;
	uint16_t   *halves = sample_memory(sizeof(uint16_t) * size);
	KmeansInput points = {
		.chunks = (const uint16_t *const *) &halves,
		.chunk_shift = 31,
		.nsample = n,
		.dim = coder->shape.dim,
		.scratch = scratch,
		.seed = 11,
	};
	CodecTraining training = {&points, &hooks};
	float        *codebooks = sample_memory(sizeof(float) * coder_codebook_floats(coder));

	kernels->float_to_half(x, halves, size);
	coder_train(coder, &training, codebooks);
	coder->codebooks = codebooks;
	free(halves);
}

#define MAX_TRAINED 32

/*
 * Set codebooks trained on tokens like those of the tests. They are trained
 * once for each number of dims, because training takes long under emulation.
 */
static void
train_once(Coder *coder)
{
	static Coder trained[MAX_TRAINED];
	static int   ntrained;
	uint32_t     dim = coder->shape.dim;
	uint32_t     n = dim < 200 ? 2000 : 600;
	float       *x;

	for (int i = 0; i < ntrained; i++)
		if (trained[i].codec == coder->codec && trained[i].shape.dim == dim)
		{
			coder->codebooks = trained[i].codebooks;
			return;
		}
	if (ntrained == MAX_TRAINED)
		abort();
	x = cloud(n, dim, 0.7f, 1, false);
	train_coder(coder, x, n, 0);
	trained[ntrained++] = *coder;
	free(x);
}

/* Create a coder of a shape with all its parts. */
static Coder *
new_coder(const Codec *codec, uint32_t dim, bool has_add)
{
	Coder *coder = sample_memory(sizeof(Coder));

	/* Some of these do not divide the padded dims. */
	*coder =
		(Coder) {codec, {dim, has_add, dim < 32 ? 32 - dim / 2 : dim / 4}, new_rotation(dim, 7)};
	if (codec->train != NULL)
		train_once(coder);
	return coder;
}

static void
free_coder(Coder *coder)
{
	free((void *) coder->rotation);
	free(coder);
}

static float *
new_scratch(const Coder *coder)
{
	return sample_memory(sizeof(float) * (coder_scratch_floats(coder) + 1));
}

static uint8_t *
encode_rows(const Coder *coder, const float *x, uint32_t n)
{
	uint8_t *rows = sample_guarded(coder_row_size(coder) * n);
	float   *scratch = new_scratch(coder);

	coder_encode(coder, x, n, rows, scratch);
	free(scratch);
	return rows;
}

static CodecQuery *
new_query(const Coder *coder, const float *q, uint32_t nqueries)
{
	return coder_query_prepare(coder, q, nqueries,
							   sample_memory(coder_query_size(coder, nqueries)));
}

/* Return the keys of one row, or the maxima of several rows, in the query's slots. */
static float *
best_keys(const Coder *coder, const CodecQuery *query, const uint8_t *rows, uint32_t n)
{
	uint32_t slots = coder_query_slots(coder, query);
	float   *best = sample_memory(sizeof(float) * slots);

	for (uint32_t t = 0; t < slots; t++)
		best[t] = -INFINITY;
	coder_score_rows(coder, query, rows, n / 2, best);
	coder_score_rows(coder, query, rows + n / 2 * coder_row_size(coder), n - n / 2, best);
	return best;
}

/* Errors, relative to the lengths of the vectors. */
typedef struct RowErrors
{
	double decode; /* root mean square of |x' - x| */
	double key;    /* root mean square of the error of a key */
	double widest_key;
	double exactness; /* maximum difference between a key and that of the decoded token */
	bool   maxima;    /* a single run over all rows gives the maximum key */
} RowErrors;

/* Decode and score n tokens one by one, then in one run. */
static RowErrors
row_errors(const Coder *coder, const float *x, uint32_t n, const float *q, uint32_t nqueries)
{
	uint32_t    dim = coder->shape.dim;
	bool        has_add = coder->shape.has_add;
	size_t      row_size = coder_row_size(coder);
	uint8_t    *rows = encode_rows(coder, x, n);
	CodecQuery *query = new_query(coder, q, nqueries);
	float      *scratch = new_scratch(coder);
	float      *decoded = sample_memory(sizeof(float) * dim);
	float      *all = best_keys(coder, query, rows, n);
	float      *largest = sample_memory(sizeof(float) * nqueries);
	RowErrors   errors = {0, 0, 0, 0, true};

	for (uint32_t t = 0; t < nqueries; t++)
		largest[t] = -INFINITY;
	for (uint32_t i = 0; i < n; i++)
	{
		const float *token = x + (size_t) i * dim;
		double       square = inner(token, token, dim);
		float       *best = best_keys(coder, query, rows + i * row_size, 1);
		double       off = 0;

		coder_decode(coder, rows + i * row_size, decoded, scratch);
		for (uint32_t k = 0; k < dim; k++)
			off += ((double) decoded[k] - token[k]) * ((double) decoded[k] - token[k]);
		errors.decode += off / square / n;
		for (uint32_t t = 0; t < nqueries; t++)
		{
			const float *qt = q + (size_t) t * dim;
			double       lengths = sqrt(inner(qt, qt, dim) * square) + (has_add ? square : 0);
			double       key = (best[t] - exact_key(qt, token, dim, has_add)) / lengths;

			errors.key += key * key / n / nqueries;
			errors.widest_key = fmax(errors.widest_key, fabs(key));
			errors.exactness = fmax(errors.exactness,
									fabs(best[t] - exact_key(qt, decoded, dim, has_add)) / lengths);
			largest[t] = fmaxf(largest[t], best[t]);
		}
		free(best);
	}
	for (uint32_t t = 0; t < nqueries; t++)
		errors.maxima = errors.maxima && same_float(all[t], largest[t]);
	errors.decode = sqrt(errors.decode);
	errors.key = sqrt(errors.key);
	free(largest);
	free(all);
	free(decoded);
	free(scratch);
	free(query);
	sample_guarded_free(rows, row_size * n);
	return errors;
}

/*
 * Maximum errors of a codec: of decoded tokens, and of keys compared with
 * those of decoded tokens. The error of a key compared with the exact key
 * follows from these: the error of a token has no preferred direction, so a
 * key contains the error of a single dim.
 */
typedef struct CodecBounds
{
	const Codec *codec;
	double       decode;
	double       exactness;
} CodecBounds;

static const CodecBounds bounds[] = {
	{&codec_sq8, 0.009, 0.008},
	{&codec_sq4, 0.11, 0.008},
	{&codec_flat, 0, 1e-6},
	{&codec_pq, 0.45, 1e-5},
};

#define NBOUNDS (sizeof(bounds) / sizeof(bounds[0]))

static void
test_rows(const CodecBounds *bound, uint32_t dim, bool has_add, uint32_t nqueries)
{
	Coder    *coder = new_coder(bound->codec, dim, has_add);
	float    *x = cloud(37, dim, 0.7f, 1, false);
	float    *q = cloud(nqueries, dim, 0.7f, 1, false);
	RowErrors errors = row_errors(coder, x, 37, q, nqueries);
	double    key_bound = 1.5 * bound->decode / sqrt(dim < 4 ? 1 : dim) + bound->exactness;

	/*
	 * For L2, a key refers to the distance to the decoded token, which is
	 * shorter the coarser the code is.
	 */
	if (has_add)
		key_bound += errors.decode * errors.decode / 2;

	tap_ok(errors.decode <= bound->decode && errors.exactness <= bound->exactness &&
			   errors.key <= key_bound && errors.widest_key <= 6 * key_bound && errors.maxima,
		   "%s, %u dims, %s: decoded within %.2g, keys within %.2g "
		   "(bound %.2g; %.2g from the decoded token's), maxima of runs",
		   bound->codec->name, dim, has_add ? "L2" : "inner product", errors.decode, errors.key,
		   errors.widest_key, errors.exactness);
	free(q);
	free(x);
	free_coder(coder);
}

static void
test_all_rows(const CodecBounds *bound)
{
	const uint32_t dims[] = {1, 2, 3, 5, 31, 33, 64, 96, 100, 128, 768, 1000};
	const uint32_t queries[] = {1, 4, 5, 16, 33};

	for (size_t i = 0; i < sizeof(dims) / sizeof(dims[0]); i++)
	{
		/* Under emulation, training takes seconds, or minutes if there are many dims. */
		if (bound->codec->train != NULL && dims[i] != 3 && dims[i] != 33 && tap_brief())
		{
			tap_skip(bound->codec->name, "emulated: trained for 3 and 33 dims only");
			continue;
		}
		test_rows(bound, dims[i], false, queries[i % 5]);
		test_rows(bound, dims[i], true, queries[(i + 1) % 5]);
	}
}

/* Check that rows of tiny and huge tokens keep their proportions. */
static void
test_row_sizes(const CodecBounds *bound)
{
	const float sizes[] = {1e-30f, 1e-10f, 1e10f, 1e18f, 1e36f};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		Coder    *coder = new_coder(bound->codec, 48, false);
		float    *x = cloud(10, 48, 0, sizes[i], false);
		float    *q = cloud(3, 48, 0, 1, true);
		RowErrors errors = row_errors(coder, x, 10, q, 3);

		tap_ok(errors.decode <= bound->decode && errors.exactness <= bound->exactness &&
				   errors.maxima,
			   "%s: tokens of length %g", bound->codec->name, sizes[i]);
		free(q);
		free(x);
		free_coder(coder);
	}
}

/* Check that any token can be encoded, and that its key is finite if that of the token is. */
static void
test_hostile_rows(const Codec *codec)
{
	const float    values[] = {0.0f, -0.0f, 1e-45f, -1e-38f, 1.0f, 3e37f, -3.4e38f};
	const uint32_t dims[] = {1, 33, 48};

	for (size_t d = 0; d < sizeof(dims) / sizeof(dims[0]); d++)
		for (int has_add = 0; has_add <= 1; has_add++)
		{
			uint32_t    dim = dims[d];
			Coder      *coder = new_coder(codec, dim, has_add);
			float      *q = cloud(1, dim, 0, 1, true);
			CodecQuery *query = new_query(coder, q, 1);
			float      *token = sample_memory(sizeof(float) * dim);
			bool        good = true;

			for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
			{
				uint8_t *row;
				float   *best;

				for (uint32_t k = 0; k < dim; k++)
					token[k] = values[i];
				row = encode_rows(coder, token, 1);
				best = best_keys(coder, query, row, 1);
				good = good && (fabsf(values[i]) > 1e18f || isfinite(best[0])) &&
					   (values[i] != 0 || best[0] == 0 || codec->train != NULL);
				free(best);
				sample_guarded_free(row, coder_row_size(coder));
			}
			tap_ok(good, "%s, %u dims, %s: zeros score 0, constants are finite", codec->name, dim,
				   has_add ? "L2" : "inner product");
			free(token);
			free(query);
			free(q);
			free_coder(coder);
		}
}

/* Check that scoring no rows reads nothing and changes no maximum. */
static void
test_no_rows(const Codec *codec)
{
	Coder      *coder = new_coder(codec, 40, true);
	float      *q = cloud(5, 40, 0, 1, true);
	CodecQuery *query = new_query(coder, q, 5);
	float      *best = best_keys(coder, query, NULL, 0);
	bool        untouched = true;

	for (uint32_t t = 0; t < coder_query_slots(coder, query); t++)
		untouched = untouched && best[t] == -INFINITY;
	tap_ok(untouched, "%s: no rows", codec->name);
	free(best);
	free(query);
	free(q);
	free_coder(coder);
}

/*
 * Check that the nearest row by L2 key is the nearest point: a stored token is
 * nearest to itself.
 */
static void
test_nearest_by_l2(const Codec *codec)
{
	enum
	{
		DIM = 64,
		TOKENS = 200
	};
	Coder   *coder = new_coder(codec, DIM, true);
	float   *x = cloud(TOKENS, DIM, 2.0f, 1, false);
	uint8_t *rows = encode_rows(coder, x, TOKENS);
	uint32_t right = 0;

	for (uint32_t i = 0; i < TOKENS; i++)
	{
		CodecQuery *query = new_query(coder, x + (size_t) i * DIM, 1);
		uint32_t    nearest = 0;
		float       most = -INFINITY;

		for (uint32_t j = 0; j < TOKENS; j++)
		{
			float *best = best_keys(coder, query, rows + j * coder_row_size(coder), 1);

			if (best[0] > most)
			{
				most = best[0];
				nearest = j;
			}
			free(best);
		}
		right += nearest == i;
		free(query);
	}
	tap_ok(right >= TOKENS * (codec->train != NULL ? 0.9 : 1),
		   "%s, L2: %u of %d tokens are nearest to themselves", codec->name, right, TOKENS);
	sample_guarded_free(rows, coder_row_size(coder) * TOKENS);
	free(x);
	free_coder(coder);
}

/*
 * Check that all instruction sets encode the same rows, because an index may
 * move to another machine.
 */
static void
test_same_rows(const Codec *codec)
{
	Coder       *coder = new_coder(codec, 100, true);
	float       *x = cloud(60, 100, 0.7f, 1, false);
	size_t       size = coder_row_size(coder) * 60;
	const float *codebooks = NULL;
	uint8_t     *expected;
	bool         same = true;

	kernels_select("scalar");
	expected = encode_rows(coder, x, 60);
	for (const char *const *name = kernels_names(); *name != NULL; name++)
		if (kernels_select(*name))
		{
			uint8_t *rows = encode_rows(coder, x, 60);

			if (codec->train != NULL)
			{
				const float *trained = coder->codebooks;

				train_coder(coder, x, 60, 0);
				if (codebooks == NULL)
					codebooks = coder->codebooks;
				else
				{
					same = same && memcmp(codebooks, coder->codebooks,
										  sizeof(float) * coder_codebook_floats(coder)) == 0;
					free((void *) coder->codebooks);
				}
				coder->codebooks = trained;
			}
			same = same && memcmp(rows, expected, size) == 0;
			sample_guarded_free(rows, size);
		}
	kernels_init();
	tap_ok(same, "%s: the same rows from all instruction sets", codec->name);
	free((void *) codebooks);
	sample_guarded_free(expected, size);
	free(x);
	free_coder(coder);
}

/* Check that the codebook of a part does not depend on the parts it is trained together with. */
static void
test_pq_grouping(void)
{
	Coder       *one = new_coder(&codec_pq, 96, false);
	float       *x = cloud(1000, 96, 0.7f, 1, false);
	const float *all;
	bool         same;

	train_coder(one, x, 1000, 1 << 24);
	all = one->codebooks;
	train_coder(one, x, 1000, 1000 * 9 * sizeof(float));
	same = memcmp(all, one->codebooks, sizeof(float) * coder_codebook_floats(one)) == 0;
	tap_ok(same, "pq: the same codebooks with less memory");
	free((void *) all);
	free((void *) one->codebooks);
	free(x);
	free_coder(one);
}

/* Check training on any sample: zeros, a single point, few points, lengths beyond binary16. */
static void
test_pq_hostile_sample(void)
{
	const float    sizes[] = {0.0f, 1e-30f, 1.0f, 1e6f, 1e30f};
	const uint32_t counts[] = {1, 2, 100, 700};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (size_t j = 0; j < sizeof(counts) / sizeof(counts[0]); j++)
		{
			Coder    *coder = new_coder(&codec_pq, 33, true);
			float    *x = cloud(counts[j], 33, 0.7f, sizes[i], false);
			RowErrors errors;
			bool      finite = true;

			for (uint32_t k = 0; k < counts[j] * 33 && sizes[i] == 0; k++)
				x[k] = 0;
			train_coder(coder, x, counts[j], 0);
			for (size_t k = 0; k < coder_codebook_floats(coder); k++)
				finite = finite && isfinite(coder->codebooks[k]);
			if (sizes[i] == 0)
				for (uint32_t k = 0; k < counts[j] * 33; k++)
					x[k] = 1;
			errors = row_errors(coder, x, counts[j], x, 1);
			tap_ok(finite && errors.maxima &&
					   (sizes[i] != 1.0f || counts[j] > 256 || errors.decode < 0.002),
				   "pq trained on %u tokens of size %g: decoded within %.2g", counts[j], sizes[i],
				   errors.decode);
			free((void *) coder->codebooks);
			free(x);
			free_coder(coder);
		}
}

static void
test_table(void)
{
	CodecShape shape = {128, true, 32};

	tap_ok(codec_by_name("sq8") == &codec_sq8 && codec_by_name("flat") == &codec_flat &&
			   codec_by_name("bit") == &codec_bit && codec_by_name("sq4") == &codec_sq4 &&
			   codec_by_name("pq") == &codec_pq,
		   "codecs by name");
	tap_ok(codec_by_name("none") == NULL && codec_by_name("") == NULL && codec_by_id(0) == NULL,
		   "no codec of other names");
	tap_ok(codec_by_id(1) == &codec_sq8 && codec_by_id(2) == &codec_flat &&
			   codec_by_id(3) == &codec_bit && codec_by_id(4) == &codec_sq4 &&
			   codec_by_id(5) == &codec_pq,
		   "codecs by number");
	tap_ok(codec_sq8.row_size(shape) == 136 && codec_flat.row_size(shape) == 516 &&
			   codec_bit.row_size(shape) == 0 && codec_sq4.row_size(shape) == 72 &&
			   codec_pq.row_size(shape) == 36,
		   "row sizes");
}

int
main(void)
{
	kernels_init();
	for (int has_add = 0; has_add <= 1; has_add++)
	{
		test_sketch_errors(64, 0, has_add);
		test_sketch_errors(100, 0.6f, has_add);
		test_sketch_errors(128, 0, has_add);
		test_sketch_errors(128, 0.6f, has_add);
		test_sketch_errors(768, 0.6f, has_add);
		test_sketch_layout(has_add);
	}
	test_sketch_shared_norm();
	test_sketch_extremes();
	test_table();
	for (size_t i = 0; i < NBOUNDS; i++)
	{
		test_all_rows(&bounds[i]);
		if (bounds[i].codec->train == NULL)
			test_row_sizes(&bounds[i]);
		test_hostile_rows(bounds[i].codec);
		test_no_rows(bounds[i].codec);
		test_nearest_by_l2(bounds[i].codec);
		test_same_rows(bounds[i].codec);
	}
	test_pq_grouping();
	test_pq_hostile_sample();
	return tap_done();
}
