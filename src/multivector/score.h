/*-------------------------------------------------------------------------
 *
 * score.h
 *	  Exact scores of a stored multivector and a prepared query.
 *
 * This module alone defines maxsim, maxsim_cosine and maxsim_l2. The SQL
 * functions, the operators and the exact stage of an index scan all call it,
 * so their bits agree by construction.
 *
 *	maxsim			sum over q, in order, in double, of the best dot
 *	maxsim_cosine	the same with q normalized and d divided by |d|; a zero
 *					vector has cosine 0 with everything
 *	maxsim_l2		sum over q of the smallest |q - d|, from differences: equal
 *					tokens are at distance 0, whatever all tokens share
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SCORE_H
#define COLBERT_SCORE_H

#include "multivector/multivector.h"

typedef enum Metric
{
	METRIC_IP = 0,     /* maxsim */
	METRIC_COSINE = 1, /* maxsim_cosine */
	METRIC_L2 = 2      /* maxsim_l2 */
} Metric;

typedef struct ScoreQuery ScoreQuery;

/* Prepare a query in the current memory context. The result is a single palloc chunk. */
extern ScoreQuery *score_prepare(const MultiVector *query, Metric metric);

/* Return the number of the query's tokens. */
extern uint32 score_query_tokens(const ScoreQuery *query);

/*
 * Return the value of the SQL function: larger is better for IP and COSINE,
 * smaller for L2. Errors out (22000) if the dims differ.
 */
extern double score_document(ScoreQuery *query, const MultiVector *doc);

/*
 * Return the same value, and for each query token the document token that it
 * matched and their similarity (for L2 their distance). Either array may be
 * NULL.
 */
extern double score_document_matches(ScoreQuery *query, const MultiVector *doc, uint32 *doc_token,
									 float *similarity);

/*
 * Convert the value of the function to that of the ordering operator (smaller
 * is closer): <#> is -maxsim, <=> is the number of query tokens minus
 * maxsim_cosine, <-> is maxsim_l2.
 */
extern double score_to_distance(const ScoreQuery *query, double score);

#endif /* COLBERT_SCORE_H */
