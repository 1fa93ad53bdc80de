/*-------------------------------------------------------------------------
 *
 * timing.c
 *	  Time the parts of a build that need no server, on one thread.
 *
 *	build_timing kernel
 *		wall seconds of a fixed number of calls of the k-means kernel
 *	build_timing kmeans FILE DIM LISTS POINTS ITERATIONS
 *		CPU seconds of k-means over POINTS tokens of FILE (binary16, evenly
 *		chosen), and of assigning all its tokens; and the mean squared distance
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kmeans/kmeans.h"
#include "kernels/kernels.h"

/*
 * Tokens and rows of a kernel call, which fit in the cache as in an
 * assignment, and the number of calls, which take two seconds with AVX-512.
 */
#define KERNEL_DIM    128
#define KERNEL_TOKENS 64
#define KERNEL_ROWS   128
#define KERNEL_RUNS   80000

/* The same values as in a build. */
#define ASSIGN_PARENTS 4
#define ASSIGN_CHUNK   16384

/* Written to prevent the compiler from removing the timed code. */
static volatile float sink;

static double
seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double) now.tv_sec + 1e-9 * (double) now.tv_nsec;
}

static void *
allocate(void *arg, size_t bytes)
{
	void *memory = malloc(bytes);

	(void) arg;
	if (memory == NULL)
		abort();
	return memory;
}

static void
release(void *arg, void *memory)
{
	(void) arg;
	free(memory);
}

static void
no_interrupt(void *arg)
{
	(void) arg;
}

static const KmeansHooks hooks = {.alloc = allocate, .release = release, .interrupt = no_interrupt};

static void
time_kernel(void)
{
	float     *values = malloc(sizeof(float) * KERNEL_DIM * (KERNEL_TOKENS + KERNEL_ROWS));
	float     *rows = values + KERNEL_DIM * KERNEL_TOKENS;
	void      *memory = malloc(kernel_query_size(KERNEL_TOKENS, KERNEL_DIM));
	float      best[KERNEL_TOKENS];
	uint32_t   best_row[KERNEL_TOKENS];
	KernelRows run = {
		.rows = rows,
		.stride = sizeof(float) * KERNEL_DIM,
		.element = KERNEL_FLOAT4,
		.nrows = KERNEL_ROWS,
	};
	KernelQuery *query;
	double       start;

	for (int i = 0; i < KERNEL_DIM * (KERNEL_TOKENS + KERNEL_ROWS); i++)
		values[i] = (float) (i * 7919 % 1000) / 1000;
	query = kernel_query_pack(memory, values, KERNEL_TOKENS, KERNEL_DIM);
	memset(best, 0, sizeof(best));
	start = seconds(CLOCK_MONOTONIC);
	for (int i = 0; i < KERNEL_RUNS; i++)
		kernels->maxsim_rows(query, &run, best, best_row);
	sink = best[0];
	printf("{\"seconds\": %.4f}\n", seconds(CLOCK_MONOTONIC) - start);
	free(memory);
	free(values);
}

static uint16_t *
read_tokens(const char *path, size_t dim, size_t *n)
{
	FILE     *file = fopen(path, "rb");
	uint16_t *tokens;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0)
	{
		perror(path);
		exit(1);
	}
	*n = (size_t) ftell(file) / (sizeof(uint16_t) * dim);
	rewind(file);
	tokens = malloc(*n * dim * sizeof(uint16_t));
	if (tokens == NULL || fread(tokens, dim * sizeof(uint16_t), *n, file) != *n)
	{
		perror(path);
		exit(1);
	}
	fclose(file);
	return tokens;
}

/* Assign all tokens and return the mean squared distance. */
static double
assign(const KmeansResult *trained, const uint16_t *tokens, size_t n, uint32_t dim)
{
	KmeansAssigner *assigner = kmeans_assigner_create(trained, dim, ASSIGN_PARENTS, &hooks);
	float          *chunk = malloc(sizeof(float) * ASSIGN_CHUNK * dim);
	uint32_t       *centroids = malloc(sizeof(uint32_t) * ASSIGN_CHUNK);
	float          *keys = malloc(sizeof(float) * ASSIGN_CHUNK);
	double          sum = 0;

	for (size_t start = 0; start < n; start += ASSIGN_CHUNK)
	{
		uint32_t count = n - start < ASSIGN_CHUNK ? (uint32_t) (n - start) : ASSIGN_CHUNK;

		kernels->half_to_float(tokens + start * dim, chunk, (size_t) count * dim);
		kmeans_assign(assigner, chunk, count, centroids, keys);
		for (size_t i = 0; i < count; i++)
		{
			float length = 0;

			for (uint32_t k = 0; k < dim; k++)
				length += chunk[i * dim + k] * chunk[i * dim + k];
			sum += length - 2 * keys[i];
		}
	}
	kmeans_assigner_release(assigner);
	free(keys);
	free(centroids);
	free(chunk);
	return sum / (double) n;
}

static void
time_kmeans(char **argv)
{
	size_t          n;
	uint32_t        dim = (uint32_t) atoi(argv[1]);
	uint16_t       *tokens = read_tokens(argv[0], dim, &n);
	size_t          npoints = (size_t) atol(argv[3]) < n ? (size_t) atol(argv[3]) : n;
	uint32_t       *rows = malloc(sizeof(uint32_t) * npoints);
	const uint16_t *chunks[] = {tokens};
	KmeansInput     input = {
			.chunks = chunks,
			.chunk_shift = 31,
			.rows = rows,
			.nsample = npoints,
			.dim = dim,
			.ncentroids = (uint32_t) atoi(argv[2]),
			.iterations = (uint32_t) atoi(argv[4]),
			.seed = 1,
    };
	KmeansResult trained;
	double       start;
	double       between;
	double       distance;

	for (size_t i = 0; i < npoints; i++)
		rows[i] = (uint32_t) (i * n / npoints);
	start = seconds(CLOCK_PROCESS_CPUTIME_ID);
	kmeans_train(&input, &hooks, &trained);
	between = seconds(CLOCK_PROCESS_CPUTIME_ID);
	distance = assign(&trained, tokens, n, dim);
	printf("{\"train\": %.4f, \"assign\": %.4f, \"distance\": %.6f, \"lists\": %u}\n",
		   between - start, seconds(CLOCK_PROCESS_CPUTIME_ID) - between, distance,
		   trained.ncentroids);
}

int
main(int argc, char **argv)
{
	kernels_init();
	if (argc == 2 && strcmp(argv[1], "kernel") == 0)
		time_kernel();
	else if (argc == 7 && strcmp(argv[1], "kmeans") == 0)
		time_kmeans(argv + 2);
	else
	{
		fprintf(stderr, "usage: %s kernel | kmeans FILE DIM LISTS POINTS ITERATIONS\n", argv[0]);
		return 2;
	}
	return 0;
}
