/*-------------------------------------------------------------------------
 *
 * scale.h
 *	  The factor that brings the tokens of an index to about length 1.
 *
 * Sketches, nodes and samples hold binary16 numbers, which end at 65504 and
 * lose bits below 6e-5; an addend of L2 is half a squared length. So the
 * tokens of an index are multiplied by a power of two, which loses nothing,
 * before anything approximate is made of them. Lengths that these formats
 * hold well as they are keep the factor 1, and a cosine needs none.
 *
 * The factor is chosen once, before the first token is encoded: by a build
 * from documents all over the table, otherwise by the first insert from its
 * document. A single document may be unlike the others, so it moves the
 * factor no further than tokens of length 1 can bear.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SCALE_H
#define COLBERT_SCALE_H

#include <math.h>

#include "multivector/score.h"
#include "storage/layout.h"

/* Lengths of tokens, those of length 0 left out. */
typedef struct LengthSum
{
	uint64 tokens;
	double squares;
} LengthSum;

/* How far the exponent may be from 0. */
typedef enum ScaleRange
{
	SCALE_OF_ONE_DOCUMENT = 15,
	SCALE_OF_MANY = SCALE_LIMIT
} ScaleRange;

/* What the meta page of an index without documents says. */
static inline int8
scale_unset(Metric metric)
{
	return metric == METRIC_COSINE ? 0 : SCALE_UNSET;
}

/* A power of two by its stored exponent; 1 while there is none. */
static inline float
scale_factor(int8 scale_log2)
{
	return scale_log2 == SCALE_UNSET ? 1.0f : ldexpf(1.0f, scale_log2);
}

/* Count the tokens of a document. */
extern void scale_add_lengths(LengthSum *lengths, const MultiVector *mv);

/* The exponent for tokens of such lengths; SCALE_UNSET where there are none. */
extern int8 scale_choose(Metric metric, const LengthSum *lengths, ScaleRange range);

/* Are prepared tokens of this length, on average, too long or too short for their formats? */
extern bool scale_is_off(Metric metric, float prepared_norm);

#endif /* COLBERT_SCALE_H */
