/*-------------------------------------------------------------------------
 *
 * threshold.h
 *	  Thresholds of a score: "maxsim(doc, query) > bound" as a value.
 *
 * In SQL a threshold is a row (query, comparison, bound) of the composite type
 * multivector_threshold. Anyone can make one, so nothing in it is trusted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_THRESHOLD_H
#define COLBERT_THRESHOLD_H

#include "compat/pg_compat.h"

#include "multivector/score.h"

/* Names of operations on a score, passed to the support function SUPPORT_BOUND. */
#define BOUND_PLUS       "score + operand"
#define BOUND_MINUS      "score - operand"
#define BOUND_SUBTRACTED "operand - score"
#define BOUND_TIMES      "score * operand"
#define BOUND_DIVIDED    "score / operand"
#define BOUND_REAL       "score::real"

typedef struct ScoreThreshold
{
	MultiVector *query;
	/* True if it bounds the operator's value from above, false if the function's from below. */
	bool   of_distance;
	bool   inclusive;
	double bound;
} ScoreThreshold;

/*
 * Read a threshold. Its query points into the datum, or into memory allocated
 * in the current context. Returns false if a field is NULL, which means that no
 * document is within it. Errors out (22023) for an unknown comparison.
 */
extern bool threshold_from_datum(Datum datum, ScoreThreshold *threshold);

/*
 * Return the minimum similarity that a document within the threshold can have,
 * or slightly less. Larger is nearer; for L2 the similarity is the negated
 * distance.
 */
extern double threshold_score(const ScoreThreshold *threshold, Metric metric);

#endif /* COLBERT_THRESHOLD_H */
