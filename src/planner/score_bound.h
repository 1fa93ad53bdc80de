/*-------------------------------------------------------------------------
 *
 * score_bound.h
 *	  Derive the bound of a score from the bound of an expression of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SCORE_BOUND_H
#define COLBERT_SCORE_BOUND_H

#include "compat/pg_compat.h"

#include "nodes/pathnodes.h"

/* Convert a number to float8. Return NULL if it is neither float8 nor float4. */
extern Expr *score_bound_as_float8(Node *number);

/*
 * Return the bound of the score or distance in an expression that
 * score_order_match has matched, given the bound of the expression: a lower
 * bound if above is true, else an upper bound.
 *
 * The result is slightly looser than the exact bound, by more than rounding
 * errors. Return NULL if the index's operator class has no support function
 * for bounds, or if a call in the expression cannot be inverted.
 */
extern Expr *score_bound_of(PlannerInfo *root, IndexOptInfo *index, Expr *expr, Expr *bound,
							bool above);

#endif /* COLBERT_SCORE_BOUND_H */
