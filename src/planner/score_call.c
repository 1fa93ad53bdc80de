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
#include "multivector/multivector.h"
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

static Node *
strip_relabels(Node *expr)
{
	while (IsA(expr, RelabelType))
		expr = (Node *) ((RelabelType *) expr)->arg;
	return expr;
}

/*
 * Return the argument of a cast to multivector(dims) with elements of float4,
 * and its dims. No other number comes of it: it widens elements, and refuses
 * documents of other dims. NULL if the expression is no such cast.
 */
static Node *
argument_of_cast(Node *expr, Oid type, int *dims)
{
	int32		typmod;
	Node	   *arg;

	if (!IsA(expr, FuncExpr) || exprType(expr) != type || !exprIsLengthCoercion(expr, &typmod) || typmod < 0 ||
		MULTIVECTOR_TYPMOD_ELEMENT(typmod) != KERNEL_FLOAT4 + 1)
		return NULL;
	arg = linitial(((FuncExpr *) expr)->args);
	if (getBaseType(exprType(arg)) != type)
		return NULL;
	*dims = MULTIVECTOR_TYPMOD_DIM(typmod);
	return arg;
}

/* The indexed expression, as core looks for it: a column, or the first expression. */
static Node *
indexed_expression(IndexOptInfo *index)
{
	return (Node *) linitial_node(TargetEntry, index->indextlist)->expr;
}

/*
 * A row whose document has other dims is not in the table if an index on the
 * cast is, so the score of the document and that of the cast are the same. A
 * cast in the query must not refuse what is in the index: its dims are those
 * of the indexed expression.
 */
Node *
score_call_document(IndexOptInfo *index, Node *doc)
{
	Node	   *indexed = indexed_expression(index);
	Oid			type = index->opcintype[0];
	int			dims;
	Node	   *arg;

	if (match_index_to_operand(doc, 0, index))
		return doc;
	arg = argument_of_cast(indexed, type, &dims);
	if (arg != NULL && equal(strip_relabels(arg), strip_relabels(doc)))
		return indexed;
	arg = argument_of_cast(doc, type, &dims);
	if (arg != NULL && exprTypmod(indexed) >= 0 && MULTIVECTOR_TYPMOD_DIM(exprTypmod(indexed)) == dims &&
		match_index_to_operand(arg, 0, index))
		return indexed;
	return NULL;
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
	call->doc = score_call_document(index, call->doc);
	return call->doc != NULL && score_call_is_known(root, index, call->query);
}
