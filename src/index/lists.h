/*-------------------------------------------------------------------------
 *
 * lists.h
 *	  Inverted lists: nodes under two levels of trained centroids.
 *
 * Centroids stand in the order of their parents, so that the children of a
 * parent are a run of rows. Centroid n is node n. Both levels are kept as sq8
 * rows with an addend (codec_sq8.c, as for L2): an eighth of the error that
 * tells one node from the next, at a quarter of the bytes and of the work.
 *
 * Written once, by the build or by the first merge that trains; the meta
 * page counts the nodes last, so that until then there are none.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_LISTS_H
#define COLBERT_LISTS_H

#include "index/finder.h"
#include "kernels/kernels.h"

/* Tokens that are searched for together: four groups of the kernel. */
#define LISTS_CHUNK 64

typedef struct Lists
{
	ColbertIndex *index;
	MetaPageData *meta;
	MemoryContext context;
	uint32		dim;
	size_t		row_size;

	/* A chunk of tokens. */
	void	   *packed;
	KernelSq8Query *query;
	uint32		ntokens;
	uint32		slots;			/* of the kernel: ntokens rounded up */
	float	   *keys;			/* rows of a page x slots */
	float	   *worst;			/* by slot: the key that a row must beat */
	HitPool		pools[LISTS_CHUNK]; /* by token */
	uint64		looked_at;		/* parents */
} Lists;

/* lists_check.c: Finder.check of the lists. */
extern void lists_check(ColbertIndex *index, MetaPageData *meta, const SketchParams *params, Findings *findings, bool encodings);

/* Bytes of a row; the parents and the centroids have the same. */
extern size_t lists_row_size(uint32 dim);

/* Report a page that cannot be right. */
compat_noreturn
extern void lists_corrupted(const Lists *lists, uint32 parent);

/*
 * The nearest nodes of a chunk of tokens into lists->pools, at most so many of
 * each, among the children of each token's best parents (and of the other
 * tokens', which cost no more).
 */
extern void lists_search(Lists *lists, const float *tokens, uint32 ntokens, uint32 nodes, uint32 parents);

#endif							/* COLBERT_LISTS_H */
