/*-------------------------------------------------------------------------
 *
 * points.c
 *	  Read and group the points of a sample.
 *
 *-------------------------------------------------------------------------
 */
#include "kmeans/internal.h"

#include <string.h>

#include "base/prefetch.h"

/* Rows to prefetch ahead of the one being widened; they are scattered in memory. */
#define PREFETCH_ROWS 4

void
kmeans_load(const KmeansInput *input, const uint32_t *order, uint32_t n, float *out)
{
	for (uint32_t i = 0; i < n; i++)
	{
		if (i + PREFETCH_ROWS < n)
			prefetch_bytes(kmeans_row(input, order[i + PREFETCH_ROWS]),
						   input->dim * sizeof(uint16_t));
		kernels->half_to_float(kmeans_row(input, order[i]), out + (size_t) i * input->dim,
							   input->dim);
	}
}

void
kmeans_load_points(const KmeansInput *input, uint64_t first, uint32_t n, uint32_t *order,
				   float *out)
{
	for (uint32_t i = 0; i < n; i++)
		order[i] = kmeans_row_of_point(input, first + i);
	kmeans_load(input, order, n, out);
}

void
kmeans_group(const KmeansInput *input, const KmeansHooks *hooks, const uint32_t *group,
			 uint32_t ngroups, uint32_t *start, uint32_t *order)
{
	uint32_t npoints = (uint32_t) input->nsample;
	uint32_t sum = 0;

	memset(start, 0, sizeof(uint32_t) * ((size_t) ngroups + 1));
	for (uint32_t i = 0; i < npoints; i++)
	{
		start[group[i]]++;
		kmeans_tick(hooks, i);
	}
	for (uint32_t g = 0; g < ngroups; g++)
	{
		uint32_t count = start[g];

		start[g] = sum;
		sum += count;
	}
	for (uint32_t i = 0; i < npoints; i++)
	{
		order[start[group[i]]++] = kmeans_row_of_point(input, i);
		kmeans_tick(hooks, i);
	}

	/* Filling moved every start to that of the next group. */
	memmove(start + 1, start, sizeof(uint32_t) * ngroups);
	start[0] = 0;
}
