/*-------------------------------------------------------------------------
 *
 * threshold.h
 *	  Thresholds of a score: "maxsim(doc, query) > bound" as a value.
 *
 * In SQL a threshold is the row (query, comparison, bound) of the composite type
 * multivector_threshold. Anyone can make one, so nothing in it is trusted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_THRESHOLD_H
#define COLBERT_THRESHOLD_H

#include "compat/pg_compat.h"

#include "multivector/score.h"

/* Operations around a score, as SUPPORT_BOUND is told them. */
#define BOUND_PLUS       "score + operand"
#define BOUND_MINUS      "score - operand"
#define BOUND_SUBTRACTED "operand - score"
#define BOUND_TIMES      "score * operand"
#define BOUND_DIVIDED    "score / operand"
#define BOUND_REAL       "score::real"

typedef struct ScoreThreshold
{
	MultiVector *query;
	bool   of_distance; /* bounds the operator's value from above, not the function's from below */
	bool   inclusive;
	double bound;
} ScoreThreshold;

/*
 * Read a threshold; its query is allocated in the current context. False where a
 * field is NULL: then nothing is within. Errors (22023) for an unknown
 * comparison.
 */
extern bool threshold_from_datum(Datum datum, ScoreThreshold *threshold);

/*
 * The least similarity (larger is nearer; for L2 minus the distance) that a
 * document within the threshold may have, or a little less.
 */
extern double threshold_score(const ScoreThreshold *threshold, Metric metric);

#endif /* COLBERT_THRESHOLD_H */
