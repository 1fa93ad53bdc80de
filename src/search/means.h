/*-------------------------------------------------------------------------
 *
 * means.h
 *	  Gains of documents by the mean of their tokens. Private to this folder.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_MEANS_H
#define COLBERT_MEANS_H

#include "search/query.h"
#include "search/sums.h"

/* The sum of the query tokens, against which means are scored. */
typedef struct MeanQuery
{
	KernelSketchQuery *sketch;
	float              factor; /* of a score */
	float floor; /* scores up to this one gain nothing; the lowest of the first batch */
	bool  has_floor;
} MeanQuery;

/* What the lists tell about each direction. */
typedef struct MeanShares
{
	const float *misses; /* weighted similarity of a miss */
	const float *shares; /* share of its inner products that counts: 0 to 1 */
} MeanShares;

/* Prepare the query. Allocates in the current context. */
extern void means_prepare(const IndexView *view, const SearchQuery *query, const MeanShares *shares,
						  MeanQuery *means);
extern void means_free(MeanQuery *means);

/* Add the gains of n documents to their estimates. */
extern void means_add(IndexView *view, MeanQuery *means, SummedDoc *docs, uint32 n);

#endif /* COLBERT_MEANS_H */
