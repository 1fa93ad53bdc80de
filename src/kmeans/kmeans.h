/*-------------------------------------------------------------------------
 *
 * kmeans.h
 *	  Two-level k-means: parents over a sample, and children within each
 *	  parent.
 *
 * Both access methods train their nodes here. Distances are L2 in the space of
 * prepared tokens, so the clustering is spherical if tokens are normalized.
 * Assignment compares codes with the sq8 kernels first (nearest.c).
 *
 * The result is deterministic: the same sample and seed give the same
 * centroids, on any instruction set and for any team. Work items touch
 * disjoint memory, and every reduction runs in a fixed order. The participants
 * of a team call kmeans_train() with equal input, and each gets the result.
 *
 * Plain C without PostgreSQL. The caller provides memory by the alloc
 * callback. The interrupt callback may end the run by longjmp: between
 * callbacks this code owns nothing that would leak.
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
	void (*progress)(void *arg, double done); /* of the training, 0 .. 1; may be NULL */
	void *arg;
	Team *team; /* NULL: only the caller */
} KmeansHooks;

/*
 * The points are rows of binary16, which take half the memory of floats, in
 * chunks of 2^chunk_shift rows. Several processes add rows, in no order, and
 * the number of rows is not known in advance.
 */
typedef struct KmeansInput
{
	const uint16_t *const *chunks;
	uint32_t               chunk_shift;
	const uint32_t        *rows; /* row of each point; NULL: the first nsample rows in order */
	uint64_t               nsample;
	uint32_t               dim;
	uint32_t ncentroids; /* wanted; fewer are returned if there are fewer distinct points */
	uint32_t nparents;   /* 0 = about sqrt(ncentroids); 1 = one flat level */
	uint32_t iterations; /* per level; 0 = default */
	size_t   scratch;    /* bytes per participant for points as floats; 0 = default */
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
	uint8_t  *codes;       /* the centroids in eight bits, for assigners */
	float    *shrinks;     /* for the caller, which may scale centroids: length before / after */
	uint32_t *near; /* for the caller: ncentroids x nnear centroids near each; NULL: unknown */
	uint32_t  nnear;
} KmeansResult;

/* Return the bytes that a centroid takes in memory. */
extern size_t kmeans_centroid_size(uint32_t dim);

/*
 * Train centroids. All arrays of the result are allocated by the team's
 * alloc_shared, or by hooks->alloc. nsample must be at least 1.
 */
extern void kmeans_train(const KmeansInput *input, const KmeansHooks *hooks, KmeansResult *result);

/* Encode the centroids again after they have changed; a phase of the team. */
extern void kmeans_encode(KmeansResult *result, uint32_t dim, const KmeansHooks *hooks);

/*
 * Parents whose children are searched for the centroid of a token, in a build
 * and later in colbert_ivf.
 */
#define ASSIGN_PARENTS 4

/*
 * Assign tokens to centroids: for each token the nearest among the children of
 * its best parents. At most nparents_probed parents are searched, without
 * those much farther than the nearest (if all are probed, none are left out).
 * tokens holds n x dim floats. Sets centroid[i], and unless similarity is NULL,
 * similarity[i] = <x, c> - |c|^2/2.
 *
 * The assigner reads the result and holds scratch. Assigning is not a phase of
 * a team, so each participant creates its own assigner.
 */
typedef struct KmeansAssigner KmeansAssigner;

extern KmeansAssigner *kmeans_assigner_create(const KmeansResult *result, uint32_t dim,
											  uint32_t nparents_probed, const KmeansHooks *hooks);
extern void            kmeans_assigner_release(KmeansAssigner *assigner);
extern void            kmeans_assign(KmeansAssigner *assigner, const float *tokens, uint32_t n,
									 uint32_t *centroid, float *similarity);

/*
 * Let parent p have only the first counts[p] > 0 of its children from now on.
 * The caller may change counts and add children between calls.
 */
extern void kmeans_assigner_count(KmeansAssigner *assigner, const uint32_t *counts);

/* Receiver of the centroids near a token. */
typedef struct KmeansNear
{
	const float *worst; /* only larger keys are reported; found may raise it */
	void (*found)(void *arg, uint32_t centroid, float key);
	void *arg;
} KmeansNear;

/*
 * Report the children of a token's best parents with their keys
 * <x, c> - |c|^2/2, estimated in eight bits.
 */
extern void kmeans_near(KmeansAssigner *assigner, const float *token, const KmeansNear *near);

#endif /* COLBERT_KMEANS_H */
