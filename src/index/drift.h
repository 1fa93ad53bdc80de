/*-------------------------------------------------------------------------
 *
 * drift.h
 *	  How well the nodes of an index still fit its tokens.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_DRIFT_H
#define COLBERT_DRIFT_H

#include "index/view.h"

typedef struct Drift
{
	double
		trained_distance; /* root mean square of tokens to their nodes; NaN where none were counted */
	double merged_distance; /* the same of tokens since; NaN where there are none */
	double
		imbalance; /* of the posting lists: n * sum of squared lengths / squared sum; 1 = all equal, 0 = no lists */
	double tokens_per_list; /* live ones */
} Drift;

/* Reads some thousand posting lists, with no lock held between them. */
extern void drift_measure(IndexView *view, Drift *drift);

/*
 * Do the lists of a colbert_ivf hold far more tokens than serve best? The
 * number of lists stays what it was when they were trained.
 */
extern bool drift_lists_outgrown(const MetaPageData *meta);

/* What its owner should do, in words; NULL where nothing needs to be done. Allocates in the current context. */
extern char *drift_advice(const IndexView *view, const Drift *drift);

#endif /* COLBERT_DRIFT_H */
