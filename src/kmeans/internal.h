/*-------------------------------------------------------------------------
 *
 * internal.h
 *	  What training and assignment share: memory, phases, nearest centroids.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_KMEANS_INTERNAL_H
#define COLBERT_KMEANS_INTERNAL_H

#include <string.h>

#include "kernels/kernels.h"
#include "kmeans/kmeans.h"

/* Room for n items of a x b bytes; asks for SIZE_MAX, which no allocator grants, where that overflows. */
extern void *kmeans_alloc(const KmeansHooks *hooks, size_t n, size_t a, size_t b);

/* The same for all participants of the team. */
extern void *kmeans_share(const KmeansHooks *hooks, size_t n, size_t a, size_t b);
extern void  kmeans_unshare(const KmeansHooks *hooks, void *memory);

/* A phase of hooks->team. */
static inline void
kmeans_run(const KmeansHooks *hooks, uint32_t nitems, TeamWork work, void *arg)
{
	team_run(hooks->team, nitems, work, arg);
}

/* In loops of little work: look for interrupts every 16,384th time. */
static inline void
kmeans_tick(const KmeansHooks *hooks, uint32_t i)
{
	if (i % 16384 == 0)
		hooks->interrupt(hooks->arg);
}

/*
 * Points or centroids in eight bits, beside their floats. The addend of a code
 * row is -|row|^2/2 of the decoded row, so that a key of the sq8 kernels orders
 * by the distance to that one. A centroid whose step is much larger than the
 * others', or that is not finite, has an addend of NaN: it says nothing, and is
 * measured whenever it is met, so that the others need not be as careful as it
 * would have them.
 */
typedef struct CodedRows
{
	const float *rows; /* nrows x dim */
	uint8_t     *codes;
	float       *squared; /* of points: |row|^2 of the floats */
	uint32_t     nrows;
	float        coarsest; /* the largest scale of a row that has an addend */
} CodedRows;

static inline size_t
coded_row_size(uint32_t dim)
{
	return kernel_sq8_row_size(dim, true);
}

/* Room for up to capacity rows; to encode some, which must stay where they are. */
extern void coded_init(CodedRows *coded, uint32_t capacity, uint32_t dim, const KmeansHooks *hooks);
extern void coded_release(CodedRows *coded, const KmeansHooks *hooks);
extern void coded_encode_points(CodedRows *coded, const float *rows, uint32_t nrows, uint32_t dim,
								const KmeansHooks *hooks);
extern void coded_encode_centroids(CodedRows *coded, const float *rows, uint32_t nrows,
								   uint32_t dim, const KmeansHooks *hooks);

/* Centroids that have been encoded. */
extern void coded_view(CodedRows *coded, const float *rows, uint8_t *codes, uint32_t nrows,
					   uint32_t dim);

/* Points of a chunk, at most. */
#define MAX_CHUNK_POINTS 64

/* A centroid and a point of a chunk. */
typedef struct NearPair
{
	uint32_t row;
	uint32_t slot;
} NearPair;

/*
 * Scratch of one worker: a chunk of points, packed as the query of a kernel.
 */
typedef struct Nearest
{
	const KmeansHooks *hooks;
	uint32_t           dim;
	uint32_t           chunk;  /* points at once, at most */
	uint32_t           run;    /* rows a kernel call, so that it ends within a few ms */
	float             *points; /* chunk x dim: room for points that stand nowhere else */
	CodedRows          coded;  /* those */
	const CodedRows   *from;   /* what the packed points belong to, */
	uint32_t          *which;  /* and which of its rows they are */
	const uint8_t    **code_rows;
	void              *memory; /* of the packed query */
	KernelSq8Query    *query;
	uint32_t           npacked;
	void              *keys_memory;
	float             *keys;     /* run x slots, of one run: 64-byte aligned */
	uint32_t          *reaching; /* run: its rows that could be the nearest */
	float             *largest;  /* slots: keys of codes */
	float             *least;    /* slots: keys below these are not the nearest's */
	NearPair          *pairs;    /* npairs that wait to be measured */
	uint32_t           npairs;
	float             *distance; /* by point, after nearest_find: squared */
	uint32_t          *row;
} Nearest;

extern void nearest_init(Nearest *nearest, uint32_t dim, const KmeansHooks *hooks);
extern void nearest_release(Nearest *nearest);

/* Pack up to a chunk of coded points: those that which names, or else the first n. They must stay where they are. */
extern void nearest_pack(Nearest *nearest, const CodedRows *points, const uint32_t *which,
						 uint32_t n);

/* Encode and pack the first n (1 .. chunk) of nearest->points. */
extern void nearest_pack_points(Nearest *nearest, uint32_t n);

/*
 * distance and row of the nearest centroid of every packed point; the lowest
 * row among equals. A distance that the caller has set already has to be
 * beaten, and row stays as it is where none is nearer.
 */
extern void nearest_find(Nearest *nearest, const CodedRows *centroids);

/* The same without anything to beat: row is 0 where no distance is a number. */
extern void nearest_find_any(Nearest *nearest, const CodedRows *centroids);

/* Keys of codes of a run of centroids: keys[(row - first) * slots + point]. Returns how many rows. */
extern uint32_t nearest_keys(Nearest *nearest, const CodedRows *centroids, uint32_t first);

/* The key that a point and a centroid have by their floats, for one that is NaN. */
extern float nearest_exact_key(const Nearest *nearest, const CodedRows *centroids, uint32_t row,
							   uint32_t point);

/* The squared length of a packed point, decoded. */
extern float nearest_squared(const Nearest *nearest, uint32_t point);

static inline uint32_t
nearest_slots(const Nearest *nearest)
{
	return kernel_sq8_slots(nearest->query);
}

/* Some points of a sample, and the flat k-means over them: by the team of hooks, which shares all arrays but nearest's. */
typedef struct Lloyd
{
	const KmeansHooks *hooks;
	const KmeansInput *input;
	const uint32_t    *order; /* the points: rows of input */
	uint32_t           npoints;
	uint32_t           dim;
	uint32_t           ncentroids;
	uint32_t           nsegments; /* parts of the points that are summed apart */
	uint32_t           iterations;
	uint64_t           seed;
	float             *centroids;  /* ncentroids x dim: the result */
	uint32_t          *assigned;   /* by point */
	uint32_t          *found;      /* one number: centroids that have points */
	float             *sums;       /* nsegments x ncentroids x dim */
	uint32_t          *counts;     /* nsegments x ncentroids */
	double            *distortion; /* ncentroids: summed squared distances */
	double            *largest;    /* ncentroids: the largest of them, */
	uint32_t          *farthest;   /* and the place in order of its point */
	Nearest           *nearest;
	CodedRows         *coded; /* room for the centroids, of each participant */
} Lloyd;

/* Returns how many centroids have points; they come first. */
extern uint32_t lloyd_run(Lloyd *lloyd);

/* Load n points, by their rows, as floats. */
extern void kmeans_load(const KmeansInput *input, const uint32_t *order, uint32_t n, float *out);

/* Load n points from a point on; order is scratch for their rows. */
extern void kmeans_load_points(const KmeansInput *input, uint64_t first, uint32_t n,
							   uint32_t *order, float *out);

/* How many of n points, by their rows, differ; table has distinct_table_slots(n) entries. */
extern size_t   distinct_table_slots(uint32_t npoints);
extern uint32_t count_distinct(const Nearest *nearest, const KmeansInput *input,
							   const uint32_t *order, uint32_t n, uint32_t *table);

/*
 * Group points: order[start[g]] .. order[start[g + 1] - 1] are the rows of
 * those of group g, by number. group: of each point; start: ngroups + 1.
 */
extern void kmeans_group(const KmeansInput *input, const KmeansHooks *hooks, const uint32_t *group,
						 uint32_t ngroups, uint32_t *start, uint32_t *order);

/* Allot wanted (at least nparents) children to parents that have ndistinct[] (at least 1) distinct points. */
extern void allot_children(const KmeansHooks *hooks, const uint32_t *ndistinct, uint32_t nparents,
						   uint32_t wanted, uint32_t *nchildren);

/* Lloyd iterations over both levels, in place (refine.c). assigned and order: nsample each, shared. */
extern void kmeans_refine(const KmeansInput *input, const KmeansHooks *hooks, KmeansResult *result,
						  uint32_t *assigned, uint32_t *order);

/* Where the work of the phases ends, as a share of all multiply-adds, with 32 points a centroid; refining is the rest. */
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
