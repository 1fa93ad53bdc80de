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
	ScoreCall call;
	bool      falls;     /* while the call's value rises */
	double    lowest;    /* no value is less; -INFINITY if unknown */
	bool      may_merge; /* different scores may become one value */
} ScoreOrder;

/* What a function does to the order of its argument. */
typedef enum OrderEffect
{
	EFFECT_NONE,  /* not listed: nothing is known */
	EFFECT_KEEPS, /* of one argument, or with a second one that is the same for all rows */
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
	Expr       *inner; /* the argument that has the score */
	Node *other; /* the other one, which is known before the scan starts; NULL if there is none */
	bool  score_first; /* inner is the first argument */
} ScoreWrapper;

/* Take one call off; false if it is none that is known to keep or reverse an order. */
extern bool score_order_unwrap(PlannerInfo *root, IndexOptInfo *index, Expr *expr,
							   ScoreWrapper *wrapper);

/* 1 or -1: the sign of a finite number; 0 if it is zero, not finite or unknown. */
extern int score_order_sign(IndexOptInfo *index, Node *number);

/* Match an expression to the order of a score of the index's documents; false if it is anything else. */
extern bool score_order_match(PlannerInfo *root, IndexOptInfo *index, Expr *expr,
							  ScoreOrder *order);

#endif /* COLBERT_SCORE_ORDER_H */
