/*-------------------------------------------------------------------------
 *
 * nearest.c
 *	  Find the nearest centroid of each of a chunk of points.
 *
 * Points and centroids are first compared in eight bits by the sq8 kernels:
 * points are the packed query, centroids the rows. Centroids that could be the
 * nearest, given the rounding of the codes, are then measured in floats. With
 * VNNI that is three times as fast as floats alone, and elsewhere no slower.
 *
 * The rounding error: with x = x' + a and c = c' + b for codes x' and c', and
 * keys <x', c'> - |c'|^2/2 = (|x'|^2 - |x' - c'|^2) / 2,
 *
 *		|x - c|^2 = |x' - c'|^2 + 2 <x' - c', a - b> + |a - b|^2
 *
 * Rounding is uniform. With s the larger step of both, the second term has a
 * standard deviation of 2 |x' - c'| s / sqrt(6). The third has a mean of
 * dim s^2 / 6 and a standard deviation of .2 sqrt(dim) s^2. So the difference
 * of two keys has an error with a standard deviation of
 *
 *		s sqrt(|x' - c'|^2 / 3 + .02 dim s^2)
 *
 * The result for a point does not depend on the points beside it.
 *
 *-------------------------------------------------------------------------
 */
#include "kmeans/internal.h"

#include <math.h>
#include <string.h>

#include "base/prefetch.h"
#include "base/vec.h"

/* Multiply-adds between two interrupt checks: 3 ms with the slowest kernel. */
#define INTERRUPT_WORK (1 << 20)

/* Dims of a packed chunk that fit in the first-level cache. */
#define CHUNK_DIMS       8192
#define MIN_CHUNK_POINTS 16

/* Keys within this many standard deviations of the largest are measured. */
#define ROUNDING_DEVIATIONS 4

#define KEYS_ALIGNMENT 64

/* A centroid whose step is more than this many times the mean step is always measured. */
#define COARSE_TIMES 4

/* Maximum pairs that wait to be measured, and pairs to prefetch ahead of the one being measured. */
#define MAX_PAIRS      256
#define PREFETCH_PAIRS 4

_Static_assert(MAX_PAIRS >= MAX_CHUNK_POINTS, "there is room for the pairs of a centroid");

void *
kmeans_alloc(const KmeansHooks *hooks, size_t n, size_t a, size_t b)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, a, &bytes) || __builtin_mul_overflow(bytes, b, &bytes))
		bytes = SIZE_MAX;
	return hooks->alloc(hooks->arg, bytes > 0 ? bytes : 1);
}

void *
kmeans_share(const KmeansHooks *hooks, size_t n, size_t a, size_t b)
{
	size_t bytes;

	if (hooks->team == NULL)
		return kmeans_alloc(hooks, n, a, b);
	if (__builtin_mul_overflow(n, a, &bytes) || __builtin_mul_overflow(bytes, b, &bytes))
		bytes = SIZE_MAX;
	return hooks->team->alloc_shared(hooks->team->arg, bytes > 0 ? bytes : 1);
}

void
kmeans_unshare(const KmeansHooks *hooks, void *memory)
{
	if (hooks->team == NULL)
		hooks->release(hooks->arg, memory);
	else
		hooks->team->free_shared(hooks->team->arg, memory);
}

/* ---- Rows in eight bits ---- */

static inline float
code_scale(const uint8_t *code)
{
	float scale;

	memcpy(&scale, code, sizeof(scale));
	return scale;
}

static inline float
code_add(const uint8_t *code)
{
	float add;

	memcpy(&add, code + sizeof(float), sizeof(add));
	return add;
}

static inline void
set_code_add(uint8_t *code, float add)
{
	memcpy(code + sizeof(float), &add, sizeof(add));
}

void
coded_init(CodedRows *coded, uint32_t capacity, uint32_t dim, const KmeansHooks *hooks)
{
	coded->codes = kmeans_alloc(hooks, capacity, 1, coded_row_size(dim));
	coded->squared = kmeans_alloc(hooks, capacity, 1, sizeof(float));
	coded->nrows = 0;
}

void
coded_release(CodedRows *coded, const KmeansHooks *hooks)
{
	hooks->release(hooks->arg, coded->squared);
	hooks->release(hooks->arg, coded->codes);
}

/*
 * Set the addends of rows to NaN that are much coarser than the mean, or not
 * finite: see CodedRows.
 */
static void
silence_coarse_rows(CodedRows *coded, uint32_t dim)
{
	double sum = 0;
	float  bound;

	for (uint32_t i = 0; i < coded->nrows; i++)
	{
		float scale = code_scale(coded->codes + i * coded_row_size(dim));

		sum += isfinite(scale) ? scale : 0;
	}
	bound = (float) (COARSE_TIMES * sum / coded->nrows);
	for (uint32_t i = 0; i < coded->nrows; i++)
	{
		uint8_t *code = coded->codes + i * coded_row_size(dim);

		if (code_scale(code) > bound || !isfinite(vec_squared(coded->rows + (size_t) i * dim, dim)))
			set_code_add(code, NAN);
	}
}

static void
encode_rows(CodedRows *coded, const float *rows, uint32_t nrows, uint32_t dim,
			const KmeansHooks *hooks)
{
	coded->rows = rows;
	coded->nrows = nrows;
	for (uint32_t i = 0; i < nrows; i++)
	{
		uint8_t *code = coded->codes + i * coded_row_size(dim);

		if (i % 64 == 0)
			hooks->interrupt(hooks->arg);
		kernels->sq8_encode(rows + (size_t) i * dim, dim, true, 0, code);
		set_code_add(code, -0.5f * kernels->sq8_squared(code, dim, true));
	}
}

void
coded_encode_points(CodedRows *coded, const float *rows, uint32_t nrows, uint32_t dim,
					const KmeansHooks *hooks)
{
	encode_rows(coded, rows, nrows, dim, hooks);
	for (uint32_t i = 0; i < nrows; i++)
		coded->squared[i] = vec_squared(rows + (size_t) i * dim, dim);
}

void
coded_encode_centroids(CodedRows *coded, const float *rows, uint32_t nrows, uint32_t dim,
					   const KmeansHooks *hooks)
{
	encode_rows(coded, rows, nrows, dim, hooks);
	silence_coarse_rows(coded, dim);
	coded_view(coded, rows, coded->codes, nrows, dim);
}

void
coded_view(CodedRows *coded, const float *rows, uint8_t *codes, uint32_t nrows, uint32_t dim)
{
	coded->rows = rows;
	coded->codes = codes;
	coded->nrows = nrows;
	coded->coarsest = 0;
	for (uint32_t i = 0; i < nrows; i++)
	{
		const uint8_t *code = codes + i * coded_row_size(dim);

		if (code_add(code) == code_add(code) && code_scale(code) > coded->coarsest)
			coded->coarsest = code_scale(code);
	}
}

/* ---- A chunk of points ---- */

void
nearest_init(Nearest *nearest, uint32_t dim, const KmeansHooks *hooks)
{
	uint32_t chunk = CHUNK_DIMS / dim / 16 * 16;
	uint32_t run;

	chunk = chunk > MAX_CHUNK_POINTS   ? MAX_CHUNK_POINTS
			: chunk < MIN_CHUNK_POINTS ? MIN_CHUNK_POINTS
									   : chunk;
	run = INTERRUPT_WORK / (chunk * dim) / 8 * 8;
	nearest->hooks = hooks;
	nearest->dim = dim;
	nearest->chunk = chunk;
	nearest->run = run > 0 ? run : 8;
	nearest->points = kmeans_alloc(hooks, chunk, dim, sizeof(float));
	coded_init(&nearest->coded, chunk, dim, hooks);
	nearest->which = kmeans_alloc(hooks, chunk, 1, sizeof(uint32_t));
	nearest->code_rows = kmeans_alloc(hooks, chunk, 1, sizeof(uint8_t *));
	nearest->memory = kmeans_alloc(hooks, 1, 1, kernel_sq8_query_size(chunk, dim));
	nearest->keys_memory =
		kmeans_alloc(hooks, (size_t) nearest->run * chunk + KEYS_ALIGNMENT, 1, sizeof(float));
	nearest->keys = (float *) (((uintptr_t) nearest->keys_memory + KEYS_ALIGNMENT - 1) &
							   ~(uintptr_t) (KEYS_ALIGNMENT - 1));
	nearest->reaching = kmeans_alloc(hooks, nearest->run, 1, sizeof(uint32_t));
	nearest->largest = kmeans_alloc(hooks, chunk, 1, sizeof(float));
	nearest->least = kmeans_alloc(hooks, chunk, 1, sizeof(float));
	nearest->distance = kmeans_alloc(hooks, chunk, 1, sizeof(float));
	nearest->row = kmeans_alloc(hooks, chunk, 1, sizeof(uint32_t));
	nearest->pairs = kmeans_alloc(hooks, MAX_PAIRS, 1, sizeof(NearPair));
	nearest->npairs = 0;
	nearest->query = NULL;
}

void
nearest_release(Nearest *nearest)
{
	const KmeansHooks *hooks = nearest->hooks;
	void *const        parts[] = {
        nearest->pairs,     nearest->row,      nearest->distance,    nearest->least,
        nearest->largest,   nearest->reaching, nearest->keys_memory, nearest->memory,
        nearest->code_rows, nearest->which,    nearest->points,
    };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		hooks->release(hooks->arg, parts[i]);
	coded_release(&nearest->coded, hooks);
}

void
nearest_pack(Nearest *nearest, const CodedRows *points, const uint32_t *which, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
	{
		nearest->which[i] = which != NULL ? which[i] : i;
		nearest->code_rows[i] = points->codes + nearest->which[i] * coded_row_size(nearest->dim);
	}
	nearest->from = points;
	nearest->npacked = n;
	nearest->query =
		kernel_sq8_pack_rows(nearest->memory, nearest->code_rows, n, nearest->dim, true);
}

void
nearest_pack_points(Nearest *nearest, uint32_t n)
{
	coded_encode_points(&nearest->coded, nearest->points, n, nearest->dim, nearest->hooks);
	nearest_pack(nearest, &nearest->coded, NULL, n);
}

uint32_t
nearest_keys(Nearest *nearest, const CodedRows *centroids, uint32_t first)
{
	uint32_t left = centroids->nrows - first;
	uint32_t n = left < nearest->run ? left : nearest->run;

	kernels->sq8_keys(nearest->query, centroids->codes + first * coded_row_size(nearest->dim), n,
					  true, nearest->keys);
	nearest->hooks->interrupt(nearest->hooks->arg);
	return n;
}

float
nearest_squared(const Nearest *nearest, uint32_t point)
{
	return -2 * code_add(nearest->code_rows[point]);
}

float
nearest_exact_key(const Nearest *nearest, const CodedRows *centroids, uint32_t row, uint32_t point)
{
	float distance =
		vec_squared_distance(nearest->from->rows + (size_t) nearest->which[point] * nearest->dim,
							 centroids->rows + (size_t) row * nearest->dim, nearest->dim);

	return 0.5f * (nearest_squared(nearest, point) - distance);
}

/* ---- The nearest centroid ---- */

/* Return the larger of the steps of a point's code and of the centroids' codes. */
static inline float
step_of(const Nearest *nearest, const CodedRows *centroids, uint32_t i)
{
	float scale = nearest->query->scale[i];

	return scale > centroids->coarsest ? scale : centroids->coarsest;
}

/* Set the keys that codes must reach, given the largest keys so far. */
static void
set_least(Nearest *nearest, const CodedRows *centroids)
{
	uint32_t slots = nearest_slots(nearest);

	for (uint32_t i = 0; i < nearest->npacked; i++)
	{
		float step = step_of(nearest, centroids, i);
		float squared = nearest_squared(nearest, i) - 2 * nearest->largest[i];
		float spread = (squared > 0 ? squared : 0) / 3 + 0.02f * (float) nearest->dim * step * step;

		nearest->least[i] = nearest->largest[i] - ROUNDING_DEVIATIONS * step * sqrtf(spread);
	}
	for (uint32_t i = nearest->npacked; i < slots; i++)
		nearest->least[i] = INFINITY;
}

static inline const float *
point_of(const Nearest *nearest, uint32_t slot)
{
	return nearest->from->rows + (size_t) nearest->which[slot] * nearest->dim;
}

static inline void
prefetch_floats(const float *row, uint32_t dim)
{
	prefetch_bytes(row, dim * sizeof(float));
}

/* Measure the pairs that wait for it, in the order in which they were added. */
static void
measure_pairs(Nearest *nearest, const CodedRows *centroids)
{
	for (uint32_t i = 0; i < nearest->npairs; i++)
	{
		NearPair pair = nearest->pairs[i];
		float    distance;

		if (i + PREFETCH_PAIRS < nearest->npairs)
		{
			prefetch_floats(point_of(nearest, nearest->pairs[i + PREFETCH_PAIRS].slot),
							nearest->dim);
			prefetch_floats(centroids->rows +
								(size_t) nearest->pairs[i + PREFETCH_PAIRS].row * nearest->dim,
							nearest->dim);
		}
		distance =
			vec_squared_distance(point_of(nearest, pair.slot),
								 centroids->rows + (size_t) pair.row * nearest->dim, nearest->dim);
		if (distance < nearest->distance[pair.slot])
		{
			nearest->distance[pair.slot] = distance;
			nearest->row[pair.slot] = pair.row;
		}
	}
	nearest->npairs = 0;
}

/*
 * Add the pairs of a centroid and the points for which it could be the nearest.
 * No branch depends on a key: it would be mispredicted.
 */
static void
note_pairs(Nearest *nearest, const CodedRows *centroids, uint32_t row, const float *keys)
{
	if (nearest->npairs + nearest->npacked > MAX_PAIRS)
		measure_pairs(nearest, centroids);
	for (uint32_t i = 0; i < nearest->npacked; i++)
	{
		nearest->pairs[nearest->npairs] = (NearPair) {row, i};
		nearest->npairs += !(keys[i] < nearest->least[i]);
	}
}

void
nearest_find(Nearest *nearest, const CodedRows *centroids)
{
	uint32_t slots = nearest_slots(nearest);

	for (uint32_t i = 0; i < slots; i++)
		nearest->largest[i] = -INFINITY;
	for (uint32_t i = 0; i < nearest->npacked; i++)
	{
		float step = step_of(nearest, centroids, i);

		nearest->largest[i] = 0.5f * (nearest_squared(nearest, i) - nearest->distance[i] -
									  (float) nearest->dim * step * step / 6);
	}
	for (uint32_t start = 0; start < centroids->nrows;)
	{
		uint32_t n = nearest_keys(nearest, centroids, start);
		uint32_t nreaching;

		kernels->keys_max(nearest->keys, n, slots, nearest->largest);
		set_least(nearest, centroids);
		nreaching =
			kernels->keys_at_least(nearest->keys, n, slots, nearest->least, nearest->reaching);
		for (uint32_t i = 0; i < nreaching; i++)
			note_pairs(nearest, centroids, start + nearest->reaching[i],
					   nearest->keys + (size_t) nearest->reaching[i] * slots);
		start += n;
	}
	measure_pairs(nearest, centroids);
}

void
nearest_find_any(Nearest *nearest, const CodedRows *centroids)
{
	for (uint32_t i = 0; i < nearest->npacked; i++)
	{
		nearest->distance[i] = INFINITY;
		nearest->row[i] = 0;
	}
	nearest_find(nearest, centroids);
}
