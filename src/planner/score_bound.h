/*-------------------------------------------------------------------------
 *
 * score_bound.h
 *	  The bound of a score that follows from that of an expression of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SCORE_BOUND_H
#define COLBERT_SCORE_BOUND_H

#include "compat/pg_compat.h"

#include "nodes/pathnodes.h"

/* A number as float8; NULL if it is of some other type than float8 and float4. */
extern Expr *score_bound_as_float8(Node *number);

/*
 * The bound of the score or distance in an expression that score_order_match
 * has matched, if the expression is bounded by this: from below if above, else
 * from above. It is a little wider than that, by more than rounding. NULL if
 * the index's operator class or a call in the expression does not allow it.
 */
extern Expr *score_bound_of(PlannerInfo *root, IndexOptInfo *index, Expr *expr, Expr *bound,
							bool above);

#endif /* COLBERT_SCORE_BOUND_H */
