/*-------------------------------------------------------------------------
 *
 * score_sample.h
 *	  The share of an index's documents that score above a threshold,
 *	  estimated from a sample.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SCORE_SAMPLE_H
#define COLBERT_SCORE_SAMPLE_H

#include "search/search.h"

/*
 * Estimate the share of documents whose similarity to the query (larger is
 * nearer; for L2 minus the distance) is at least the threshold: between 0 and 1, but
 * neither of them. Negative if the index has no documents to tell by, or
 * cannot be searched with this query.
 *
 * For the planner: reads some dozens of pages, no row of the table, and leaves
 * colbert_last_scan as it is.
 */
extern double score_sample_share(Relation index, const MultiVector *query, double threshold);

#endif /* COLBERT_SCORE_SAMPLE_H */
