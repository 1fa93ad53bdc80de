/*-------------------------------------------------------------------------
 *
 * volatile_plan.c
 *	  Volatility of a finished plan's expressions, sub-plans included.
 *
 * contain_volatile_functions() looks at a SubPlan's arguments and not at the
 * plan that it runs. This walk enters the plans. It knows the expressions of
 * the plan nodes listed in node_expressions(); a plan with any other node
 * counts as volatile. These others are nodes that lock or change rows, whose
 * effects a second evaluation would repeat, and nodes whose rows may differ
 * between two scans: samples, foreign and custom scans.
 *
 * A Param that an InitPlan sets is evaluated once for all rows, so it is not
 * followed. Neither is the plan of a CTE that belongs to the outer statement:
 * its rows are kept.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "planner/volatile_plan.h"

/* No plan node has more expressions of its own. */
#define MAX_EXPRESSIONS 4

static bool plan_is_volatile(Plan *plan, List *subplans);

/*
 * Return true if the plan that a SubPlan runs is volatile. In a parallel
 * worker, a plan that is not parallel safe is missing or NULL, and counts as
 * volatile.
 */
static bool
subplan_is_volatile(const SubPlan *subplan, List *subplans)
{
	Plan *plan =
		subplan->plan_id <= list_length(subplans) ? list_nth(subplans, subplan->plan_id - 1) : NULL;

	return plan == NULL || plan_is_volatile(plan, subplans);
}

static bool
find_volatile_subplan(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubPlan) && subplan_is_volatile((SubPlan *) node, context))
		return true;
	return expression_tree_walker(node, find_volatile_subplan, context);
}

static bool
expression_is_volatile(Node *expression, List *subplans)
{
	return contain_volatile_functions(expression) || find_volatile_subplan(expression, subplans);
}

bool
quals_are_volatile(List *quals, List *subplans)
{
	return expression_is_volatile((Node *) quals, subplans);
}

/*
 * Collect the expressions that a scan or join has in addition to those of
 * every plan node. Index conditions are taken as originally written; those
 * passed to the index are derived from them. Return false if the node type is
 * unknown.
 */
static bool
scan_expressions(Plan *plan, void *found[MAX_EXPRESSIONS])
{
	switch (nodeTag(plan))
	{
		case T_IndexScan:
			found[0] = ((IndexScan *) plan)->indexqualorig;
			found[1] = ((IndexScan *) plan)->indexorderbyorig;
			return true;
		case T_IndexOnlyScan:
			found[0] = ((IndexOnlyScan *) plan)->indexqual;
			found[1] = ((IndexOnlyScan *) plan)->indexorderby;
			return true;
		case T_BitmapIndexScan:
			found[0] = ((BitmapIndexScan *) plan)->indexqualorig;
			return true;
		case T_BitmapHeapScan:
			found[0] = ((BitmapHeapScan *) plan)->bitmapqualorig;
			return true;
		case T_TidScan:
			found[0] = ((TidScan *) plan)->tidquals;
			return true;
		case T_TidRangeScan:
			found[0] = ((TidRangeScan *) plan)->tidrangequals;
			return true;
		case T_FunctionScan:
			found[0] = ((FunctionScan *) plan)->functions;
			return true;
		case T_ValuesScan:
			found[0] = ((ValuesScan *) plan)->values_lists;
			return true;
		case T_TableFuncScan:
			found[0] = ((TableFuncScan *) plan)->tablefunc;
			return true;
		case T_NestLoop:
			found[0] = ((NestLoop *) plan)->join.joinqual;
			return true;
		case T_MergeJoin:
			found[0] = ((MergeJoin *) plan)->join.joinqual;
			found[1] = ((MergeJoin *) plan)->mergeclauses;
			return true;
		case T_HashJoin:
			found[0] = ((HashJoin *) plan)->join.joinqual;
			found[1] = ((HashJoin *) plan)->hashclauses;
			return true;
		default:
			return false;
	}
}

/* Collect a node's own expressions. Return false if the node type is unknown. */
static bool
node_expressions(Plan *plan, void *found[MAX_EXPRESSIONS])
{
	switch (nodeTag(plan))
	{
		case T_SeqScan:
		case T_SubqueryScan:
		case T_CteScan:
		case T_NamedTuplestoreScan:
		case T_WorkTableScan:
		case T_BitmapAnd:
		case T_BitmapOr:
		case T_Append:
		case T_MergeAppend:
		case T_RecursiveUnion:
		case T_ProjectSet:
		case T_Material:
		case T_Sort:
		case T_IncrementalSort:
		case T_Group:
		case T_Agg:
		case T_Unique:
		case T_SetOp:
		case T_Hash:
		case T_Gather:
		case T_GatherMerge:
			return true;
		case T_Result:
			found[0] = ((Result *) plan)->resconstantqual;
			return true;
		case T_Memoize:
			found[0] = ((Memoize *) plan)->param_exprs;
			return true;
		case T_WindowAgg:
			found[0] = ((WindowAgg *) plan)->startOffset;
			found[1] = ((WindowAgg *) plan)->endOffset;
			found[2] = ((WindowAgg *) plan)->runCondition;
			return true;
		case T_Limit:
			found[0] = ((Limit *) plan)->limitOffset;
			found[1] = ((Limit *) plan)->limitCount;
			return true;
		default:
			return scan_expressions(plan, found);
	}
}

/* Return children other than lefttree and righttree. */
static List *
further_children(Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_Append:
			return ((Append *) plan)->appendplans;
		case T_MergeAppend:
			return ((MergeAppend *) plan)->mergeplans;
		case T_BitmapAnd:
			return ((BitmapAnd *) plan)->bitmapplans;
		case T_BitmapOr:
			return ((BitmapOr *) plan)->bitmapplans;
		case T_SubqueryScan:
			return list_make1(((SubqueryScan *) plan)->subplan);
		default:
			return NIL;
	}
}

static bool
plan_is_volatile(Plan *plan, List *subplans)
{
	void     *own[MAX_EXPRESSIONS] = {NULL};
	ListCell *cell;

	if (plan == NULL)
		return false;
	check_stack_depth();
	if (!node_expressions(plan, own) ||
		expression_is_volatile((Node *) plan->targetlist, subplans) ||
		expression_is_volatile((Node *) plan->qual, subplans) ||
		find_volatile_subplan((Node *) plan->initPlan, subplans))
		return true;
	for (int i = 0; i < MAX_EXPRESSIONS; i++)
		if (expression_is_volatile(own[i], subplans))
			return true;
	foreach (cell, further_children(plan))
		if (plan_is_volatile(lfirst(cell), subplans))
			return true;
	return plan_is_volatile(plan->lefttree, subplans) ||
		   plan_is_volatile(plan->righttree, subplans);
}
