/*-------------------------------------------------------------------------
 *
 * score_sample.h
 *	  Estimate the share of an index's documents that score above a threshold
 *	  from a sample.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SCORE_SAMPLE_H
#define COLBERT_SCORE_SAMPLE_H

#include "search/search.h"

/*
 * Estimate the share of documents whose similarity to the query is at least the
 * threshold. Larger similarities are nearer; for L2 it is minus the distance.
 *
 * Returns a number above 0 and below 1. Returns a negative number if no
 * document has an estimate, or if the index cannot be searched with this query.
 *
 * For the planner: reads some dozens of pages, but no row of the table, and
 * does not change colbert_last_scan.
 */
extern double score_sample_share(Relation index, const MultiVector *query, double threshold);

#endif /* COLBERT_SCORE_SAMPLE_H */
