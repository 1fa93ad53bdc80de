/*-------------------------------------------------------------------------
 *
 * kmeans_nearest.c
 *	  The nearest of some centroids to each of a chunk of points.
 *
 * The points are the packed query of a maxsim kernel, the centroids its rows:
 * running maxima with their rows are all that an assignment needs.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/kmeans_internal.h"

#include <math.h>

/* Multiply-adds between two looks for interrupts: 3 ms of the slowest kernel. */
#define INTERRUPT_WORK (1 << 20)

/* Floats of a packed chunk that stay in the first-level cache. */
#define CHUNK_FLOATS 8192
#define CHUNK_MOST 64
#define CHUNK_LEAST 16

void *
kmeans_alloc(const KmeansHooks *hooks, size_t n, size_t a, size_t b)
{
	size_t		bytes;

	if (__builtin_mul_overflow(n, a, &bytes) || __builtin_mul_overflow(bytes, b, &bytes))
		bytes = SIZE_MAX;
	return hooks->alloc(hooks->arg, bytes > 0 ? bytes : 1);
}

void *
kmeans_share(const KmeansHooks *hooks, size_t n, size_t a, size_t b)
{
	size_t		bytes;

	if (hooks->team == NULL)
		return kmeans_alloc(hooks, n, a, b);
	if (__builtin_mul_overflow(n, a, &bytes) || __builtin_mul_overflow(bytes, b, &bytes))
		bytes = SIZE_MAX;
	return hooks->team->share(hooks->team->arg, bytes > 0 ? bytes : 1);
}

void
kmeans_unshare(const KmeansHooks *hooks, void *memory)
{
	if (hooks->team == NULL)
		hooks->release(hooks->arg, memory);
	else
		hooks->team->unshare(hooks->team->arg, memory);
}

void
kmeans_adds(const float *rows, uint32_t nrows, uint32_t dim, float *add, const KmeansHooks *hooks)
{
	for (uint32_t i = 0; i < nrows; i++)
	{
		const float *row = rows + (size_t) i * dim;
		float		s[8] = {0};
		uint32_t	k = 0;

		if (i % 64 == 0)
			hooks->interrupt(hooks->arg);
		for (; k + 8 <= dim; k += 8)
			for (int j = 0; j < 8; j++)
				s[j] += row[k + j] * row[k + j];
		for (; k < dim; k++)
			s[k % 8] += row[k] * row[k];
		add[i] = -0.5f * (((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7])));
	}
}

void
nearest_init(Nearest *nearest, uint32_t dim, const KmeansHooks *hooks)
{
	uint32_t	chunk = CHUNK_FLOATS / dim / 16 * 16;
	uint32_t	run;

	chunk = chunk > CHUNK_MOST ? CHUNK_MOST : chunk < CHUNK_LEAST ? CHUNK_LEAST : chunk;
	run = INTERRUPT_WORK / (chunk * dim) / 8 * 8;
	nearest->hooks = hooks;
	nearest->dim = dim;
	nearest->chunk = chunk;
	nearest->run = run > 0 ? run : 8;
	nearest->points = kmeans_alloc(hooks, chunk, dim, sizeof(float));
	nearest->memory = kmeans_alloc(hooks, 1, 1, kernel_query_size(chunk, dim));
	nearest->best = kmeans_alloc(hooks, nearest_slots(nearest), 1, sizeof(float));
	nearest->best_row = kmeans_alloc(hooks, nearest_slots(nearest), 1, sizeof(uint32_t));
	nearest->query = NULL;
}

void
nearest_release(Nearest *nearest)
{
	const KmeansHooks *hooks = nearest->hooks;

	hooks->release(hooks->arg, nearest->points);
	hooks->release(hooks->arg, nearest->memory);
	hooks->release(hooks->arg, nearest->best);
	hooks->release(hooks->arg, nearest->best_row);
}

void
nearest_pack(Nearest *nearest, uint32_t n)
{
	nearest->query = kernel_query_pack(nearest->memory, nearest->points, n, nearest->dim);
}

/* The rows from 'start' on, as many as one kernel call takes. */
static KernelRows
run_of(const Nearest *nearest, const CentroidRows *centroids, uint32_t start)
{
	uint32_t	left = centroids->nrows - start;
	KernelRows	rows = {
		.rows = centroids->rows + (size_t) start * nearest->dim,
		.stride = sizeof(float) * (size_t) nearest->dim,
		.element = KERNEL_FLOAT4,
		.nrows = left < nearest->run ? left : nearest->run,
		.first = centroids->first + start,
		.add = centroids->add + start,
		.param_stride = sizeof(float),
	};

	return rows;
}

void
nearest_find(Nearest *nearest, const CentroidRows *centroids)
{
	uint32_t	slots = kernel_query_slots(nearest->query);

	for (uint32_t i = 0; i < slots; i++)
	{
		nearest->best[i] = -INFINITY;
		nearest->best_row[i] = centroids->first;
	}
	for (uint32_t start = 0; start < centroids->nrows; start += nearest->run)
	{
		KernelRows	rows = run_of(nearest, centroids, start);

		kernels->maxsim_rows(nearest->query, &rows, nearest->best, nearest->best_row);
		nearest->hooks->interrupt(nearest->hooks->arg);
	}
}

void
nearest_keys(Nearest *nearest, const CentroidRows *centroids, float *out)
{
	uint32_t	slots = kernel_query_slots(nearest->query);

	for (uint32_t start = 0; start < centroids->nrows; start += nearest->run)
	{
		KernelRows	rows = run_of(nearest, centroids, start);

		kernels->dot_matrix(nearest->query, &rows, out + (size_t) start * slots);
		nearest->hooks->interrupt(nearest->hooks->arg);
	}
}
