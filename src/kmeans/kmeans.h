/*-------------------------------------------------------------------------
 *
 * kmeans.h
 *	  Two-level k-means: parents over a sample, children within each parent.
 *
 * Both access methods choose their nodes here. Distances are L2 in the
 * prepared space (so spherical where tokens are normalised); assignment goes
 * through the sq8 kernels first (nearest.c).
 *
 * Deterministic for a seed: the same sample gives the same centroids, on any
 * ISA and for any team: items touch disjoint memory, and every reduction runs
 * in a fixed order. The participants of a team call kmeans_train with equal
 * input, and each gets the result.
 *
 * Plain C without PostgreSQL. The caller gives memory through the alloc
 * callback and may stop the run from the interrupt callback (by longjmp:
 * nothing is owned by this floor between callbacks).
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_KMEANS_H
#define COLBERT_KMEANS_H

#include <stddef.h>
#include <stdint.h>

#include "kmeans/team.h"

typedef struct KmeansHooks
{
	void *(*alloc)(void *arg, size_t bytes);
	void (*release)(void *arg, void *memory);
	void (*interrupt)(void *arg);             /* called at least every few ms */
	void (*progress)(void *arg, double done); /* 0 .. 1, of the training; may be NULL */
	void *arg;
	Team *team; /* NULL: this caller alone */
} KmeansHooks;

/*
 * The points are rows of binary16 (half the memory of floats) that stand in
 * chunks of 2^chunk_shift rows: they come from several hands, in no order, and
 * grow in number until the last is known.
 */
typedef struct KmeansInput
{
	const uint16_t *const *chunks;
	uint32_t               chunk_shift;
	const uint32_t *rows; /* the row of each point; NULL: the first nsample rows as they stand */
	uint64_t        nsample;
	uint32_t        dim;
	uint32_t ncentroids; /* wanted; fewer come back where the sample has fewer distinct points */
	uint32_t nparents;   /* 0 = about sqrt(ncentroids); 1 = one flat level */
	uint32_t iterations; /* of each level; 0 = default */
	size_t   scratch;    /* bytes for points in floats, of each participant; 0 = default */
	uint64_t seed;
} KmeansInput;

static inline const uint16_t *
kmeans_row(const KmeansInput *input, uint32_t row)
{
	return input->chunks[row >> input->chunk_shift] +
		   (size_t) (row & (((uint32_t) 1 << input->chunk_shift) - 1)) * input->dim;
}

static inline uint32_t
kmeans_row_of_point(const KmeansInput *input, uint64_t point)
{
	return input->rows != NULL ? input->rows[point] : (uint32_t) point;
}

/* Children of parent p are centroids child_start[p] .. child_start[p + 1] - 1. */
typedef struct KmeansResult
{
	uint32_t  nparents;
	uint32_t  ncentroids;
	float    *parents;     /* nparents x dim */
	float    *centroids;   /* ncentroids x dim, grouped by parent */
	uint32_t *child_start; /* nparents + 1 */
	uint8_t  *codes;       /* of the centroids, in eight bits: for assigners */
	float    *shrinks;     /* for the caller, which may scale centroids: length before / after */
} KmeansResult;

/* Bytes that a centroid takes in memory. */
extern size_t kmeans_centroid_size(uint32_t dim);

/* Everything in result comes from the team's share, or hooks->alloc. nsample must be at least 1. */
extern void kmeans_train(const KmeansInput *input, const KmeansHooks *hooks, KmeansResult *result);

/* After centroids have been changed: a phase of the team. */
extern void kmeans_encode(KmeansResult *result, uint32_t dim, const KmeansHooks *hooks);

/* Parents whose children are looked at, to assign a token: in a build, and of lists later. */
#define ASSIGN_PARENTS 4

/*
 * Assign tokens to centroids: among the children of the best parents of each,
 * at most nparents_probed, less those much farther than the nearest (none are
 * left out when all are probed). tokens: n x dim floats. centroid[i], and where not NULL
 * similarity[i] = <x, c> - |c|^2/2. The assigner reads the result and holds
 * scratch; make one for each participant: assigning is no work of a team.
 */
typedef struct KmeansAssigner KmeansAssigner;
extern KmeansAssigner        *kmeans_assigner_create(const KmeansResult *result, uint32_t dim,
													 uint32_t nparents_probed, const KmeansHooks *hooks);
extern void                   kmeans_assigner_release(KmeansAssigner *assigner);
extern void kmeans_assign(KmeansAssigner *assigner, const float *tokens, uint32_t n,
						  uint32_t *centroid, float *similarity);

#endif /* COLBERT_KMEANS_H */
