/*-------------------------------------------------------------------------
 *
 * drift.h
 *	  Measure how well the nodes of an index fit its tokens.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_DRIFT_H
#define COLBERT_DRIFT_H

#include "index/view.h"

/* Measurements of an index. */
typedef struct Drift
{
	/* Root mean square distance of tokens to their nodes at training; NaN if none were counted. */
	double trained_distance;
	double merged_distance; /* the same for later tokens; NaN if there are none */
	/*
	 * Imbalance of the posting lists: n * sum of squared lengths / squared
	 * sum. 1: all equal; 0: no lists.
	 */
	double imbalance;
	double tokens_per_list; /* live tokens */
} Drift;

/* Measure an index. Reads up to a few thousand posting lists; no lock is held between them. */
extern void drift_measure(IndexView *view, Drift *drift);

/*
 * Return true if the lists of a colbert_ivf index have far more tokens than
 * intended. VACUUM trains new ones, unless the quantizer or
 * maintenance_work_mem prevents it (relist.h).
 */
extern bool drift_lists_outgrown(const MetaPageData *meta);

/*
 * Return advice to the index's owner, allocated in the current memory context;
 * NULL if no action is needed.
 */
extern char *drift_advice(const IndexView *view, const Drift *drift);

#endif /* COLBERT_DRIFT_H */
