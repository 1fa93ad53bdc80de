/*-------------------------------------------------------------------------
 *
 * kmeans.c
 *	  Train two levels: parents over a sample, and children within each
 *	  parent.
 *
 * Flat k-means of k centroids over n points costs n * k distances per
 * iteration. Two levels, of about sqrt(k) parents with as many children each,
 * cost n * sqrt(k).
 *
 * The work is divided into phases of items that touch disjoint memory
 * (team.h). An item is a range of points to assign to parents, or the children
 * of one parent. The latter writes only its parent's slices of order, of
 * assigned and of the centroids; the gaps between the slices are closed at the
 * end, in the order of the parents. Small tasks are a phase with a single
 * item.
 *
 *-------------------------------------------------------------------------
 */
#include "kmeans/internal.h"

#include <math.h>
#include <string.h>

#include "base/splitmix.h"

/* More iterations change recall no more than its noise. */
#define DEFAULT_ITERATIONS 5

/* Points per parent to train the parents with. */
#define PARENT_POINTS 256

/* Minimum points per segment, and maximum segments. Segments are summed separately. */
#define SEGMENT_POINTS 4096
#define MAX_SEGMENTS   16

/* Points per work item. */
#define ITEM_POINTS 8192

/* With fewer centroids one level is as fast. */
#define MIN_FOR_TWO_LEVELS 64

/* State of a participant. All arrays except the scratch are shared by the team. */
typedef struct Training
{
	const KmeansInput *input;
	const KmeansHooks *hooks;
	KmeansHooks        alone; /* hooks without the team, for work within one item */
	KmeansResult      *result;
	uint32_t           npoints;
	uint32_t           ncentroids; /* at most npoints */
	uint32_t           iterations;
	uint32_t          *order;       /* rows of the points, grouped by parent */
	uint32_t          *assigned;    /* per point: its parent; then, by index in order, its child */
	uint32_t          *group_start; /* nparents + 1: indexes in order */
	uint32_t          *nchildren;   /* nparents: allotted, then found */
	uint32_t          *first_child; /* nparents + 1: as allotted */
	uint32_t          *ndistinct;   /* nparents: approximate number of distinct points */
	uint32_t          *counts;      /* two numbers found by one item: parents, centroids */
	Nearest            nearest;     /* scratch */
	CodedRows          coded;       /* scratch: parents, or the children of one */
	Lloyd              lloyd;       /* scratch of train_children */
	uint32_t          *table;       /* scratch of count_parent */
} Training;

static void
release(const Training *t, void *memory)
{
	t->hooks->release(t->hooks->arg, memory);
}

static void
run(Training *t, uint32_t nitems, TeamWork work)
{
	kmeans_run(t->hooks, nitems, work, t);
}

/* Return the number of parents to train. */
static uint32_t
choose_nparents(const Training *t)
{
	uint32_t nparents = t->input->nparents;

	if (nparents == 0)
		nparents = t->ncentroids < MIN_FOR_TWO_LEVELS
					   ? 1
					   : (uint32_t) (sqrt((double) t->ncentroids) + 0.5);
	return nparents < t->ncentroids ? nparents : t->ncentroids;
}

static void
training_start(Training *t)
{
	KmeansResult *result = t->result;
	uint32_t      dim = t->input->dim;
	uint32_t      wanted = t->input->ncentroids > 0 ? t->input->ncentroids : 1;

	t->alone = *t->hooks;
	t->alone.team = NULL;
	t->npoints = t->input->nsample < UINT32_MAX ? (uint32_t) t->input->nsample : UINT32_MAX;
	t->ncentroids = wanted < t->npoints ? wanted : t->npoints;
	t->iterations = t->input->iterations > 0 ? t->input->iterations : DEFAULT_ITERATIONS;
	t->order = kmeans_share(t->hooks, t->npoints, 1, sizeof(uint32_t));
	t->assigned = kmeans_share(t->hooks, t->npoints, 1, sizeof(uint32_t));

	result->nparents = choose_nparents(t);
	result->ncentroids = 0;
	result->parents = kmeans_share(t->hooks, result->nparents, dim, sizeof(float));
	result->centroids = kmeans_share(t->hooks, t->ncentroids, dim, sizeof(float));
	result->child_start =
		kmeans_share(t->hooks, (size_t) result->nparents + 1, 1, sizeof(uint32_t));
	t->group_start = kmeans_share(t->hooks, (size_t) result->nparents + 1, 1, sizeof(uint32_t));
	t->nchildren = kmeans_share(t->hooks, result->nparents, 1, sizeof(uint32_t));
	t->first_child = kmeans_share(t->hooks, (size_t) result->nparents + 1, 1, sizeof(uint32_t));
	t->ndistinct = kmeans_share(t->hooks, result->nparents, 1, sizeof(uint32_t));
	t->counts = kmeans_share(t->hooks, 2, 1, sizeof(uint32_t));
	nearest_init(&t->nearest, dim, &t->alone);
}

static void
training_end(Training *t)
{
	uint32_t *const shared[] = {
		t->counts,      t->ndistinct, t->first_child, t->nchildren,
		t->group_start, t->assigned,  t->order,
	};

	nearest_release(&t->nearest);
	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++)
		kmeans_unshare(t->hooks, shared[i]);
}

/* Allocate arrays for runs of up to ncentroids in up to nsegments, for the team of hooks. */
static void
lloyd_alloc(Training *t, const KmeansHooks *hooks, uint32_t ncentroids, uint32_t nsegments)
{
	Lloyd *lloyd = &t->lloyd;
	size_t total = (size_t) ncentroids * nsegments;

	lloyd->hooks = hooks;
	lloyd->input = t->input;
	lloyd->dim = t->input->dim;
	lloyd->iterations = t->iterations;
	lloyd->nearest = &t->nearest;
	lloyd->coded = &t->coded;
	coded_init(lloyd->coded, ncentroids, lloyd->dim, t->hooks);
	lloyd->found = kmeans_share(hooks, 1, 1, sizeof(uint32_t));
	lloyd->sums = kmeans_share(hooks, total, t->input->dim, sizeof(float));
	lloyd->counts = kmeans_share(hooks, total, 1, sizeof(uint32_t));
	lloyd->distortion = kmeans_share(hooks, ncentroids, 1, sizeof(double));
	lloyd->largest = kmeans_share(hooks, ncentroids, 1, sizeof(double));
	lloyd->farthest = kmeans_share(hooks, ncentroids, 1, sizeof(uint32_t));
}

static void
lloyd_release(const Lloyd *lloyd)
{
	void *const parts[] = {
		lloyd->farthest, lloyd->largest, lloyd->distortion,
		lloyd->counts,   lloyd->sums,    lloyd->found,
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		kmeans_unshare(lloyd->hooks, parts[i]);
	coded_release(lloyd->coded, lloyd->hooks);
}

/* ---- Parents ---- */

/* Return the number of points that train the parents. */
static uint32_t
parents_points(const Training *t)
{
	uint64_t most = (uint64_t) t->result->nparents * PARENT_POINTS;

	return most < t->npoints ? (uint32_t) most : t->npoints;
}

/* Work item: choose one random point from each of n equal parts of the sample. */
static void
choose_points(void *arg, uint32_t item)
{
	Training *t = arg;
	uint64_t  state = t->input->seed;
	uint32_t  n = parents_points(t);

	for (uint32_t i = 0; i < n; i++)
	{
		uint64_t first = (uint64_t) i * t->npoints / n;
		uint64_t end = ((uint64_t) i + 1) * t->npoints / n;

		t->order[i] = kmeans_row_of_point(t->input, first + splitmix_next(&state) % (end - first));
		kmeans_tick(t->hooks, i);
	}
}

/* Train the parents: flat k-means over a part of the sample. */
static void
train_parents(Training *t)
{
	Lloyd   *lloyd = &t->lloyd;
	uint32_t npoints = parents_points(t);
	uint32_t nsegments = npoints / SEGMENT_POINTS;

	nsegments = nsegments < 1 ? 1 : nsegments > MAX_SEGMENTS ? MAX_SEGMENTS : nsegments;
	run(t, 1, choose_points);
	lloyd_alloc(t, t->hooks, t->result->nparents, nsegments);
	lloyd->order = t->order;
	lloyd->npoints = npoints;
	lloyd->ncentroids = t->result->nparents;
	lloyd->nsegments = nsegments;
	lloyd->seed = t->input->seed ^ UINT64_C(0x706172656E747321);
	lloyd->centroids = t->result->parents;
	lloyd->assigned = t->assigned;
	t->result->nparents = lloyd_run(lloyd);
	lloyd_release(lloyd);
}

/* ---- Points of each parent ---- */

static uint32_t
point_items(const Training *t)
{
	return (uint32_t) (((uint64_t) t->npoints + ITEM_POINTS - 1) / ITEM_POINTS);
}

/* Work item: assign a range of points to parents. */
static void
assign_to_parents(void *arg, uint32_t item)
{
	Training *t = arg;
	Nearest  *nearest = &t->nearest;
	uint64_t  start = (uint64_t) item * ITEM_POINTS;
	uint64_t  end = start + ITEM_POINTS < t->npoints ? start + ITEM_POINTS : t->npoints;

	kmeans_progress(t->hooks, PROGRESS_PARENTS, PROGRESS_PARTITION, item, point_items(t));
	for (uint64_t at = start; at < end; at += nearest->chunk)
	{
		uint32_t n = end - at < nearest->chunk ? (uint32_t) (end - at) : nearest->chunk;

		kmeans_load_points(t->input, at, n, nearest->row, nearest->points);
		nearest_pack_points(nearest, n);
		nearest_find_any(nearest, &t->coded);
		memcpy(t->assigned + at, nearest->row, sizeof(uint32_t) * n);
	}
}

/* Work item: group the points by parent, and drop parents without points. */
static void
group_points(void *arg, uint32_t item)
{
	Training *t = arg;
	float    *parents = t->result->parents;
	uint32_t  dim = t->input->dim;
	uint32_t  nkept = 0;

	kmeans_group(t->input, t->hooks, t->assigned, t->result->nparents, t->group_start, t->order);
	for (uint32_t p = 0; p < t->result->nparents; p++)
	{
		if (t->group_start[p] == t->group_start[p + 1])
			continue;
		if (nkept < p)
			memcpy(parents + (size_t) nkept * dim, parents + (size_t) p * dim, sizeof(float) * dim);
		t->group_start[nkept++] = t->group_start[p];
	}
	t->group_start[nkept] = t->npoints;
	t->counts[0] = nkept;
}

/* Group the points of the whole sample by parent. */
static void
partition_points(Training *t)
{
	KmeansResult *result = t->result;

	coded_init(&t->coded, result->nparents, t->input->dim, t->hooks);
	coded_encode_centroids(&t->coded, result->parents, result->nparents, t->input->dim, t->hooks);
	run(t, point_items(t), assign_to_parents);
	coded_release(&t->coded, t->hooks);
	run(t, 1, group_points);
	result->nparents = t->counts[0];
}

/* ---- Children ---- */

static uint32_t
group_size(const Training *t, uint32_t parent)
{
	return t->group_start[parent + 1] - t->group_start[parent];
}

/* Work item: count the distinct points of a parent, the most children that it can use. */
static void
count_parent(void *arg, uint32_t parent)
{
	Training *t = arg;

	t->ndistinct[parent] = count_distinct(&t->nearest, t->input, t->order + t->group_start[parent],
										  group_size(t, parent), t->table);
}

/* Work item: decide how many children each parent gets, and where they are stored. */
static void
plan_children(void *arg, uint32_t item)
{
	Training *t = arg;
	uint32_t  nparents = t->result->nparents;

	allot_children(&t->alone, t->ndistinct, nparents, t->ncentroids, t->nchildren);
	t->first_child[0] = 0;
	for (uint32_t p = 0; p < nparents; p++)
		t->first_child[p + 1] = t->first_child[p] + t->nchildren[p];
}

/* Work item: train the children of one parent. */
static void
train_children(void *arg, uint32_t parent)
{
	Training *t = arg;
	Lloyd    *lloyd = &t->lloyd;
	uint32_t  start = t->group_start[parent];

	kmeans_progress(t->hooks, PROGRESS_PARTITION, PROGRESS_CHILDREN, parent, t->result->nparents);
	lloyd->order = t->order + start;
	lloyd->npoints = group_size(t, parent);
	lloyd->ncentroids = t->first_child[parent + 1] - t->first_child[parent];
	lloyd->nsegments = 1;
	lloyd->seed = t->input->seed + UINT64_C(0x9E3779B97F4A7C15) * ((uint64_t) parent + 1);
	lloyd->centroids = t->result->centroids + (size_t) t->first_child[parent] * lloyd->dim;
	lloyd->assigned = t->assigned + start;
	t->nchildren[parent] = lloyd_run(lloyd);
}

/* Work item: close the gaps left by parents with fewer children than allotted. */
static void
close_gaps(void *arg, uint32_t item)
{
	Training     *t = arg;
	KmeansResult *result = t->result;
	uint32_t      dim = t->input->dim;
	uint32_t      ncentroids = 0;

	for (uint32_t p = 0; p < result->nparents; p++)
	{
		result->child_start[p] = ncentroids;
		if (ncentroids < t->first_child[p])
			memmove(result->centroids + (size_t) ncentroids * dim,
					result->centroids + (size_t) t->first_child[p] * dim,
					sizeof(float) * dim * t->nchildren[p]);
		ncentroids += t->nchildren[p];
	}
	result->child_start[result->nparents] = ncentroids;
	t->counts[1] = ncentroids;
}

static void
train_all_children(Training *t)
{
	uint32_t nparents = t->result->nparents;
	uint32_t most_points = 0;
	uint32_t most_children = 0;

	for (uint32_t p = 0; p < nparents; p++)
		most_points = group_size(t, p) > most_points ? group_size(t, p) : most_points;
	t->table = kmeans_alloc(t->hooks, distinct_table_slots(most_points), 1, sizeof(uint32_t));
	run(t, nparents, count_parent);
	release(t, t->table);
	run(t, 1, plan_children);

	/* Read first_child, since others may already be changing nchildren. */
	for (uint32_t p = 0; p < nparents; p++)
	{
		uint32_t n = t->first_child[p + 1] - t->first_child[p];

		most_children = n > most_children ? n : most_children;
	}
	lloyd_alloc(t, &t->alone, most_children, 1);
	run(t, nparents, train_children);
	lloyd_release(&t->lloyd);
	run(t, 1, close_gaps);
	t->result->ncentroids = t->counts[1];
}

void
kmeans_train(const KmeansInput *input, const KmeansHooks *hooks, KmeansResult *result)
{
	Training t = {.input = input, .hooks = hooks, .result = result};

	training_start(&t);
	train_parents(&t);
	partition_points(&t);
	train_all_children(&t);
	result->codes = kmeans_share(hooks, result->ncentroids, 1, coded_row_size(input->dim));
	kmeans_refine(input, hooks, result, t.assigned, t.order);
	kmeans_encode(result, input->dim, hooks);
	training_end(&t);
}
