/*-------------------------------------------------------------------------
 *
 * lloyd.c
 *	  Flat k-means by Lloyd's iterations, over points of a binary16 sample.
 *
 * Centroids start at random points, one from each of ncentroids equal parts of
 * the points. An iteration assigns and sums the points segment by segment,
 * which are the team's work items. Then one participant adds the segments in
 * order. The sums are over differences to the old centroid: these are small
 * numbers, and zero if all points of a cluster are equal, so that such a
 * centroid is exact.
 *
 * A centroid without points moves to the point farthest from its centroid in
 * the cluster with the largest distortion. If no cluster has any distortion,
 * there are no more distinct points, and the centroid is dropped.
 *
 *-------------------------------------------------------------------------
 */
#include "kmeans/internal.h"

#include <string.h>

#include "base/splitmix.h"

/* Squared distances below this share of |x|^2 are rounding errors, not distances. */
#define DISTANCE_NOISE 1e-9

/* Maximum attempts to move empty centroids after the last iteration. */
#define LAST_RESEEDINGS 8

static inline float *
centroid_at(const Lloyd *lloyd, uint32_t i)
{
	return lloyd->centroids + (size_t) i * lloyd->dim;
}

/*
 * Work item: start each centroid at a random point of its part of the points.
 * So the points are different ones, and spread like the sample.
 */
static void
lloyd_start(void *arg, uint32_t item)
{
	Lloyd   *lloyd = arg;
	uint64_t state = lloyd->seed;

	for (uint32_t i = 0; i < lloyd->ncentroids; i++)
	{
		uint32_t first = (uint32_t) ((uint64_t) i * lloyd->npoints / lloyd->ncentroids);
		uint32_t end = (uint32_t) (((uint64_t) i + 1) * lloyd->npoints / lloyd->ncentroids);
		uint32_t point = lloyd->order[first + splitmix_next(&state) % (end - first)];

		kernels->half_to_float(kmeans_row(lloyd->input, point), centroid_at(lloyd, i), lloyd->dim);
		if (i % 64 == 0)
			lloyd->hooks->interrupt(lloyd->hooks->arg);
	}
}

/* Add the difference between a point and its centroid to a sum. */
static inline void
add_difference(const float *restrict point, const float *restrict centroid, uint32_t dim,
			   float *restrict sum)
{
	for (uint32_t k = 0; k < dim; k++)
		sum[k] += point[k] - centroid[k];
}

/* Work item of an iteration: assign the points of a segment, and sum them. */
static void
lloyd_segment(void *arg, uint32_t segment)
{
	Lloyd    *lloyd = arg;
	uint32_t  dim = lloyd->dim;
	uint32_t  start = (uint32_t) ((uint64_t) segment * lloyd->npoints / lloyd->nsegments);
	uint32_t  end = (uint32_t) (((uint64_t) segment + 1) * lloyd->npoints / lloyd->nsegments);
	float    *sums = lloyd->sums + (size_t) segment * lloyd->ncentroids * dim;
	uint32_t *counts = lloyd->counts + (size_t) segment * lloyd->ncentroids;
	Nearest  *nearest = lloyd->nearest;

	memset(sums, 0, sizeof(float) * dim * lloyd->ncentroids);
	memset(counts, 0, sizeof(uint32_t) * lloyd->ncentroids);
	coded_encode_centroids(lloyd->coded, lloyd->centroids, lloyd->ncentroids, dim, lloyd->hooks);
	for (; start < end; start += nearest->chunk)
	{
		uint32_t n = end - start < nearest->chunk ? end - start : nearest->chunk;

		kmeans_load(lloyd->input, lloyd->order + start, n, nearest->points);
		nearest_pack_points(nearest, n);
		nearest_find_any(nearest, lloyd->coded);
		for (uint32_t i = 0; i < n; i++)
		{
			uint32_t c = nearest->row[i];

			lloyd->assigned[start + i] = c;
			counts[c]++;
			add_difference(nearest->points + (size_t) i * dim, centroid_at(lloyd, c), dim,
						   sums + (size_t) c * dim);
		}
	}
}

/* Add all segments to the first, in order. */
static void
reduce_segments(Lloyd *lloyd)
{
	size_t nfloats = (size_t) lloyd->ncentroids * lloyd->dim;

	for (uint32_t s = 1; s < lloyd->nsegments; s++)
	{
		const float    *sums = lloyd->sums + s * nfloats;
		const uint32_t *counts = lloyd->counts + (size_t) s * lloyd->ncentroids;

		for (size_t i = 0; i < nfloats; i++)
			lloyd->sums[i] += sums[i];
		for (uint32_t c = 0; c < lloyd->ncentroids; c++)
			lloyd->counts[c] += counts[c];
		lloyd->hooks->interrupt(lloyd->hooks->arg);
	}
}

/* Move every centroid to the mean of its points. Returns the number of centroids without points. */
static uint32_t
move_centroids(Lloyd *lloyd)
{
	uint32_t nempty = 0;

	for (uint32_t c = 0; c < lloyd->ncentroids; c++)
	{
		const float *sum = lloyd->sums + (size_t) c * lloyd->dim;
		float       *centroid = centroid_at(lloyd, c);
		float        share;

		if (c % 64 == 0)
			lloyd->hooks->interrupt(lloyd->hooks->arg);
		if (lloyd->counts[c] == 0)
		{
			nempty++;
			continue;
		}
		share = 1.0f / (float) lloyd->counts[c];
		for (uint32_t k = 0; k < lloyd->dim; k++)
			centroid[k] += sum[k] * share;
	}
	return nempty;
}

/* Return |x - c|^2, or 0 if that is no more than rounding. */
static double
squared_distance(const float *x, const float *c, uint32_t dim)
{
	double distance = 0;
	double length = 0;

	for (uint32_t k = 0; k < dim; k++)
	{
		double d = (double) x[k] - c[k];

		distance += d * d;
		length += (double) x[k] * x[k];
	}
	return distance > DISTANCE_NOISE * length ? distance : 0;
}

/* Compute the distortion and the farthest point of every cluster. */
static void
measure_clusters(Lloyd *lloyd)
{
	Nearest *nearest = lloyd->nearest;
	double  *largest = lloyd->largest;

	memset(lloyd->distortion, 0, sizeof(double) * lloyd->ncentroids);
	memset(largest, 0, sizeof(double) * lloyd->ncentroids);
	for (uint32_t start = 0; start < lloyd->npoints; start += nearest->chunk)
	{
		uint32_t left = lloyd->npoints - start;
		uint32_t n = left < nearest->chunk ? left : nearest->chunk;

		kmeans_load(lloyd->input, lloyd->order + start, n, nearest->points);
		for (uint32_t i = 0; i < n; i++)
		{
			uint32_t c = lloyd->assigned[start + i];
			double   distance = squared_distance(nearest->points + (size_t) i * lloyd->dim,
												 centroid_at(lloyd, c), lloyd->dim);

			lloyd->distortion[c] += distance;
			if (distance > largest[c])
			{
				largest[c] = distance;
				lloyd->farthest[c] = start + i;
			}
		}
		lloyd->hooks->interrupt(lloyd->hooks->arg);
	}
}

static uint32_t
most_distorted(const Lloyd *lloyd)
{
	uint32_t most = 0;

	for (uint32_t c = 1; c < lloyd->ncentroids; c++)
		if (lloyd->distortion[c] > lloyd->distortion[most])
			most = c;
	return most;
}

/* Move every empty centroid to a far point. Returns the number of centroids that stay empty. */
static uint32_t
fill_empty(Lloyd *lloyd, uint32_t nempty)
{
	measure_clusters(lloyd);
	for (uint32_t c = 0; c < lloyd->ncentroids && nempty > 0; c++)
	{
		uint32_t from, point;

		if (lloyd->counts[c] > 0)
			continue;
		from = most_distorted(lloyd);
		if (lloyd->distortion[from] <= 0)
			break;
		point = lloyd->farthest[from];
		kernels->half_to_float(kmeans_row(lloyd->input, lloyd->order[point]), centroid_at(lloyd, c),
							   lloyd->dim);
		lloyd->assigned[point] = c;
		lloyd->counts[from]--;
		lloyd->counts[c] = 1;
		lloyd->distortion[from] = 0;
		nempty--;
		lloyd->hooks->interrupt(lloyd->hooks->arg);
	}
	return nempty;
}

/* Work item: move the centroids, given the sums of all segments. */
static void
lloyd_move(void *arg, uint32_t item)
{
	Lloyd   *lloyd = arg;
	uint32_t nempty;

	reduce_segments(lloyd);
	nempty = move_centroids(lloyd);
	if (nempty > 0)
		nempty = fill_empty(lloyd, nempty);
	*lloyd->found = lloyd->ncentroids - nempty;
}

/* Close the gaps left by empty centroids. Returns the number of centroids. */
static uint32_t
drop_empty(Lloyd *lloyd)
{
	uint32_t kept = 0;

	for (uint32_t c = 0; c < lloyd->ncentroids; c++)
	{
		if (lloyd->counts[c] == 0)
			continue;
		if (kept < c)
			memcpy(centroid_at(lloyd, kept), centroid_at(lloyd, c), sizeof(float) * lloyd->dim);
		kept++;
	}
	return kept;
}

/* Work item: try again to move the empty centroids, and drop those that stay empty. */
static void
lloyd_finish(void *arg, uint32_t item)
{
	Lloyd   *lloyd = arg;
	uint32_t nempty = lloyd->ncentroids - *lloyd->found;

	for (int i = 0; i < LAST_RESEEDINGS && nempty > 0; i++)
	{
		uint32_t before = nempty;

		nempty = fill_empty(lloyd, nempty);
		if (nempty == before)
			break;
	}
	*lloyd->found = drop_empty(lloyd);
}

uint32_t
lloyd_run(Lloyd *lloyd)
{
	kmeans_run(lloyd->hooks, 1, lloyd_start, lloyd);
	for (uint32_t i = 0; i < lloyd->iterations; i++)
	{
		kmeans_run(lloyd->hooks, lloyd->nsegments, lloyd_segment, lloyd);
		kmeans_run(lloyd->hooks, 1, lloyd_move, lloyd);
	}
	kmeans_run(lloyd->hooks, 1, lloyd_finish, lloyd);
	return *lloyd->found;
}
