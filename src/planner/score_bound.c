/*-------------------------------------------------------------------------
 *
 * score_bound.c
 *	  Derive the bound of a score from the bound of an expression of it.
 *
 * maxsim(doc, query) / 32 > 0.5 bounds maxsim(doc, query) by 16. Support
 * function 3 of the operator class (multivector/threshold.c) computes the
 * bound. It is called once for each call around the score, from the outermost
 * to the innermost. SQL's own operators would not do: they could raise errors
 * that the statement itself does not.
 *
 * The bound is not exact, because the expression rounds. The index therefore
 * returns some documents that do not pass, and the original comparison stays
 * as a filter.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "multivector/threshold.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "planner/score_bound.h"
#include "planner/score_order.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

Expr *
score_bound_as_float8(Node *number)
{
	switch (exprType(number))
	{
		case FLOAT8OID:
			return (Expr *) number;
		case FLOAT4OID:
			return (Expr *) makeFuncExpr(F_FLOAT8_FLOAT4, FLOAT8OID, list_make1(number), InvalidOid,
										 InvalidOid, COERCE_IMPLICIT_CAST);
		default:
			return NULL;
	}
}

/* Build the call function(bound, operation, operand, above). */
static Expr *
make_step(Oid function, Expr *bound, const char *operation, Expr *operand, bool above)
{
	Const *text = makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1, CStringGetTextDatum(operation),
							false, false);

	return (Expr *) makeFuncExpr(function, FLOAT8OID,
								 list_make4(bound, text, operand, makeBoolConst(above, false)),
								 InvalidOid, DEFAULT_COLLATION_OID, COERCE_EXPLICIT_CALL);
}

static Expr *
make_zero(void)
{
	return (Expr *) makeConst(FLOAT8OID, -1, InvalidOid, sizeof(float8), Float8GetDatum(0.0), false,
							  FLOAT8PASSBYVAL);
}

/*
 * Return the name of the call's operation for the support function. Return
 * NULL if the call cannot be inverted, or need not be.
 */
static const char *
operation_of(const ScoreWrapper *wrapper)
{
	switch (wrapper->effect)
	{
		case EFFECT_REVERSES:
			return BOUND_SUBTRACTED;
		case EFFECT_ADDS:
			return BOUND_PLUS;
		case EFFECT_SUBTRACTS:
			return wrapper->score_first ? BOUND_MINUS : BOUND_SUBTRACTED;
		case EFFECT_MULTIPLIES:
			return BOUND_TIMES;
		case EFFECT_DIVIDES:
			return wrapper->score_first ? BOUND_DIVIDED : NULL;
		default:
			return NULL;
	}
}

/*
 * Return true for casts between floats and for unary plus. Their value is that
 * of the argument, apart from rounding to real.
 */
static bool
is_same_value(Oid function)
{
	return function == F_FLOAT4_FLOAT8 || function == F_FLOAT8_FLOAT4 || function == F_FLOAT8UP ||
		   function == F_FLOAT4UP;
}

static bool
falls(IndexOptInfo *index, const ScoreWrapper *wrapper)
{
	switch (wrapper->effect)
	{
		case EFFECT_REVERSES:
			return true;
		case EFFECT_SUBTRACTS:
			return !wrapper->score_first;
		case EFFECT_MULTIPLIES:
		case EFFECT_DIVIDES:
			return score_order_sign(index, wrapper->other) < 0;
		default:
			return false;
	}
}

Expr *
score_bound_of(PlannerInfo *root, IndexOptInfo *index, Expr *expr, Expr *bound, bool above)
{
	Oid          type = index->opcintype[0];
	Oid          function = get_opfamily_proc(index->opfamily[0], type, type, SUPPORT_BOUND);
	ScoreCall    call;
	ScoreWrapper wrapper;

	for (; !score_call_match(root, index, expr, &call); expr = wrapper.inner)
	{
		Oid         result = exprType((Node *) expr);
		const char *operation;
		Expr       *operand;

		if (IsA(expr, RelabelType))
		{
			wrapper.inner = ((RelabelType *) expr)->arg;
			continue;
		}
		if (!OidIsValid(function) || (result != FLOAT8OID && result != FLOAT4OID) ||
			!score_order_unwrap(root, index, expr, &wrapper))
			return NULL;
		if (result == FLOAT4OID)
			bound = make_step(function, bound, BOUND_REAL, make_zero(), above);
		if (is_same_value(wrapper.function))
			continue;
		operation = operation_of(&wrapper);
		operand = wrapper.other == NULL ? make_zero() : score_bound_as_float8(wrapper.other);
		if (operation == NULL || operand == NULL)
			return NULL;
		bound = make_step(function, bound, operation, operand, above);
		above = above != falls(index, &wrapper);
	}
	return (Expr *) eval_const_expressions(root, (Node *) bound);
}
