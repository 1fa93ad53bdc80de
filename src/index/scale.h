/*-------------------------------------------------------------------------
 *
 * scale.h
 *	  Choose the factor that scales the tokens of an index to about length 1.
 *
 * Sketches, nodes and samples contain binary16 numbers, which end at 65504 and
 * lose bits below 6e-5; an addend of L2 is half a squared length. The tokens
 * of an index are therefore multiplied by a power of two before anything
 * approximate is computed from them, which loses no precision. The factor is 1
 * for lengths that these formats represent well, and for cosine.
 *
 * The factor is chosen once, before the first token is encoded: by a build
 * from documents of the whole table, otherwise by the first insert from its
 * document. A single document may not be representative, so the factor it
 * chooses is limited to what tokens of length 1 tolerate.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SCALE_H
#define COLBERT_SCALE_H

#include <math.h>

#include "multivector/score.h"
#include "storage/layout.h"

/* Statistics of the lengths of tokens, without those of length 0. */
typedef struct LengthSum
{
	uint64 tokens;
	double squares;
} LengthSum;

/* Maximum absolute value of the exponent. */
typedef enum ScaleRange
{
	SCALE_OF_ONE_DOCUMENT = 15,
	SCALE_OF_MANY = SCALE_LIMIT
} ScaleRange;

/* Return the initial exponent of an index without documents. */
static inline int8
scale_unset(Metric metric)
{
	return metric == METRIC_COSINE ? 0 : SCALE_UNSET;
}

/* Return the factor for a stored exponent; 1 if it is not set. */
static inline float
scale_factor(int8 scale_log2)
{
	return scale_log2 == SCALE_UNSET ? 1.0f : ldexpf(1.0f, scale_log2);
}

/* Add the tokens of a document to the statistics. */
extern void scale_add_lengths(LengthSum *lengths, const MultiVector *mv);

/* Return the exponent for tokens of these lengths; scale_unset if there are none. */
extern int8 scale_choose(Metric metric, const LengthSum *lengths, ScaleRange range);

/*
 * Return true if prepared tokens of this average length are too long or too
 * short for the formats.
 */
extern bool scale_is_off(Metric metric, float prepared_norm);

#endif /* COLBERT_SCALE_H */
