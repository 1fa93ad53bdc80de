/*-------------------------------------------------------------------------
 *
 * range_match.c
 *	  Thresholds of a score as conditions of an index scan.
 *
 * "maxsim(doc, query) > bound" is a comparison of numbers, which no operator
 * of ours takes part in. To the index it is said as
 *
 *	doc <op> multivector_range(query, '>', bound)
 *
 * which is true of exactly the same documents. The operator is that of
 * strategy 3, the function support function 2 of the operator class.
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
#include "planner/range_match.h"
#include "planner/score_call.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

/* A comparison of a score with a number that is known before the scan starts. */
typedef struct Threshold
{
	ScoreCall	call;
	int			strategy;		/* of a btree, as if the score stood on the left */
	Expr	   *bound;			/* float8 */
} Threshold;

static int
commuted(int strategy)
{
	return BTGreaterStrategyNumber + BTLessStrategyNumber - strategy;
}

/* The number as float8; NULL where it is of some other type. */
static Expr *
as_float8(Node *number)
{
	switch (exprType(number))
	{
		case FLOAT8OID:
			return (Expr *) number;
		case FLOAT4OID:
			return (Expr *) makeFuncExpr(F_FLOAT8_FLOAT4, FLOAT8OID, list_make1(number), InvalidOid, InvalidOid,
										 COERCE_IMPLICIT_CAST);
		default:
			return NULL;
	}
}

/* Does a clause compare a score of the index's documents with a number, by an operator of the order that it sorts by? */
static bool
get_threshold(PlannerInfo *root, IndexOptInfo *index, OpExpr *clause, Threshold *threshold)
{
	Oid			type = index->opcintype[0];
	Oid			nearest = get_opfamily_member(index->opfamily[0], type, type, STRATEGY_NULLS_LAST);
	Oid			order = OidIsValid(nearest) ? get_op_opfamily_sortfamily(nearest, index->opfamily[0]) : InvalidOid;
	Node	   *number;

	if (list_length(clause->args) != 2 || !OidIsValid(order))
		return false;
	threshold->strategy = get_op_opfamily_strategy(clause->opno, order);
	if (threshold->strategy == 0)
		return false;
	if (score_call_match(root, index, linitial(clause->args), &threshold->call))
		number = lsecond(clause->args);
	else if (score_call_match(root, index, lsecond(clause->args), &threshold->call))
	{
		number = linitial(clause->args);
		threshold->strategy = commuted(threshold->strategy);
	}
	else
		return false;
	threshold->bound = as_float8(number);
	return threshold->bound != NULL && score_call_is_known(root, index, number);
}

/* How the comparison is written in a range; NULL where it does not want the near documents. */
static const char *
comparison(const Threshold *threshold)
{
	switch (threshold->strategy)
	{
		case BTLessStrategyNumber:
			return threshold->call.kind == CALL_OF_DISTANCE ? "<" : NULL;
		case BTLessEqualStrategyNumber:
			return threshold->call.kind == CALL_OF_DISTANCE ? "<=" : NULL;
		case BTGreaterEqualStrategyNumber:
			return threshold->call.kind == CALL_OF_SCORE ? ">=" : NULL;
		case BTGreaterStrategyNumber:
			return threshold->call.kind == CALL_OF_SCORE ? ">" : NULL;
		default:
			return NULL;
	}
}

/* doc <op> multivector_range(query, comparison, bound); NULL where the operator class has no ranges. */
static Expr *
range_clause(IndexOptInfo *index, const Threshold *threshold)
{
	Oid			family = index->opfamily[0];
	Oid			type = index->opcintype[0];
	Oid			function = get_opfamily_proc(family, type, type, SUPPORT_RANGE);
	Oid			range_type = OidIsValid(function) ? get_func_rettype(function) : InvalidOid;
	Oid			operator = get_opfamily_member(family, type, range_type, STRATEGY_RANGE);
	Const	   *text;
	FuncExpr   *range;

	if (!OidIsValid(operator))
		return NULL;
	text = makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1, CStringGetTextDatum(comparison(threshold)), false, false);
	range = makeFuncExpr(function, range_type, list_make3(threshold->call.query, text, threshold->bound),
						 InvalidOid, DEFAULT_COLLATION_OID, COERCE_EXPLICIT_CALL);
	return make_opclause(operator, BOOLOID, false, (Expr *) threshold->call.doc, (Expr *) range,
						 InvalidOid, InvalidOid);
}

IndexClause *
range_match_restriction(PlannerInfo *root, IndexOptInfo *index, RestrictInfo *restriction, Node **query)
{
	Threshold	threshold;
	Expr	   *range;
	IndexClause *clause;

	if (restriction->pseudoconstant || !IsA(restriction->clause, OpExpr) ||
		!get_threshold(root, index, (OpExpr *) restriction->clause, &threshold) ||
		comparison(&threshold) == NULL ||
		!restriction_is_securely_promotable(restriction, index->rel))
		return NULL;
	range = range_clause(index, &threshold);
	if (range == NULL)
		return NULL;

	clause = makeNode(IndexClause);
	clause->rinfo = restriction;
	clause->indexquals = list_make1(make_simple_restrictinfo(root, range));
	/* A clause that is not estimated by default has an estimate of its own (threshold_share.c). */
	if (restriction->norm_selec >= 0 && restriction->norm_selec != DEFAULT_INEQ_SEL)
		linitial_node(RestrictInfo, clause->indexquals)->norm_selec = restriction->norm_selec;
	clause->lossy = false;
	clause->indexcol = 0;
	clause->indexcols = NIL;
	*query = threshold.call.query;
	return clause;
}
