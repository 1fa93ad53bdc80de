/*-------------------------------------------------------------------------
 *
 * kmeans_sample.h
 *	  Points to train k-means on, and hooks that count, for its tests.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_KMEANS_SAMPLE_H
#define COLBERT_KMEANS_SAMPLE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kmeans/kmeans.h"
#include "base/splitmix.h"
#include "kernels/kernels.h"

/* ------------------------------------------------------------------------
 * Counted memory, and counted interrupt checks
 * ------------------------------------------------------------------------
 */

typedef struct Counters
{
	long allocated;
	long released;
	long interrupts;
} Counters;

static inline void *
count_alloc(void *arg, size_t bytes)
{
	void *memory = malloc(bytes);

	((Counters *) arg)->allocated++;
	if (memory == NULL)
		abort();
	memset(memory, 0xA5, bytes); /* uninitialized memory must not be read */
	return memory;
}

static inline void
count_release(void *arg, void *memory)
{
	((Counters *) arg)->released++;
	free(memory);
}

static inline void
count_interrupt(void *arg)
{
	((Counters *) arg)->interrupts++;
}

static Counters counters;
static long     trained;

static const KmeansHooks hooks = {
	.alloc = count_alloc,
	.release = count_release,
	.interrupt = count_interrupt,
	.arg = &counters,
};

static inline void
free_result(KmeansResult *result)
{
	free(result->parents);
	free(result->centroids);
	free(result->child_start);
	free(result->codes);
}

/* ------------------------------------------------------------------------
 * Points
 * ------------------------------------------------------------------------
 */

static inline float
uniform(uint64_t *state)
{
	return (float) ((double) (splitmix_next(state) >> 11) * 0x1p-53);
}

static inline float
gaussian(uint64_t *state)
{
	float sum = 0;

	for (int i = 0; i < 12; i++)
		sum += uniform(state);
	return sum - 6;
}

/*
 * Return n points around nclusters random centres, with the given noise.
 * Stores the centres unless centres is NULL.
 */
static inline uint16_t *
clustered_points(uint32_t n, uint32_t dim, uint32_t nclusters, float noise, float *centres)
{
	uint64_t  state = 11;
	uint16_t *points = malloc(sizeof(uint16_t) * n * dim);
	float    *own = malloc(sizeof(float) * nclusters * dim);

	for (uint32_t i = 0; i < nclusters * dim; i++)
		own[i] = gaussian(&state);
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < dim; k++)
			points[(size_t) i * dim + k] = kernel_float_to_half(
				own[(size_t) (i % nclusters) * dim + k] + noise * gaussian(&state));
	if (centres != NULL)
		memcpy(centres, own, sizeof(float) * nclusters * dim);
	free(own);
	return points;
}

static inline float *
widened(const uint16_t *points, size_t n)
{
	float *out = malloc(sizeof(float) * n);

	kernels->half_to_float(points, out, n);
	return out;
}

static inline double
squared_distance(const float *a, const float *b, uint32_t dim)
{
	double sum = 0;

	for (uint32_t k = 0; k < dim; k++)
		sum += ((double) a[k] - b[k]) * ((double) a[k] - b[k]);
	return sum;
}

static inline KmeansResult
train(const uint16_t *sample, uint64_t nsample, uint32_t dim, uint32_t ncentroids,
	  uint32_t nparents)
{
	KmeansInput input = {
		.chunks = &sample,
		.chunk_shift = 31,
		.nsample = nsample,
		.dim = dim,
		.ncentroids = ncentroids,
		.nparents = nparents,
		.seed = 42,
	};
	KmeansResult result;

	kmeans_train(&input, &hooks, &result);
	trained++;
	return result;
}

#endif /* COLBERT_KMEANS_SAMPLE_H */
