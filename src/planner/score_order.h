/*-------------------------------------------------------------------------
 *
 * score_order.h
 *	  Is the order of an expression that of a score?
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SCORE_ORDER_H
#define COLBERT_SCORE_ORDER_H

#include "compat/pg_compat.h"

#include "planner/score_call.h"

/* An expression that never falls, or never rises, while a score or distance rises. */
typedef struct ScoreOrder
{
	ScoreCall	call;
	bool		falls;			/* while the call's value rises */
	double		lowest;			/* no value is less; -INFINITY if unknown */
} ScoreOrder;

/* Match an expression to the order of a score of the index's documents; false if it is anything else. */
extern bool score_order_match(PlannerInfo *root, IndexOptInfo *index, Expr *expr, ScoreOrder *order);

#endif							/* COLBERT_SCORE_ORDER_H */
