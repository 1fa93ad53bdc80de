/*-------------------------------------------------------------------------
 *
 * score_order.c
 *	  Recognize expressions that sort in the order of a score.
 *
 * Documents in the order of maxsim(doc, query) are also in the order of
 * maxsim(doc, query) / 32, and in the reverse order of 1 - maxsim(doc, query).
 * A cast or a function that rounds makes some values equal, and equal values
 * may come in any order.
 *
 * The table lists functions that are monotone as computed, rounding included:
 * IEEE 754 arithmetic, and functions of numeric whose result does not lose
 * digits that depend on the argument. exp() and ln() are not listed, because
 * the C library does not guarantee that they are monotone in the last bit.
 *
 * The other operand may be any expression that is known before the scan
 * starts. For a factor or divisor, the planner must also know the sign. That
 * implies that it is finite, since infinity times 0 is NaN.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "planner/score_order.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

static const struct
{
	Oid         function;
	OrderEffect effect;
} effects[] = {
	/* casts */
	{F_FLOAT4_FLOAT8, EFFECT_KEEPS},
	{F_FLOAT8_FLOAT4, EFFECT_KEEPS},
	{F_NUMERIC_FLOAT8, EFFECT_KEEPS},
	{F_NUMERIC_FLOAT4, EFFECT_KEEPS},
	{F_FLOAT8_NUMERIC, EFFECT_KEEPS},
	{F_FLOAT4_NUMERIC, EFFECT_KEEPS},
	{F_NUMERIC_NUMERIC_INT4, EFFECT_KEEPS},
	{F_INT2_FLOAT8, EFFECT_KEEPS},
	{F_INT4_FLOAT8, EFFECT_KEEPS},
	{F_INT8_FLOAT8, EFFECT_KEEPS},
	{F_INT2_FLOAT4, EFFECT_KEEPS},
	{F_INT4_FLOAT4, EFFECT_KEEPS},
	{F_INT8_FLOAT4, EFFECT_KEEPS},
	{F_INT2_NUMERIC, EFFECT_KEEPS},
	{F_INT4_NUMERIC, EFFECT_KEEPS},
	{F_INT8_NUMERIC, EFFECT_KEEPS},
	/* functions that round */
	{F_ROUND_FLOAT8, EFFECT_KEEPS},
	{F_TRUNC_FLOAT8, EFFECT_KEEPS},
	{F_CEIL_FLOAT8, EFFECT_KEEPS},
	{F_CEILING_FLOAT8, EFFECT_KEEPS},
	{F_FLOOR_FLOAT8, EFFECT_KEEPS},
	{F_ROUND_NUMERIC, EFFECT_KEEPS},
	{F_ROUND_NUMERIC_INT4, EFFECT_KEEPS},
	{F_TRUNC_NUMERIC, EFFECT_KEEPS},
	{F_TRUNC_NUMERIC_INT4, EFFECT_KEEPS},
	{F_CEIL_NUMERIC, EFFECT_KEEPS},
	{F_CEILING_NUMERIC, EFFECT_KEEPS},
	{F_FLOOR_NUMERIC, EFFECT_KEEPS},
	/* signs and the square root, which is rounded correctly */
	{F_FLOAT8UP, EFFECT_KEEPS},
	{F_FLOAT4UP, EFFECT_KEEPS},
	{F_NUMERIC_UPLUS, EFFECT_KEEPS},
	{F_FLOAT8UM, EFFECT_REVERSES},
	{F_FLOAT4UM, EFFECT_REVERSES},
	{F_NUMERIC_UMINUS, EFFECT_REVERSES},
	{F_DSQRT, EFFECT_KEEPS},
	{F_SQRT_FLOAT8, EFFECT_KEEPS},
	/* arithmetic */
	{F_FLOAT8PL, EFFECT_ADDS},
	{F_FLOAT84PL, EFFECT_ADDS},
	{F_FLOAT48PL, EFFECT_ADDS},
	{F_FLOAT4PL, EFFECT_ADDS},
	{F_NUMERIC_ADD, EFFECT_ADDS},
	{F_FLOAT8MI, EFFECT_SUBTRACTS},
	{F_FLOAT84MI, EFFECT_SUBTRACTS},
	{F_FLOAT48MI, EFFECT_SUBTRACTS},
	{F_FLOAT4MI, EFFECT_SUBTRACTS},
	{F_NUMERIC_SUB, EFFECT_SUBTRACTS},
	{F_FLOAT8MUL, EFFECT_MULTIPLIES},
	{F_FLOAT84MUL, EFFECT_MULTIPLIES},
	{F_FLOAT48MUL, EFFECT_MULTIPLIES},
	{F_FLOAT4MUL, EFFECT_MULTIPLIES},
	{F_NUMERIC_MUL, EFFECT_MULTIPLIES},
	{F_FLOAT8DIV, EFFECT_DIVIDES},
	{F_FLOAT84DIV, EFFECT_DIVIDES},
	{F_FLOAT48DIV, EFFECT_DIVIDES},
	{F_FLOAT4DIV, EFFECT_DIVIDES},
	{F_NUMERIC_DIV, EFFECT_DIVIDES},
};

extern Datum multivector_num_tokens(PG_FUNCTION_ARGS);
extern Datum multivector_dims(PG_FUNCTION_ARGS);
extern Datum multivector_maxsim_l2(PG_FUNCTION_ARGS);

/*
 * Return the function of a call and set its arguments; InvalidOid if the
 * expression is not a call.
 */
static Oid
called_function(Node *expr, List **args)
{
	if (IsA(expr, FuncExpr))
	{
		*args = ((FuncExpr *) expr)->args;
		return ((FuncExpr *) expr)->funcid;
	}
	if (IsA(expr, OpExpr))
	{
		*args = ((OpExpr *) expr)->args;
		return get_opcode(((OpExpr *) expr)->opno);
	}
	return InvalidOid;
}

static OrderEffect
effect_of(Oid function)
{
	for (int i = 0; i < lengthof(effects); i++)
		if (effects[i].function == function)
			return effects[i].effect;
	return EFFECT_NONE;
}

/* ---- the operand that is not the score ---- */

/* Return the value of a float constant; NaN for any other expression. */
static double
constant_value(Node *expr)
{
	Const *constant = (Const *) expr;

	if (!IsA(expr, Const) || constant->constisnull)
		return NAN;
	switch (constant->consttype)
	{
		case FLOAT8OID:
			return DatumGetFloat8(constant->constvalue);
		case FLOAT4OID:
			return DatumGetFloat4(constant->constvalue);
		default:
			return NAN;
	}
}

/* Return true if the call computes a distance between tokens, which is never negative. */
static bool
is_length(Expr *call)
{
	List    *args = NIL;
	FmgrInfo info;

	fmgr_info(called_function((Node *) call, &args), &info);
	return info.fn_addr == multivector_maxsim_l2;
}

/*
 * Return true if the function counts the tokens or dims of a multivector,
 * which has at least one of each.
 */
static bool
is_positive_count(IndexOptInfo *index, Oid function, List *args)
{
	FmgrInfo info;

	if (list_length(args) != 1 || exprType(linitial(args)) != index->opcintype[0])
		return false;
	fmgr_info(function, &info);
	return info.fn_addr == multivector_num_tokens || info.fn_addr == multivector_dims;
}

/* Return the sign that all of these expressions have; 0 if signs differ or one is unknown. */
static int
common_sign(IndexOptInfo *index, List *exprs)
{
	int       sign = score_order_sign(index, linitial(exprs));
	ListCell *cell;

	for_each_from (cell, exprs, 1)
		if (score_order_sign(index, lfirst(cell)) != sign)
			return 0;
	return sign;
}

/*
 * Return the sign of GREATEST or LEAST. For integers, one positive argument
 * makes GREATEST positive, and one negative argument makes LEAST negative.
 */
static int
sign_of_extreme(IndexOptInfo *index, MinMaxExpr *extreme)
{
	int       wanted = extreme->op == IS_GREATEST ? 1 : -1;
	ListCell *cell;

	if (extreme->minmaxtype != INT4OID)
		return common_sign(index, extreme->args);
	foreach (cell, extreme->args)
		if (score_order_sign(index, lfirst(cell)) == wanted)
			return wanted;
	return common_sign(index, extreme->args);
}

int
score_order_sign(IndexOptInfo *index, Node *expr)
{
	double value = constant_value(expr);
	List  *args = NIL;
	Oid    function;

	check_stack_depth();
	if (!isnan(value))
		return isfinite(value) ? (value > 0) - (value < 0) : 0;
	if (IsA(expr, Const))
	{
		Const  *constant = (Const *) expr;
		Numeric number;

		if (!constant->constisnull && constant->consttype == INT4OID)
			return (DatumGetInt32(constant->constvalue) > 0) -
				   (DatumGetInt32(constant->constvalue) < 0);
		if (constant->constisnull || constant->consttype != NUMERICOID)
			return 0;
		number = DatumGetNumeric(constant->constvalue);
		if (numeric_is_nan(number) || numeric_is_inf(number))
			return 0;
		return DatumGetInt32(DirectFunctionCall1(
			numeric_int4, DirectFunctionCall1(numeric_sign, NumericGetDatum(number))));
	}
	if (IsA(expr, NullIfExpr))
		return score_order_sign(index, linitial(((NullIfExpr *) expr)->args));
	if (IsA(expr, CoalesceExpr))
		return common_sign(index, ((CoalesceExpr *) expr)->args);
	if (IsA(expr, MinMaxExpr))
		return sign_of_extreme(index, (MinMaxExpr *) expr);
	function = called_function(expr, &args);
	switch (function)
	{
		case InvalidOid:
			return 0;
		case F_FLOAT8_INT4:
		case F_FLOAT4_INT4:
		case F_NUMERIC_INT4:
		case F_FLOAT8_FLOAT4:
			return score_order_sign(index, linitial(args));
		default:
			return is_positive_count(index, function, args) ? 1 : 0;
	}
}

/* ---- a single call ---- */

/*
 * Return true if the expression is a float cast to numeric, which has at most
 * 15 digits. numeric division yields at least 16 digits, and more if the
 * dividend has more. So different dividends of up to 15 digits yield different
 * quotients; longer ones may not.
 */
static bool
has_few_digits(Node *expr)
{
	List *args = NIL;
	Oid   function = called_function(expr, &args);

	return function == F_NUMERIC_FLOAT8 || function == F_NUMERIC_FLOAT4;
}

static void
reverse(ScoreOrder *order)
{
	order->falls = !order->falls;
	order->lowest = -INFINITY;
}

/* Apply score * factor or score / divisor. */
static bool
scale(ScoreOrder *order, OrderEffect effect, int sign, double by)
{
	if (sign == 0)
		return false;
	if (sign < 0)
		reverse(order);
	else if (isnan(by))
		order->lowest = order->lowest >= 0 ? 0 : -INFINITY;
	else
		order->lowest = effect == EFFECT_DIVIDES ? order->lowest / by : order->lowest * by;
	return true;
}

/*
 * Apply dividend / score. It falls for a positive dividend if the score never
 * changes its sign. A score of 0 is an error.
 */
static bool
divide_by_score(ScoreOrder *order, int sign)
{
	if (sign == 0 || !(order->lowest >= 0))
		return false;
	if (sign > 0)
		order->falls = !order->falls;
	order->lowest = sign > 0 ? 0 : -INFINITY;
	return true;
}

/* Apply the call around a score. Return false if no order is certain after it. */
static bool
apply(IndexOptInfo *index, const ScoreWrapper *wrapper, ScoreOrder *order)
{
	double value = wrapper->other != NULL ? constant_value(wrapper->other) : NAN;

	switch (wrapper->effect)
	{
		case EFFECT_KEEPS:
			order->lowest = floor(order->lowest);
			return wrapper->score_first;
		case EFFECT_REVERSES:
			reverse(order);
			return true;
		case EFFECT_ADDS:
			order->lowest = isnan(value) ? -INFINITY : order->lowest + value;
			return true;
		case EFFECT_SUBTRACTS:
			if (!wrapper->score_first)
				reverse(order);
			else
				order->lowest = isnan(value) ? -INFINITY : order->lowest - value;
			return true;
		case EFFECT_MULTIPLIES:
			return scale(order, wrapper->effect, score_order_sign(index, wrapper->other), value);
		case EFFECT_DIVIDES:
			if (wrapper->function == F_NUMERIC_DIV &&
				!(wrapper->score_first && has_few_digits((Node *) wrapper->inner)))
				return false;
			return wrapper->score_first
					   ? scale(order, wrapper->effect, score_order_sign(index, wrapper->other),
							   value)
					   : divide_by_score(order, score_order_sign(index, wrapper->other));
		default:
			return false;
	}
}

/* Round a lower bound as the type does. Bounds are kept only for floats. */
static double
rounded_as(double lowest, Oid type)
{
	return type == FLOAT8OID ? lowest : type == FLOAT4OID ? (float) lowest : -INFINITY;
}

bool
score_order_unwrap(PlannerInfo *root, IndexOptInfo *index, Expr *expr, ScoreWrapper *wrapper)
{
	List *args = NIL;
	bool  is_binary;

	wrapper->function = called_function((Node *) expr, &args);
	wrapper->effect = effect_of(wrapper->function);
	if (wrapper->effect == EFFECT_NONE || list_length(args) < 1 || list_length(args) > 2)
		return false;
	is_binary = list_length(args) == 2;
	wrapper->score_first =
		!is_binary || bms_overlap(pull_varnos(root, linitial(args)), index->rel->relids);
	wrapper->inner = wrapper->score_first ? linitial(args) : lsecond(args);
	wrapper->other = !is_binary ? NULL : wrapper->score_first ? lsecond(args) : linitial(args);
	return !is_binary || score_call_is_known(root, index, wrapper->other);
}

bool
score_order_match(PlannerInfo *root, IndexOptInfo *index, Expr *expr, ScoreOrder *order)
{
	ScoreWrapper wrapper;

	check_stack_depth();
	if (IsA(expr, RelabelType))
		return score_order_match(root, index, ((RelabelType *) expr)->arg, order);
	if (score_call_match(root, index, expr, &order->call))
	{
		order->falls = false;
		order->may_merge = false;
		order->lowest = is_length(expr) ? 0 : -INFINITY;
		return true;
	}
	if (!score_order_unwrap(root, index, expr, &wrapper) ||
		!score_order_match(root, index, wrapper.inner, order) || !apply(index, &wrapper, order))
		return false;
	order->lowest = rounded_as(order->lowest, exprType((Node *) expr));
	order->may_merge = true;
	return true;
}
