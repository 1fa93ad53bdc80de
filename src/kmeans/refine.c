/*-------------------------------------------------------------------------
 *
 * refine.c
 *	  Refine the centroids of both levels across the borders of parents.
 *
 * Children trained within their parents ignore that a point near a border is
 * nearer to another parent's child: on real tokens that costs 15% of the
 * distortion. A few Lloyd iterations, with points assigned among the children
 * of their best parents, recover half of that. A parent then becomes the mean
 * of its children's points.
 *
 * Each round has three phases of the team: assign the points, range by range;
 * group them by centroid; and move the children of each parent to the means of
 * their points. Points are summed in order, so that the result is the same for
 * any number of participants.
 *
 *-------------------------------------------------------------------------
 */
#include "kmeans/internal.h"

#include <string.h>

#define REFINE_ROUNDS  2
#define REFINE_PARENTS 4

/* Points widened and assigned at a time, within these bounds and the available memory. */
#define MAX_CHUNK       32768
#define MIN_CHUNK       64
#define DEFAULT_SCRATCH ((size_t) 4 << 20)

/* Points of a centroid widened and summed at a time. */
#define SUM_CHUNK 16

typedef struct Refinement
{
	const KmeansInput *input;
	const KmeansHooks *hooks;
	KmeansResult      *result;
	uint32_t          *assigned; /* per point: its centroid */
	uint32_t          *order;    /* rows of the points, grouped by centroid */
	uint32_t          *start;    /* ncentroids + 1: indexes in order */
	int                round;

	/* Private to the participant. */
	KmeansAssigner *assigner;
	uint32_t        chunk;
	float          *points; /* chunk x dim */
	uint32_t       *rows;   /* chunk */
	float          *sum;    /* dim */
} Refinement;

static uint32_t
nchunks(const Refinement *r)
{
	return (uint32_t) ((r->input->nsample + r->chunk - 1) / r->chunk);
}

/* Work item: assign a range of points. */
static void
assign_points(void *arg, uint32_t item)
{
	Refinement *r = arg;
	uint64_t    start = (uint64_t) item * r->chunk;
	uint64_t    left = r->input->nsample - start;
	uint32_t    n = left < r->chunk ? (uint32_t) left : r->chunk;
	double      share = (1 - PROGRESS_CHILDREN) / REFINE_ROUNDS;

	kmeans_progress(r->hooks, 1 - share * (REFINE_ROUNDS - r->round),
					1 - share * (REFINE_ROUNDS - r->round - 1), item, nchunks(r));
	kmeans_load_points(r->input, start, n, r->rows, r->points);
	kmeans_assign(r->assigner, r->points, n, r->assigned + start, NULL);
}

/* Work item: group the points by centroid. */
static void
group_points(void *arg, uint32_t item)
{
	Refinement *r = arg;

	kmeans_group(r->input, r->hooks, r->assigned, r->result->ncentroids, r->start, r->order);
}

/*
 * Move a centroid to the mean of its points; one without points stays in
 * place. As in lloyd.c, the sums are over differences to the centroid, so that
 * equal points give an exact centroid.
 */
static void
move_centroid(Refinement *r, uint32_t c)
{
	uint32_t dim = r->input->dim;
	float   *centroid = r->result->centroids + (size_t) c * dim;
	uint32_t end = r->start[c + 1];

	memset(r->sum, 0, sizeof(float) * dim);
	for (uint32_t at = r->start[c]; at < end; at += SUM_CHUNK)
	{
		uint32_t n = end - at < SUM_CHUNK ? end - at : SUM_CHUNK;

		kmeans_load(r->input, r->order + at, n, r->points);
		for (uint32_t i = 0; i < n; i++)
			for (uint32_t k = 0; k < dim; k++)
				r->sum[k] += r->points[(size_t) i * dim + k] - centroid[k];
		if (at / SUM_CHUNK % 64 == 0)
			r->hooks->interrupt(r->hooks->arg);
	}
	for (uint32_t k = 0; k < dim && end > r->start[c]; k++)
		centroid[k] += r->sum[k] / (float) (end - r->start[c]);
}

/* Work item: move the children of a parent, and the parent to the mean of their points. */
static void
move_family(void *arg, uint32_t p)
{
	Refinement   *r = arg;
	KmeansResult *result = r->result;
	uint32_t      dim = r->input->dim;
	float        *parent = result->parents + (size_t) p * dim;
	uint32_t      first = result->child_start[p];
	uint32_t      end = result->child_start[p + 1];
	uint32_t      npoints = r->start[end] - r->start[first];

	for (uint32_t c = first; c < end; c++)
		move_centroid(r, c);
	if (npoints == 0)
		return;
	memset(parent, 0, sizeof(float) * dim);
	for (uint32_t c = first; c < end; c++)
	{
		float share = (float) (r->start[c + 1] - r->start[c]) / (float) npoints;

		for (uint32_t k = 0; k < dim; k++)
			parent[k] += share * result->centroids[(size_t) c * dim + k];
	}
}

void
kmeans_refine(const KmeansInput *input, const KmeansHooks *hooks, KmeansResult *result,
			  uint32_t *assigned, uint32_t *order)
{
	Refinement r = {
		.input = input, .hooks = hooks, .result = result, .assigned = assigned, .order = order};
	size_t room =
		(input->scratch > 0 ? input->scratch : DEFAULT_SCRATCH) / (input->dim * sizeof(float));

	if (result->nparents < 2)
		return;
	r.chunk = room > MAX_CHUNK ? MAX_CHUNK : room < MIN_CHUNK ? MIN_CHUNK : (uint32_t) room;
	r.start = kmeans_share(hooks, (size_t) result->ncentroids + 1, 1, sizeof(uint32_t));
	r.points = kmeans_alloc(hooks, r.chunk, input->dim, sizeof(float));
	r.rows = kmeans_alloc(hooks, r.chunk, 1, sizeof(uint32_t));
	r.sum = kmeans_alloc(hooks, 1, input->dim, sizeof(float));
	for (r.round = 0; r.round < REFINE_ROUNDS; r.round++)
	{
		kmeans_encode(result, input->dim, hooks);
		r.assigner = kmeans_assigner_create(result, input->dim, REFINE_PARENTS, hooks);
		kmeans_run(hooks, nchunks(&r), assign_points, &r);
		kmeans_assigner_release(r.assigner);
		kmeans_run(hooks, 1, group_points, &r);
		kmeans_run(hooks, result->nparents, move_family, &r);
	}
	hooks->release(hooks->arg, r.sum);
	hooks->release(hooks->arg, r.rows);
	hooks->release(hooks->arg, r.points);
	kmeans_unshare(hooks, r.start);
}
