/*-------------------------------------------------------------------------
 *
 * kmeans.c
 *	  Training two levels: parents over a sample, children within each.
 *
 * Flat k-means of k centroids over n points costs n * k distances an
 * iteration; in two levels of about sqrt(k) parents with as many children
 * each, n * sqrt(k).
 *
 * The work falls into items that touch disjoint memory: a range of points to
 * assign to parents, and the children of one parent. An item of the latter
 * writes only its parent's slice of order, of assigned and of the centroids,
 * so that items may run in any order; the gaps between what they leave are
 * closed at the end, in the order of the parents.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/kmeans_internal.h"

#include <math.h>
#include <string.h>

#include "codec/splitmix.h"

/* More change little: the share of the right documents found stays within its noise. */
#define DEFAULT_ITERATIONS 5

/* Points that train one parent, at most. */
#define PARENT_POINTS 256

/* Points that are summed apart, at least, and in how many segments, at most. */
#define SEGMENT_POINTS 4096
#define MOST_SEGMENTS 16

/* Below this many centroids one level is as fast. */
#define LEAST_FOR_TWO_LEVELS 64

typedef struct Training
{
	const KmeansInput *input;
	const KmeansHooks *hooks;
	KmeansResult *result;
	uint32_t	npoints;
	uint32_t	ncentroids;		/* no more than npoints */
	uint32_t	iterations;
	uint32_t   *order;			/* the points, grouped by parent */
	uint32_t   *assigned;		/* by point: its parent; then, by place in order, its child */
	uint64_t   *group_start;	/* nparents + 1: places in order */
	uint32_t   *nchildren;		/* nparents: allotted, then found */
	Nearest		nearest;
} Training;

static void
release(const Training *t, void *memory)
{
	t->hooks->release(t->hooks->arg, memory);
}

/* How many parents to train. */
static uint32_t
choose_nparents(const Training *t)
{
	uint32_t	nparents = t->input->nparents;

	if (nparents == 0)
		nparents = t->ncentroids < LEAST_FOR_TWO_LEVELS ? 1 : (uint32_t) (sqrt((double) t->ncentroids) + 0.5);
	return nparents < t->ncentroids ? nparents : t->ncentroids;
}

static void
training_start(Training *t)
{
	KmeansResult *result = t->result;
	uint32_t	dim = t->input->dim;
	uint32_t	wanted = t->input->ncentroids > 0 ? t->input->ncentroids : 1;

	t->npoints = t->input->nsample < UINT32_MAX ? (uint32_t) t->input->nsample : UINT32_MAX;
	t->ncentroids = wanted < t->npoints ? wanted : t->npoints;
	t->iterations = t->input->iterations > 0 ? t->input->iterations : DEFAULT_ITERATIONS;
	t->order = kmeans_alloc(t->hooks, t->npoints, 1, sizeof(uint32_t));
	t->assigned = kmeans_alloc(t->hooks, t->npoints, 1, sizeof(uint32_t));

	result->nparents = choose_nparents(t);
	result->ncentroids = 0;
	result->parents = kmeans_alloc(t->hooks, result->nparents, dim, sizeof(float));
	result->centroids = kmeans_alloc(t->hooks, t->ncentroids, dim, sizeof(float));
	result->child_start = kmeans_alloc(t->hooks, (size_t) result->nparents + 1, 1, sizeof(uint32_t));
	t->group_start = kmeans_alloc(t->hooks, (size_t) result->nparents + 1, 1, sizeof(uint64_t));
	t->nchildren = kmeans_alloc(t->hooks, result->nparents, 1, sizeof(uint32_t));
	nearest_init(&t->nearest, dim, t->hooks);
}

static void
training_end(Training *t)
{
	nearest_release(&t->nearest);
	release(t, t->nchildren);
	release(t, t->group_start);
	release(t, t->assigned);
	release(t, t->order);
}

/* Arrays for runs of up to ncentroids in up to nsegments. */
static void
lloyd_alloc(const Training *t, Lloyd *lloyd, uint32_t ncentroids, uint32_t nsegments)
{
	size_t		total = (size_t) ncentroids * nsegments;

	lloyd->hooks = t->hooks;
	lloyd->sample = t->input->sample;
	lloyd->dim = t->input->dim;
	lloyd->iterations = t->iterations;
	lloyd->nearest = (Nearest *) &t->nearest;
	lloyd->add = kmeans_alloc(t->hooks, ncentroids, 1, sizeof(float));
	lloyd->sums = kmeans_alloc(t->hooks, total, t->input->dim, sizeof(float));
	lloyd->counts = kmeans_alloc(t->hooks, total, 1, sizeof(uint32_t));
	lloyd->distortion = kmeans_alloc(t->hooks, ncentroids, 1, sizeof(double));
	lloyd->largest = kmeans_alloc(t->hooks, ncentroids, 1, sizeof(double));
	lloyd->farthest = kmeans_alloc(t->hooks, ncentroids, 1, sizeof(uint32_t));
}

static void
lloyd_release(const Training *t, Lloyd *lloyd)
{
	release(t, lloyd->farthest);
	release(t, lloyd->largest);
	release(t, lloyd->distortion);
	release(t, lloyd->counts);
	release(t, lloyd->sums);
	release(t, lloyd->add);
}

/* Choose one random point from each of n equal parts of the sample. */
static void
choose_points(const Training *t, uint32_t n, uint32_t *points)
{
	uint64_t	state = t->input->seed;

	for (uint32_t i = 0; i < n; i++)
	{
		uint64_t	first = (uint64_t) i * t->npoints / n;
		uint64_t	end = ((uint64_t) i + 1) * t->npoints / n;

		points[i] = (uint32_t) (first + splitmix_next(&state) % (end - first));
		kmeans_tick(t->hooks, i);
	}
}

/* Parents: flat k-means over a part of the sample. */
static void
train_parents(Training *t)
{
	Lloyd		lloyd = {0};
	uint64_t	most = (uint64_t) t->result->nparents * PARENT_POINTS;
	uint32_t	npoints = most < t->npoints ? (uint32_t) most : t->npoints;
	uint32_t	nsegments = npoints / SEGMENT_POINTS;

	nsegments = nsegments < 1 ? 1 : nsegments > MOST_SEGMENTS ? MOST_SEGMENTS : nsegments;
	choose_points(t, npoints, t->order);
	lloyd_alloc(t, &lloyd, t->result->nparents, nsegments);
	lloyd.order = t->order;
	lloyd.npoints = npoints;
	lloyd.ncentroids = t->result->nparents;
	lloyd.nsegments = nsegments;
	lloyd.seed = t->input->seed ^ UINT64_C(0x706172656E747321);
	lloyd.centroids = t->result->parents;
	lloyd.assigned = t->assigned;
	t->result->nparents = lloyd_run(&lloyd);
	lloyd_release(t, &lloyd);
}

/* Work item: assign the points start .. end - 1 to parents. */
static void
assign_to_parents(Training *t, const CentroidRows *parents, uint32_t start, uint32_t end)
{
	Nearest    *nearest = &t->nearest;

	for (uint64_t at = start; at < end; at += nearest->chunk)
	{
		uint32_t	n = end - at < nearest->chunk ? (uint32_t) (end - at) : nearest->chunk;

		kernels->half_to_float(t->input->sample + (size_t) at * nearest->dim, nearest->points,
							   (size_t) n * nearest->dim);
		nearest_pack(nearest, n);
		nearest_find(nearest, parents);
		memcpy(t->assigned + at, nearest->best_row, sizeof(uint32_t) * n);
	}
}

/* Drop parents without points, and set group_start and order. */
static void
group_points(Training *t)
{
	KmeansResult *result = t->result;
	uint32_t	nparents = result->nparents;
	uint32_t	dim = t->input->dim;
	uint32_t   *kept = t->nchildren;	/* the new number of each parent, for now */
	uint32_t	nkept = 0;
	uint64_t	start = 0;

	memset(t->group_start, 0, sizeof(uint64_t) * ((size_t) nparents + 1));
	for (uint32_t i = 0; i < t->npoints; i++)
	{
		t->group_start[t->assigned[i]]++;
		kmeans_tick(t->hooks, i);
	}
	for (uint32_t p = 0; p < nparents; p++)
	{
		uint64_t	npoints = t->group_start[p];

		kept[p] = nkept;
		if (npoints == 0)
			continue;
		if (nkept < p)
			memcpy(result->parents + (size_t) nkept * dim, result->parents + (size_t) p * dim, sizeof(float) * dim);
		t->group_start[nkept++] = start;
		start += npoints;
	}
	for (uint32_t i = 0; i < t->npoints; i++)
	{
		t->order[t->group_start[kept[t->assigned[i]]]++] = i;
		kmeans_tick(t->hooks, i);
	}

	/* Filling moved every start to the next group's. */
	memmove(t->group_start + 1, t->group_start, sizeof(uint64_t) * nkept);
	t->group_start[0] = 0;
	result->nparents = nkept;
}

/* Group the points of the whole sample by parent. */
static void
partition_points(Training *t)
{
	CentroidRows parents = {t->result->parents, NULL, t->result->nparents, 0};
	float	   *add = kmeans_alloc(t->hooks, parents.nrows, 1, sizeof(float));

	kmeans_adds(parents.rows, parents.nrows, t->input->dim, add, t->hooks);
	parents.add = add;
	assign_to_parents(t, &parents, 0, t->npoints);
	release(t, add);
	group_points(t);
}

/* Decide how many children each parent gets. */
static void
plan_children(Training *t)
{
	uint32_t	nparents = t->result->nparents;
	uint32_t   *ndistinct = kmeans_alloc(t->hooks, nparents, 1, sizeof(uint32_t));
	uint32_t   *table;
	uint64_t	most = 0;

	for (uint32_t p = 0; p < nparents; p++)
	{
		uint64_t	npoints = t->group_start[p + 1] - t->group_start[p];

		most = npoints > most ? npoints : most;
	}
	table = kmeans_alloc(t->hooks, distinct_table_slots((uint32_t) most), 1, sizeof(uint32_t));
	for (uint32_t p = 0; p < nparents; p++)
		ndistinct[p] = count_distinct(&t->nearest, t->input->sample, t->order + t->group_start[p],
									  (uint32_t) (t->group_start[p + 1] - t->group_start[p]), table);
	allot_children(t->hooks, ndistinct, nparents, t->ncentroids, t->nchildren);
	release(t, table);
	release(t, ndistinct);
}

/* Work item: train the children of one parent, from the place of its first one. */
static void
train_children(Training *t, Lloyd *lloyd, uint32_t parent, uint32_t first)
{
	uint64_t	start = t->group_start[parent];

	lloyd->order = t->order + start;
	lloyd->npoints = (uint32_t) (t->group_start[parent + 1] - start);
	lloyd->ncentroids = t->nchildren[parent];
	lloyd->nsegments = 1;
	lloyd->seed = t->input->seed + UINT64_C(0x9E3779B97F4A7C15) * ((uint64_t) parent + 1);
	lloyd->centroids = t->result->centroids + (size_t) first * lloyd->dim;
	lloyd->assigned = t->assigned + start;
	t->nchildren[parent] = lloyd_run(lloyd);
}

/* Close the gaps that parents with fewer children than allotted left. */
static void
close_gaps(Training *t, const uint32_t *first)
{
	KmeansResult *result = t->result;
	uint32_t	dim = t->input->dim;

	result->ncentroids = 0;
	for (uint32_t p = 0; p < result->nparents; p++)
	{
		result->child_start[p] = result->ncentroids;
		if (result->ncentroids < first[p])
			memmove(result->centroids + (size_t) result->ncentroids * dim,
					result->centroids + (size_t) first[p] * dim, sizeof(float) * dim * t->nchildren[p]);
		result->ncentroids += t->nchildren[p];
	}
	result->child_start[result->nparents] = result->ncentroids;
}

static void
train_all_children(Training *t)
{
	uint32_t	nparents = t->result->nparents;
	uint32_t   *first = kmeans_alloc(t->hooks, nparents, 1, sizeof(uint32_t));
	uint32_t	next = 0;
	uint32_t	most = 0;
	Lloyd		lloyd = {0};

	for (uint32_t p = 0; p < nparents; p++)
	{
		first[p] = next;
		next += t->nchildren[p];
		most = t->nchildren[p] > most ? t->nchildren[p] : most;
	}
	lloyd_alloc(t, &lloyd, most, 1);
	for (uint32_t p = 0; p < nparents; p++)
		train_children(t, &lloyd, p, first[p]);
	lloyd_release(t, &lloyd);
	close_gaps(t, first);
	release(t, first);
}

void
kmeans_train(const KmeansInput *input, const KmeansHooks *hooks, KmeansResult *result)
{
	Training	t = {.input = input, .hooks = hooks, .result = result};

	training_start(&t);
	train_parents(&t);
	partition_points(&t);
	plan_children(&t);
	train_all_children(&t);
	training_end(&t);
	kmeans_refine(input, hooks, result);
}
