/*-------------------------------------------------------------------------
 *
 * given.h
 *	  Centroids that a build takes as nodes instead of training them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_GIVEN_H
#define COLBERT_GIVEN_H

#include "index/train.h"

/* Centroids in memory of one process, prepared as tokens are and grouped by parent. */
typedef struct GivenCentroids
{
	Oid     table; /* table that they were read from */
	uint32  ncentroids;
	uint32  nparents;
	float  *centroids;   /* ncentroids x view->dim */
	float  *parents;     /* nparents x view->dim */
	uint32 *child_start; /* nparents + 1 */
} GivenCentroids;

/*
 * Make the upper level of centroids that have none: about sqrt(ncentroids)
 * parents by k-means. Sets the parents and child_start, and groups the
 * centroids. Allocates in the current memory context.
 */
extern void given_make_parents(const IndexView *view, GivenCentroids *given);

/*
 * Give a copy of the centroids to the team of the sample, in the form that
 * training has. All participants call this with equal counts. given: NULL in
 * all participants except the one that read the table.
 */
extern void given_share(const IndexView *view, const TokenSample *sample,
						const GivenCentroids *given, uint32 ncentroids, uint32 nparents,
						KmeansResult *result);

#endif /* COLBERT_GIVEN_H */
