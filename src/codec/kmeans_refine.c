/*-------------------------------------------------------------------------
 *
 * kmeans_refine.c
 *	  Refining the centroids of two levels across the borders of parents.
 *
 * Children trained within their parents ignore that a point near a border is
 * nearer to another parent's child: on real tokens that costs 15% of the
 * distortion. A few Lloyd iterations, with points assigned among the children
 * of their best parents, take half of that back. A parent is then the mean of
 * its children's points.
 *
 * One worker, points in their order: deterministic.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/kmeans_internal.h"

#include <string.h>

#define REFINE_ROUNDS	2
#define REFINE_PARENTS	4

/* Points that are widened and assigned at a time. */
#define REFINE_CHUNK	8192

typedef struct Refinement
{
	const KmeansInput *input;
	const KmeansHooks *hooks;
	KmeansResult *result;
	KmeansAssigner *assigner;
	float	   *points;			/* REFINE_CHUNK x dim */
	uint32_t   *assigned;		/* REFINE_CHUNK */
	float	   *sums;			/* ncentroids x dim */
	uint32_t   *counts;			/* ncentroids */
} Refinement;

/* Sums are of differences to the centroid, as in kmeans_lloyd.c: equal points leave it exact. */
static void
add_points(Refinement *r, uint32_t n)
{
	uint32_t	dim = r->input->dim;

	for (uint32_t i = 0; i < n; i++)
	{
		size_t		at = (size_t) r->assigned[i] * dim;
		const float *point = r->points + (size_t) i * dim;

		if (i % 256 == 0)
			r->hooks->interrupt(r->hooks->arg);
		for (uint32_t k = 0; k < dim; k++)
			r->sums[at + k] += point[k] - r->result->centroids[at + k];
		r->counts[r->assigned[i]]++;
	}
}

/* A centroid without points stays where it is. */
static void
move_centroids(Refinement *r)
{
	uint32_t	dim = r->input->dim;

	for (uint32_t c = 0; c < r->result->ncentroids; c++)
	{
		size_t		at = (size_t) c * dim;

		if (c % 64 == 0)
			r->hooks->interrupt(r->hooks->arg);
		for (uint32_t k = 0; k < dim && r->counts[c] > 0; k++)
			r->result->centroids[at + k] += r->sums[at + k] / (float) r->counts[c];
	}
}

static void
move_parents(Refinement *r)
{
	KmeansResult *result = r->result;
	uint32_t	dim = r->input->dim;

	for (uint32_t p = 0; p < result->nparents; p++)
	{
		float	   *parent = result->parents + (size_t) p * dim;
		uint64_t	npoints = 0;

		for (uint32_t c = result->child_start[p]; c < result->child_start[p + 1]; c++)
			npoints += r->counts[c];
		if (npoints == 0)
			continue;
		r->hooks->interrupt(r->hooks->arg);
		memset(parent, 0, sizeof(float) * dim);
		for (uint32_t c = result->child_start[p]; c < result->child_start[p + 1]; c++)
		{
			float		share = (float) r->counts[c] / (float) npoints;

			for (uint32_t k = 0; k < dim; k++)
				parent[k] += share * result->centroids[(size_t) c * dim + k];
		}
	}
}

static void
refine_once(Refinement *r)
{
	uint32_t	dim = r->input->dim;

	memset(r->sums, 0, sizeof(float) * dim * r->result->ncentroids);
	memset(r->counts, 0, sizeof(uint32_t) * r->result->ncentroids);
	r->assigner = kmeans_assigner_create(r->result, dim, REFINE_PARENTS, r->hooks);
	for (uint64_t start = 0; start < r->input->nsample; start += REFINE_CHUNK)
	{
		uint64_t	left = r->input->nsample - start;
		uint32_t	n = left < REFINE_CHUNK ? (uint32_t) left : REFINE_CHUNK;

		kernels->half_to_float(r->input->sample + start * dim, r->points, (size_t) n * dim);
		kmeans_assign(r->assigner, r->points, n, r->assigned, NULL);
		add_points(r, n);
	}
	kmeans_assigner_release(r->assigner);
	move_centroids(r);
	move_parents(r);
}

void
kmeans_refine(const KmeansInput *input, const KmeansHooks *hooks, KmeansResult *result)
{
	Refinement	r = {.input = input, .hooks = hooks, .result = result};

	if (result->nparents < 2)
		return;
	r.points = kmeans_alloc(hooks, REFINE_CHUNK, input->dim, sizeof(float));
	r.assigned = kmeans_alloc(hooks, REFINE_CHUNK, 1, sizeof(uint32_t));
	r.sums = kmeans_alloc(hooks, result->ncentroids, input->dim, sizeof(float));
	r.counts = kmeans_alloc(hooks, result->ncentroids, 1, sizeof(uint32_t));
	for (int round = 0; round < REFINE_ROUNDS; round++)
		refine_once(&r);
	hooks->release(hooks->arg, r.counts);
	hooks->release(hooks->arg, r.sums);
	hooks->release(hooks->arg, r.assigned);
	hooks->release(hooks->arg, r.points);
}
