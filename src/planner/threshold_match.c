/*-------------------------------------------------------------------------
 *
 * threshold_match.c
 *	  Match thresholds of a score to conditions of an index scan.
 *
 * "maxsim(doc, query) > bound" compares numbers, so no operator of ours is
 * involved. For the index it is rewritten as
 *
 *	doc <op> multivector_threshold(query, '>', bound)
 *
 * which is true of exactly the same documents. The operator is that of
 * strategy 3, and the function is support function 2 of the operator class. If
 * the score is part of an expression, as in "1 - maxsim(doc, query) / 32 <
 * bound", the threshold is slightly looser and the comparison stays as a
 * filter (score_bound.c).
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "access/stratnum.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/restrictinfo.h"
#include "planner/threshold_match.h"
#include "planner/score_bound.h"
#include "planner/score_order.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

/* A comparison of a score with a number that is known before the scan starts. */
typedef struct Threshold
{
	ScoreCall call;
	int       strategy; /* btree strategy, with the score on the left */
	Expr     *bound;    /* float8 */
	bool      is_exact; /* else the bound is slightly looser, and inclusive */
} Threshold;

static int
commuted(int strategy)
{
	return BTGreaterStrategyNumber + BTLessStrategyNumber - strategy;
}

/*
 * Match a comparison of a score of the index's documents with a number. The
 * comparison operator must belong to the family that the score sorts by.
 */
static bool
get_threshold(PlannerInfo *root, IndexOptInfo *index, OpExpr *clause, Threshold *threshold)
{
	Oid type = index->opcintype[0];
	Oid nearest = get_opfamily_member(index->opfamily[0], type, type, STRATEGY_NULLS_LAST);
	Oid order =
		OidIsValid(nearest) ? get_op_opfamily_sortfamily(nearest, index->opfamily[0]) : InvalidOid;
	ScoreOrder score;
	Expr      *expr;
	Node      *number;
	bool       above;

	if (list_length(clause->args) != 2 || !OidIsValid(order))
		return false;
	threshold->strategy = get_op_opfamily_strategy(clause->opno, order);
	if (threshold->strategy == 0)
		return false;
	expr = linitial(clause->args);
	number = lsecond(clause->args);
	if (!score_order_match(root, index, expr, &score))
	{
		expr = lsecond(clause->args);
		number = linitial(clause->args);
		threshold->strategy = commuted(threshold->strategy);
		if (!score_order_match(root, index, expr, &score))
			return false;
	}
	threshold->call = score.call;
	threshold->is_exact = score_call_match(root, index, expr, &score.call);
	threshold->bound = score_bound_as_float8(number);
	if (threshold->bound == NULL || !score_call_is_known(root, index, number))
		return false;
	above = threshold->strategy >= BTGreaterEqualStrategyNumber;
	if (!threshold->is_exact)
		threshold->bound = score_bound_of(root, index, expr, threshold->bound, above);
	if (score.falls)
		threshold->strategy = commuted(threshold->strategy);
	return threshold->bound != NULL;
}

/*
 * Return the comparison operator of a threshold, or NULL if the comparison
 * does not select the nearest documents.
 */
static const char *
comparison(const Threshold *threshold)
{
	switch (threshold->strategy)
	{
		case BTLessStrategyNumber:
			return threshold->call.kind != CALL_OF_DISTANCE ? NULL
				   : threshold->is_exact                    ? "<"
															: "<=";
		case BTLessEqualStrategyNumber:
			return threshold->call.kind == CALL_OF_DISTANCE ? "<=" : NULL;
		case BTGreaterEqualStrategyNumber:
			return threshold->call.kind == CALL_OF_SCORE ? ">=" : NULL;
		case BTGreaterStrategyNumber:
			return threshold->call.kind != CALL_OF_SCORE ? NULL : threshold->is_exact ? ">" : ">=";
		default:
			return NULL;
	}
}

/*
 * Build doc <op> multivector_threshold(query, comparison, bound). Return NULL
 * if the operator class does not support thresholds.
 */
static Expr *
threshold_clause(IndexOptInfo *index, const Threshold *threshold)
{
	Oid       family = index->opfamily[0];
	Oid       type = index->opcintype[0];
	Oid       function = get_opfamily_proc(family, type, type, SUPPORT_THRESHOLD);
	Oid       row_type = OidIsValid(function) ? get_func_rettype(function) : InvalidOid;
	Oid       operator= get_opfamily_member(family, type, row_type, STRATEGY_THRESHOLD);
	Const    *text;
	FuncExpr *row;

	if (!OidIsValid(operator))
		return NULL;
	text = makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
					 CStringGetTextDatum(comparison(threshold)), false, false);
	row =
		makeFuncExpr(function, row_type, list_make3(threshold->call.query, text, threshold->bound),
					 InvalidOid, DEFAULT_COLLATION_OID, COERCE_EXPLICIT_CALL);
	return make_opclause(operator, BOOLOID, false, (Expr *) threshold->call.doc, (Expr *) row,
						 InvalidOid, InvalidOid);
}

IndexClause *
threshold_match_restriction(PlannerInfo *root, IndexOptInfo *index, RestrictInfo *restriction,
							Node **query)
{
	Threshold    threshold;
	Expr        *row;
	IndexClause *clause;

	if (restriction->pseudoconstant || !IsA(restriction->clause, OpExpr) ||
		!get_threshold(root, index, (OpExpr *) restriction->clause, &threshold) ||
		comparison(&threshold) == NULL ||
		!restriction_is_securely_promotable(restriction, index->rel))
		return NULL;
	row = threshold_clause(index, &threshold);
	if (row == NULL)
		return NULL;

	clause = makeNode(IndexClause);
	clause->rinfo = restriction;
	clause->indexquals = list_make1(make_simple_restrictinfo(root, row));
	/*
	 * If core did not use its default estimate for the clause, keep the
	 * estimate (threshold_share.c).
	 */
	if (restriction->norm_selec >= 0 && restriction->norm_selec != DEFAULT_INEQ_SEL)
		linitial_node(RestrictInfo, clause->indexquals)->norm_selec = restriction->norm_selec;
	clause->lossy = !threshold.is_exact;
	clause->indexcol = 0;
	clause->indexcols = NIL;
	*query = threshold.call.query;
	return clause;
}
