/*-------------------------------------------------------------------------
 *
 * score_call.c
 *	  Recognize calls that score, or take the distance of, an index's documents.
 *
 * The functions are found through the index's operator class, never by name:
 * the score is support function 1, and the distance is the function of the
 * strategy 1 operator. If both are the same function, it is a distance.
 *
 * When a LATERAL sub-select is pulled up, its expression appears in a
 * condition and in the order as two different parameters, for two plans.
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

/*
 * Return the function of a call with two arguments, and set the arguments in
 * call. Return InvalidOid for any other expression.
 */
static Oid
get_call(Expr *expr, ScoreCall *call)
{
	Oid   function;
	List *args;

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
 * The expression may contain parameters and columns of tables that are joined
 * from outside. It must not contain columns of the table itself, nor anything
 * that is computed above the scan.
 */
bool
score_call_is_known(PlannerInfo *root, IndexOptInfo *index, Node *expr)
{
	return !bms_overlap(pull_varnos(root, expr), index->rel->relids) &&
		   !contain_volatile_functions(expr) && !contain_agg_clause(expr) &&
		   !contain_window_function(expr) && !expression_returns_set(expr);
}

static Node *
strip_relabels(Node *expr)
{
	while (IsA(expr, RelabelType))
		expr = (Node *) ((RelabelType *) expr)->arg;
	return expr;
}

/*
 * Return the argument of a cast to multivector(dims) with float4 elements, and
 * set *dims. Such a cast changes no number: it widens elements and rejects
 * documents with other dims. Return NULL if the expression is no such cast.
 */
static Node *
argument_of_cast(Node *expr, Oid type, int *dims)
{
	int32 typmod;
	Node *arg;

	if (!IsA(expr, FuncExpr) || exprType(expr) != type || !exprIsLengthCoercion(expr, &typmod) ||
		typmod < 0 || MULTIVECTOR_TYPMOD_ELEMENT(typmod) != KERNEL_FLOAT4 + 1)
		return NULL;
	arg = linitial(((FuncExpr *) expr)->args);
	if (getBaseType(exprType(arg)) != type)
		return NULL;
	*dims = MULTIVECTOR_TYPMOD_DIM(typmod);
	return arg;
}

/* Return the indexed expression as core looks for it: a column, or the first expression. */
static Node *
indexed_expression(IndexOptInfo *index)
{
	return (Node *) linitial_node(TargetEntry, index->indextlist)->expr;
}

/*
 * If an index is on the cast, the table holds no document with other dims, so
 * a document and its cast have the same score. A cast in the query must not
 * reject documents of the index, so its dims must be those of the indexed
 * expression.
 */
Node *
score_call_document(IndexOptInfo *index, Node *doc)
{
	Node *indexed = indexed_expression(index);
	Oid   type = index->opcintype[0];
	int   dims;
	Node *arg;

	if (match_index_to_operand(doc, 0, index))
		return doc;
	arg = argument_of_cast(indexed, type, &dims);
	if (arg != NULL && equal(strip_relabels(arg), strip_relabels(doc)))
		return indexed;
	arg = argument_of_cast(doc, type, &dims);
	if (arg != NULL && exprTypmod(indexed) >= 0 &&
		MULTIVECTOR_TYPMOD_DIM(exprTypmod(indexed)) == dims &&
		match_index_to_operand(arg, 0, index))
		return indexed;
	return NULL;
}

bool
score_call_match(PlannerInfo *root, IndexOptInfo *index, Expr *expr, ScoreCall *call)
{
	Oid type = index->opcintype[0];
	Oid function = get_call(expr, call);

	if (!OidIsValid(function))
		return false;
	if (function ==
		get_opcode(get_opfamily_member(index->opfamily[0], type, type, STRATEGY_NULLS_LAST)))
		call->kind = CALL_OF_DISTANCE;
	else if (function == get_opfamily_proc(index->opfamily[0], type, type, SUPPORT_SCORE))
		call->kind = CALL_OF_SCORE;
	else
		return false;
	call->doc = score_call_document(index, call->doc);
	return call->doc != NULL && score_call_is_known(root, index, call->query);
}

/* Return the sub-select that computes a parameter, or NULL for any other parameter. */
static SubPlan *
find_subselect(PlannerInfo *root, const Param *param)
{
	for (; root != NULL; root = root->parent_root)
	{
		ListCell *cell;

		foreach (cell, root->init_plans)
		{
			SubPlan *subplan = lfirst_node(SubPlan, cell);

			if (subplan->subLinkType == EXPR_SUBLINK &&
				list_member_int(subplan->setParam, param->paramid))
				return subplan;
		}
	}
	return NULL;
}

static Query *
subselect_query(PlannerInfo *root, const SubPlan *subplan)
{
	return list_nth_node(PlannerInfo, root->glob->subroots, subplan->plan_id - 1)->parse;
}

/* State for replacing sub-selects that are written alike by the first of them. */
typedef struct Subselects
{
	PlannerInfo *root;
	List        *first; /* Params */
} Subselects;

static Node *
unify_subselects(Node *node, void *context)
{
	Subselects *subselects = context;
	Param      *param = (Param *) node;
	SubPlan    *subplan;
	Query      *query;
	ListCell   *cell;

	if (node == NULL || !IsA(node, Param))
		return expression_tree_mutator(node, unify_subselects, context);
	if (param->paramkind != PARAM_EXEC ||
		(subplan = find_subselect(subselects->root, param)) == NULL)
		return node;
	query = subselect_query(subselects->root, subplan);
	foreach (cell, subselects->first)
	{
		Param *other = lfirst_node(Param, cell);

		if (equal(query,
				  subselect_query(subselects->root, find_subselect(subselects->root, other))))
			return (Node *) other;
	}
	subselects->first = lappend(subselects->first, param);
	return node;
}

bool
score_call_same_query(PlannerInfo *root, Node *a, Node *b)
{
	Subselects subselects = {root, NIL};

	return equal(a, b) || equal(unify_subselects(a, &subselects), unify_subselects(b, &subselects));
}
