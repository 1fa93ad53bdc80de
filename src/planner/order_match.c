/*-------------------------------------------------------------------------
 *
 * order_match.c
 *	  Does an index give the order of a path key, and by which operator?
 *
 * The functions and operators come from the index's operator class, never
 * from their names: the score is support function 1, the distance is the
 * function of the operator of strategy 1. Both orders below are the same one.
 *
 *	score(doc, query) DESC			where the score is no distance itself
 *	distance(doc, query) ASC		called as a function or as the operator
 *
 * Where NULL documents come is told by the strategy of the clause.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "access/stratnum.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "planner/order_match.h"
#include "utils/lsyscache.h"

/* A function of two arguments, called by its name or as an operator. */
typedef struct Call
{
	Oid			function;
	Node	   *doc;
	Node	   *query;
} Call;

static bool
get_call(Expr *expr, Call *call)
{
	List	   *args;

	if (IsA(expr, FuncExpr))
	{
		call->function = ((FuncExpr *) expr)->funcid;
		args = ((FuncExpr *) expr)->args;
	}
	else if (IsA(expr, OpExpr))
	{
		call->function = get_opcode(((OpExpr *) expr)->opno);
		args = ((OpExpr *) expr)->args;
	}
	else
		return false;
	if (list_length(args) != 2)
		return false;
	call->doc = linitial(args);
	call->query = lsecond(args);
	return true;
}

/*
 * Is this expression known before the scan starts? It may hold parameters, but
 * no column of any table, and nothing that is computed above the scan.
 */
static bool
is_known(Node *query)
{
	return !contain_var_clause(query) &&
		!contain_volatile_functions(query) &&
		!contain_agg_clause(query) &&
		!contain_window_function(query) &&
		!expression_returns_set(query);
}

/* The operator of a strategy whose order is that of the sort family; InvalidOid where there is none. */
static Oid
ordering_operator(IndexOptInfo *index, int strategy, Oid sort_family)
{
	Oid			type = index->opcintype[0];
	Oid			operator = get_opfamily_member(index->opfamily[0], type, type, strategy);

	if (!OidIsValid(operator) || get_op_opfamily_sortfamily(operator, index->opfamily[0]) != sort_family)
		return InvalidOid;
	return operator;
}

/* Does a call, in the direction of the path key, order as the index does? */
static bool
same_order(IndexOptInfo *index, PathKey *pathkey, Oid function)
{
	Oid			type = index->opcintype[0];
	Oid			nearest = ordering_operator(index, STRATEGY_NULLS_LAST, pathkey->pk_opfamily);

	if (!OidIsValid(nearest))
		return false;
	if (function == get_opcode(nearest))
		return !compat_pathkey_descends(pathkey);
	if (function == get_opfamily_proc(index->opfamily[0], type, type, SUPPORT_SCORE))
		return compat_pathkey_descends(pathkey);
	return false;
}

static OpExpr *
match_member(IndexOptInfo *index, PathKey *pathkey, Expr *expr)
{
	Call		call;
	Oid			operator;

	if (!get_call(expr, &call) ||
		!same_order(index, pathkey, call.function) ||
		!match_index_to_operand(call.doc, 0, index) ||
		!is_known(call.query))
		return NULL;

	operator = ordering_operator(index, pathkey->pk_nulls_first ? STRATEGY_NULLS_FIRST : STRATEGY_NULLS_LAST,
								 pathkey->pk_opfamily);
	if (!OidIsValid(operator))
		return NULL;
	return (OpExpr *) make_opclause(operator, get_op_rettype(operator), false, (Expr *) call.doc, (Expr *) call.query,
									InvalidOid, InvalidOid);
}

OpExpr *
order_match_pathkey(IndexOptInfo *index, PathKey *pathkey)
{
	EquivalenceClass *class = pathkey->pk_eclass;
	CompatMemberIterator members;
	EquivalenceMember *member;

	if (class->ec_has_volatile)
		return NULL;

	/* Equality with another expression may have put others beside the one that the query has; any will do. */
	compat_members_begin(&members, class, index->rel->relids);
	while ((member = compat_members_next(&members, class)) != NULL)
	{
		OpExpr	   *clause;

		if (!bms_equal(member->em_relids, index->rel->relids))
			continue;
		clause = match_member(index, pathkey, member->em_expr);
		if (clause != NULL)
			return clause;
	}
	return NULL;
}
