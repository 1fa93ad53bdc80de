/*-------------------------------------------------------------------------
 *
 * range.h
 *	  Ranges of a score: "maxsim(doc, query) > bound" as a value.
 *
 * In SQL a range is the row (query, comparison, bound) of the composite type
 * multivector_range. Anyone can make one, so nothing in it is trusted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_RANGE_H
#define COLBERT_RANGE_H

#include "compat/pg_compat.h"

#include "multivector/score.h"

typedef struct ScoreRange
{
	MultiVector *query;
	bool		of_distance;	/* bounds the operator's value from above, not the function's from below */
	bool		inclusive;
	double		bound;
} ScoreRange;

/*
 * Read a range; its query is allocated in the current context. False where a
 * field is NULL: then nothing is within. Errors (22023) for an unknown
 * comparison.
 */
extern bool range_from_datum(Datum datum, ScoreRange *range);

/*
 * The least similarity (larger is nearer; for L2 minus the distance) that a
 * document within the range may have, or a little less.
 */
extern double range_floor(const ScoreRange *range, Metric metric);

#endif							/* COLBERT_RANGE_H */
