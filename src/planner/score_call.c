/*-------------------------------------------------------------------------
 *
 * score_call.c
 *	  Is an expression a score, or a distance, of an index's documents?
 *
 * The functions come from the index's operator class, never from their
 * names: the score is support function 1, the distance is the function of the
 * operator of strategy 1. Where both are the same it is a distance.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "planner/score_call.h"
#include "utils/lsyscache.h"

/* The function of a call of two arguments, and these; InvalidOid where it is no such call. */
static Oid
get_call(Expr *expr, ScoreCall *call)
{
	Oid			function;
	List	   *args;

	if (IsA(expr, FuncExpr))
	{
		function = ((FuncExpr *) expr)->funcid;
		args = ((FuncExpr *) expr)->args;
	}
	else if (IsA(expr, OpExpr))
	{
		function = get_opcode(((OpExpr *) expr)->opno);
		args = ((OpExpr *) expr)->args;
	}
	else
		return InvalidOid;
	if (list_length(args) != 2)
		return InvalidOid;
	call->doc = linitial(args);
	call->query = lsecond(args);
	return function;
}

/*
 * It may hold parameters and columns of tables that are joined from outside,
 * but no column of the table itself, and nothing that is computed above the
 * scan.
 */
bool
score_call_is_known(PlannerInfo *root, IndexOptInfo *index, Node *expr)
{
	return !bms_overlap(pull_varnos(root, expr), index->rel->relids) &&
		!contain_volatile_functions(expr) &&
		!contain_agg_clause(expr) &&
		!contain_window_function(expr) &&
		!expression_returns_set(expr);
}

bool
score_call_match(PlannerInfo *root, IndexOptInfo *index, Expr *expr, ScoreCall *call)
{
	Oid			type = index->opcintype[0];
	Oid			function = get_call(expr, call);

	if (!OidIsValid(function))
		return false;
	if (function == get_opcode(get_opfamily_member(index->opfamily[0], type, type, STRATEGY_NULLS_LAST)))
		call->kind = CALL_OF_DISTANCE;
	else if (function == get_opfamily_proc(index->opfamily[0], type, type, SUPPORT_SCORE))
		call->kind = CALL_OF_SCORE;
	else
		return false;
	return match_index_to_operand(call->doc, 0, index) && score_call_is_known(root, index, call->query);
}
