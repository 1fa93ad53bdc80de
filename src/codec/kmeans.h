/*-------------------------------------------------------------------------
 *
 * kmeans.h
 *	  Two-level k-means: parents over a sample, children within each parent.
 *
 * Both access methods choose their nodes here. Distances are L2 in the
 * prepared space (so spherical where tokens are normalised); assignment runs
 * through the maxsim kernel: a chunk of tokens is the packed query, centroids
 * are the rows, the key is  <x, c> - |c|^2/2.
 *
 * Deterministic for a seed: the same sample gives the same centroids, on any
 * ISA and however the work items are shared out: items touch disjoint memory,
 * and every reduction runs in a fixed order.
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

typedef struct KmeansHooks
{
	void	   *(*alloc) (void *arg, size_t bytes);
	void		(*release) (void *arg, void *memory);
	void		(*interrupt) (void *arg);	/* called at least every few ms */
	void	   *arg;
} KmeansHooks;

typedef struct KmeansInput
{
	const uint16_t *sample;		/* nsample x dim binary16, row-major: half the memory of floats */
	uint64_t	nsample;
	uint32_t	dim;
	uint32_t	ncentroids;		/* wanted; fewer come back where the sample has fewer distinct points */
	uint32_t	nparents;		/* 0 = about sqrt(ncentroids); 1 = one flat level */
	uint32_t	iterations;		/* of each level; 0 = default */
	uint64_t	seed;
} KmeansInput;

/* Children of parent p are centroids child_start[p] .. child_start[p + 1] - 1. */
typedef struct KmeansResult
{
	uint32_t	nparents;
	uint32_t	ncentroids;
	float	   *parents;		/* nparents x dim */
	float	   *centroids;		/* ncentroids x dim, grouped by parent */
	uint32_t   *child_start;	/* nparents + 1 */
} KmeansResult;

/* Everything in result comes from hooks->alloc. nsample must be at least 1. */
extern void kmeans_train(const KmeansInput *input, const KmeansHooks *hooks, KmeansResult *result);

/*
 * Assign tokens to centroids: among the children of the best parents of each,
 * at most nparents_probed, less those much farther than the nearest (none are
 * left out when all are probed). tokens: n x dim floats. centroid[i], and where not NULL
 * similarity[i] = <x, c> - |c|^2/2. The assigner holds packed copies of the
 * result's norms and scratch; make one a worker.
 */
typedef struct KmeansAssigner KmeansAssigner;
extern KmeansAssigner *kmeans_assigner_create(const KmeansResult *result, uint32_t dim, uint32_t nparents_probed,
											  const KmeansHooks *hooks);
extern void kmeans_assigner_release(KmeansAssigner *assigner);
extern void kmeans_assign(KmeansAssigner *assigner, const float *tokens, uint32_t n, uint32_t *centroid, float *similarity);

#endif							/* COLBERT_KMEANS_H */
