/*-------------------------------------------------------------------------
 *
 * internal.h
 *	  Declarations shared by training and assignment: memory, phases, nearest
 *	  centroids.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_KMEANS_INTERNAL_H
#define COLBERT_KMEANS_INTERNAL_H

#include <string.h>

#include "kernels/kernels.h"
#include "kmeans/kmeans.h"

/*
 * Allocate n items of a x b bytes. If the size overflows, asks for SIZE_MAX
 * bytes, which no allocator grants.
 */
extern void *kmeans_alloc(const KmeansHooks *hooks, size_t n, size_t a, size_t b);

/* Allocate and free memory shared by all participants of the team. */
extern void *kmeans_share(const KmeansHooks *hooks, size_t n, size_t a, size_t b);
extern void  kmeans_unshare(const KmeansHooks *hooks, void *memory);

/* Run a phase of hooks->team. */
static inline void
kmeans_run(const KmeansHooks *hooks, uint32_t nitems, TeamWork work, void *arg)
{
	team_run(hooks->team, nitems, work, arg);
}

/* Check for interrupts at every 16,384th call, in loops with little work per iteration. */
static inline void
kmeans_tick(const KmeansHooks *hooks, uint32_t i)
{
	if (i % 16384 == 0)
		hooks->interrupt(hooks->arg);
}

/*
 * Points or centroids in eight bits, beside their floats. The addend of a code
 * row is -|row|^2/2 of the decoded row, so that keys of the sq8 kernels order
 * by the distance to the decoded row.
 *
 * A centroid whose step is much larger than the others', or that is not
 * finite, has an addend of NaN. Its code is ignored, and its distance is
 * always measured in floats. The error bound of the other centroids therefore
 * need not allow for its step.
 */
typedef struct CodedRows
{
	const float *rows; /* nrows x dim */
	uint8_t     *codes;
	float       *squared; /* points only: |row|^2 of the floats */
	uint32_t     nrows;
	float        coarsest; /* largest scale of a row that has an addend */
} CodedRows;

static inline size_t
coded_row_size(uint32_t dim)
{
	return kernel_sq8_row_size(dim, true);
}

/*
 * Allocate room for capacity rows, and encode rows. The floats must stay in
 * place as long as the codes are used.
 */
extern void coded_init(CodedRows *coded, uint32_t capacity, uint32_t dim, const KmeansHooks *hooks);
extern void coded_release(CodedRows *coded, const KmeansHooks *hooks);
extern void coded_encode_points(CodedRows *coded, const float *rows, uint32_t nrows, uint32_t dim,
								const KmeansHooks *hooks);
extern void coded_encode_centroids(CodedRows *coded, const float *rows, uint32_t nrows,
								   uint32_t dim, const KmeansHooks *hooks);

/* Refer to centroids that are already encoded. */
extern void coded_view(CodedRows *coded, const float *rows, uint8_t *codes, uint32_t nrows,
					   uint32_t dim);

/* Maximum points per chunk. */
#define MAX_CHUNK_POINTS 64

/* A centroid and a point of a chunk. */
typedef struct NearPair
{
	uint32_t row;
	uint32_t slot;
} NearPair;

/* Scratch of one worker: a chunk of points, packed as a query for the kernels. */
typedef struct Nearest
{
	const KmeansHooks *hooks;
	uint32_t           dim;
	uint32_t           chunk;  /* maximum points per chunk */
	uint32_t           run;    /* rows per kernel call, which then takes at most a few ms */
	float             *points; /* chunk x dim: for points that are stored nowhere else */
	CodedRows          coded;  /* codes of points */
	const CodedRows   *from;   /* rows that the packed points belong to */
	uint32_t          *which;  /* the packed points' numbers in from */
	const uint8_t    **code_rows;
	void              *memory; /* for the packed query */
	KernelSq8Query    *query;
	uint32_t           npacked;
	void              *keys_memory;
	float             *keys;     /* run x slots, of one run; 64-byte aligned */
	uint32_t          *reaching; /* run: its rows that could be the nearest */
	float             *largest;  /* slots: largest keys of codes */
	float             *least;    /* slots: the nearest centroid has at least this key */
	NearPair          *pairs;    /* npairs that wait to be measured */
	uint32_t           npairs;
	float             *distance; /* per point, after nearest_find: squared */
	uint32_t          *row;
} Nearest;

extern void nearest_init(Nearest *nearest, uint32_t dim, const KmeansHooks *hooks);
extern void nearest_release(Nearest *nearest);

/*
 * Pack n points, at most a chunk: those listed in which, or the first n if it
 * is NULL. The points must stay in place.
 */
extern void nearest_pack(Nearest *nearest, const CodedRows *points, const uint32_t *which,
						 uint32_t n);

/* Encode and pack the first n (1 .. chunk) of nearest->points. */
extern void nearest_pack_points(Nearest *nearest, uint32_t n);

/*
 * Find distance and row of the nearest centroid of every packed point, the
 * lowest row among equals. The caller sets distance and row: a point keeps
 * them unless a centroid is nearer than distance.
 */
extern void nearest_find(Nearest *nearest, const CodedRows *centroids);

/* Find the nearest centroid without an initial distance. row is 0 if no distance is a number. */
extern void nearest_find_any(Nearest *nearest, const CodedRows *centroids);

/*
 * Compute the keys of codes of a run of centroids, at
 * keys[(row - first) * slots + point]. Returns the number of rows in the run.
 */
extern uint32_t nearest_keys(Nearest *nearest, const CodedRows *centroids, uint32_t first);

/*
 * Return the key of a point and a centroid computed from their floats, for a
 * centroid whose key is NaN.
 */
extern float nearest_exact_key(const Nearest *nearest, const CodedRows *centroids, uint32_t row,
							   uint32_t point);

/* Return the squared length of a packed point, decoded. */
extern float nearest_squared(const Nearest *nearest, uint32_t point);

static inline uint32_t
nearest_slots(const Nearest *nearest)
{
	return kernel_sq8_slots(nearest->query);
}

/*
 * Flat k-means over some points of a sample, by the team of hooks. The team
 * shares all arrays except those of nearest and coded.
 */
typedef struct Lloyd
{
	const KmeansHooks *hooks;
	const KmeansInput *input;
	const uint32_t    *order; /* rows of the points in input */
	uint32_t           npoints;
	uint32_t           dim;
	uint32_t           ncentroids;
	uint32_t           nsegments; /* parts of the points that are summed separately */
	uint32_t           iterations;
	uint64_t           seed;
	float             *centroids;  /* result: ncentroids x dim */
	uint32_t          *assigned;   /* per point */
	uint32_t          *found;      /* a single number: centroids that have points */
	float             *sums;       /* nsegments x ncentroids x dim */
	uint32_t          *counts;     /* nsegments x ncentroids */
	double            *distortion; /* ncentroids: sum of squared distances */
	double            *largest;    /* ncentroids: largest squared distance */
	uint32_t          *farthest;   /* ncentroids: index in order of the point with that distance */
	Nearest           *nearest;
	CodedRows         *coded; /* room for the centroids; one per participant */
} Lloyd;

/* Run the iterations. Returns the number of centroids that have points; they come first. */
extern uint32_t lloyd_run(Lloyd *lloyd);

/* Load n points as floats, given their rows. */
extern void kmeans_load(const KmeansInput *input, const uint32_t *order, uint32_t n, float *out);

/* Load n points, beginning with point number first; order is scratch for their rows. */
extern void kmeans_load_points(const KmeansInput *input, uint64_t first, uint32_t n,
							   uint32_t *order, float *out);

/*
 * Count the distinct ones of n points, given by their rows. table has
 * distinct_table_slots(n) entries.
 */
extern size_t   distinct_table_slots(uint32_t npoints);
extern uint32_t count_distinct(const Nearest *nearest, const KmeansInput *input,
							   const uint32_t *order, uint32_t n, uint32_t *table);

/*
 * Group points: order[start[g]] .. order[start[g + 1] - 1] become the rows of
 * the points of group g, in ascending order of points. group has one entry per
 * point, start ngroups + 1.
 */
extern void kmeans_group(const KmeansInput *input, const KmeansHooks *hooks, const uint32_t *group,
						 uint32_t ngroups, uint32_t *start, uint32_t *order);

/*
 * Allot wanted (at least nparents) children to parents with ndistinct[] (at
 * least 1) distinct points.
 */
extern void allot_children(const KmeansHooks *hooks, const uint32_t *ndistinct, uint32_t nparents,
						   uint32_t wanted, uint32_t *nchildren);

/*
 * Run Lloyd iterations over both levels, in place (refine.c). assigned and
 * order are shared and have nsample entries each.
 */
extern void kmeans_refine(const KmeansInput *input, const KmeansHooks *hooks, KmeansResult *result,
						  uint32_t *assigned, uint32_t *order);

/*
 * Progress at the end of each phase, as a share of all multiply-adds with 32
 * points per centroid. Refining is the rest.
 */
#define PROGRESS_PARENTS   0.02
#define PROGRESS_PARTITION 0.09
#define PROGRESS_CHILDREN  0.44

static inline void
kmeans_progress(const KmeansHooks *hooks, double from, double to, uint32_t item, uint32_t nitems)
{
	if (hooks->progress != NULL)
		hooks->progress(hooks->arg, from + (to - from) * item / nitems);
}

#endif /* COLBERT_KMEANS_INTERNAL_H */
