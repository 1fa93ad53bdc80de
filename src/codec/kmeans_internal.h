/*-------------------------------------------------------------------------
 *
 * kmeans_internal.h
 *	  What training and assignment share: sizes, norms, nearest centroids.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_KMEANS_INTERNAL_H
#define COLBERT_KMEANS_INTERNAL_H

#include "codec/kmeans.h"
#include "kernels/kernels.h"

/* Room for n items of a x b bytes; asks for SIZE_MAX, which no allocator grants, where that overflows. */
extern void *kmeans_alloc(const KmeansHooks *hooks, size_t n, size_t a, size_t b);

/* The same for all participants of the team. */
extern void *kmeans_share(const KmeansHooks *hooks, size_t n, size_t a, size_t b);
extern void kmeans_unshare(const KmeansHooks *hooks, void *memory);

/* A phase of hooks->team. */
static inline void
kmeans_run(const KmeansHooks *hooks, uint32_t nitems, TeamWork work, void *arg)
{
	team_run(hooks->team, nitems, work, arg);
}

/* add[i] = -|row i|^2/2, which turns inner products into L2 keys. */
extern void kmeans_adds(const float *rows, uint32_t nrows, uint32_t dim, float *add, const KmeansHooks *hooks);

/* In loops of little work: look for interrupts every 16,384th time. */
static inline void
kmeans_tick(const KmeansHooks *hooks, uint32_t i)
{
	if (i % 16384 == 0)
		hooks->interrupt(hooks->arg);
}

/* Centroids (or parents) as a nearest search sees them; rows are numbered from first. */
typedef struct CentroidRows
{
	const float *rows;
	const float *add;
	uint32_t	nrows;
	uint32_t	first;
} CentroidRows;

/*
 * Scratch of one worker: a chunk of points, packed as the query of a kernel.
 * The caller fills points, row-major, and calls nearest_pack.
 */
typedef struct Nearest
{
	const KmeansHooks *hooks;
	uint32_t	dim;
	uint32_t	chunk;			/* points at once, at most */
	uint32_t	run;			/* rows a kernel call, so that it ends within a few ms */
	float	   *points;			/* chunk x dim */
	void	   *memory;			/* of the packed query */
	KernelQuery *query;
	float	   *best;			/* by point, after nearest_find */
	uint32_t   *best_row;
} Nearest;

extern void nearest_init(Nearest *nearest, uint32_t dim, const KmeansHooks *hooks);
extern void nearest_release(Nearest *nearest);

/* Pack the first n (1 .. chunk) points. */
extern void nearest_pack(Nearest *nearest, uint32_t n);

/* best and best_row of every packed point among rows; the lowest row among equals. */
extern void nearest_find(Nearest *nearest, const CentroidRows *centroids);

/* All keys: out[row * slots + point], where slots = kernel_query_slots(nearest->query). */
extern void nearest_keys(Nearest *nearest, const CentroidRows *centroids, float *out);

/* Most slots of a packed chunk. */
static inline uint32_t
nearest_slots(const Nearest *nearest)
{
	return (nearest->chunk + 15) / 16 * 16;
}

/* Some points of a sample, and the flat k-means over them: by the team of hooks, which shares all arrays but nearest's. */
typedef struct Lloyd
{
	const KmeansHooks *hooks;
	const KmeansInput *input;
	const uint32_t *order;		/* the points: rows of input */
	uint32_t	npoints;
	uint32_t	dim;
	uint32_t	ncentroids;
	uint32_t	nsegments;		/* parts of the points that are summed apart */
	uint32_t	iterations;
	uint64_t	seed;
	float	   *centroids;		/* ncentroids x dim: the result */
	uint32_t   *assigned;		/* by point */
	uint32_t   *found;			/* one number: centroids that have points */
	float	   *add;			/* ncentroids */
	float	   *sums;			/* nsegments x ncentroids x dim */
	uint32_t   *counts;			/* nsegments x ncentroids */
	double	   *distortion;		/* ncentroids: summed squared distances */
	double	   *largest;		/* ncentroids: the largest of them, */
	uint32_t   *farthest;		/* and the place in order of its point */
	Nearest    *nearest;
} Lloyd;

/* Returns how many centroids have points; they come first. */
extern uint32_t lloyd_run(Lloyd *lloyd);

/* Load n points, by their rows, as floats. */
extern void kmeans_load(const KmeansInput *input, const uint32_t *order, uint32_t n, float *out);

/* Load n points from a point on; order is scratch for their rows. */
extern void kmeans_load_points(const KmeansInput *input, uint64_t first, uint32_t n, uint32_t *order, float *out);

/* How many of n points, by their rows, differ; table has distinct_table_slots(n) entries. */
extern size_t distinct_table_slots(uint32_t npoints);
extern uint32_t count_distinct(const Nearest *nearest, const KmeansInput *input, const uint32_t *order, uint32_t n,
							   uint32_t *table);

/*
 * Group points: order[start[g]] .. order[start[g + 1] - 1] are the rows of
 * those of group g, by number. group: of each point; start: ngroups + 1.
 */
extern void kmeans_group(const KmeansInput *input, const KmeansHooks *hooks, const uint32_t *group, uint32_t ngroups,
						 uint32_t *start, uint32_t *order);

/* Allot wanted (at least nparents) children to parents that have ndistinct[] (at least 1) distinct points. */
extern void allot_children(const KmeansHooks *hooks, const uint32_t *ndistinct, uint32_t nparents, uint32_t wanted,
						   uint32_t *nchildren);

/* Lloyd iterations over both levels, in place (kmeans_refine.c). assigned and order: nsample each, shared. */
extern void kmeans_refine(const KmeansInput *input, const KmeansHooks *hooks, KmeansResult *result,
						  uint32_t *assigned, uint32_t *order);

/* Where the work of the phases ends, as a share of all multiply-adds, with 32 points a centroid; refining is the rest. */
#define PROGRESS_PARENTS	0.02
#define PROGRESS_PARTITION	0.09
#define PROGRESS_CHILDREN	0.44

static inline void
kmeans_progress(const KmeansHooks *hooks, double from, double to, uint32_t item, uint32_t nitems)
{
	if (hooks->progress != NULL)
		hooks->progress(hooks->arg, from + (to - from) * item / nitems);
}

#endif							/* COLBERT_KMEANS_INTERNAL_H */
