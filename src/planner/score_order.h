/*-------------------------------------------------------------------------
 *
 * score_order.h
 *	  Recognize expressions that sort in the order of a score.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SCORE_ORDER_H
#define COLBERT_SCORE_ORDER_H

#include "compat/pg_compat.h"

#include "planner/score_call.h"

/*
 * An expression that is monotone in a score or distance: it never falls, or
 * never rises, when the score or distance rises.
 */
typedef struct ScoreOrder
{
	ScoreCall call;
	bool      falls;     /* the expression falls when the call's value rises */
	double    lowest;    /* lower bound of the value; -INFINITY if unknown */
	bool      may_merge; /* different scores may yield the same value */
} ScoreOrder;

/* The effect of a function on the order of its argument. */
typedef enum OrderEffect
{
	EFFECT_NONE,  /* not in the table: nothing is known */
	EFFECT_KEEPS, /* unary, or with a second argument that is the same for all rows */
	EFFECT_REVERSES,
	EFFECT_ADDS,
	EFFECT_SUBTRACTS,
	EFFECT_MULTIPLIES,
	EFFECT_DIVIDES
} OrderEffect;

/* A call around an expression of a score. */
typedef struct ScoreWrapper
{
	Oid         function;
	OrderEffect effect;
	Expr       *inner; /* the argument that holds the score */
	Node       *other; /* the other argument, known before the scan starts; NULL if there is none */
	bool        score_first; /* inner is the first argument */
} ScoreWrapper;

/*
 * Strip one call off an expression. Return false if the call is not known to
 * keep or reverse an order.
 */
extern bool score_order_unwrap(PlannerInfo *root, IndexOptInfo *index, Expr *expr,
							   ScoreWrapper *wrapper);

/* Return 1 or -1, the sign of a finite number, or 0 if it is zero, not finite or unknown. */
extern int score_order_sign(IndexOptInfo *index, Node *number);

/*
 * Match an expression to the order of a score of the index's documents. Return
 * false for any other expression.
 */
extern bool score_order_match(PlannerInfo *root, IndexOptInfo *index, Expr *expr,
							  ScoreOrder *order);

#endif /* COLBERT_SCORE_ORDER_H */
