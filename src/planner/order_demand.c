/*-------------------------------------------------------------------------
 *
 * order_demand.c
 *	  The number of leading rows that a plan node needs in order from its child.
 *
 * A node that drops rows may need any number of them. A node that reads ahead
 * needs more rows than it was asked for: all rows up to the first that differs
 * from the last one wanted.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/stratnum.h"
#include "catalog/pg_opfamily_d.h"
#include "catalog/pg_type_d.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "planner/order_demand.h"
#include "planner/window_reach.h"
#include "utils/lsyscache.h"

/*
 * Number of rows that an incremental sort reads before it looks for the end of
 * a run of equal leading keys.
 */
#define INCREMENTAL_SORT_BATCH 32

static const OrderNeed everything = {ORDER_NEED_ALL, false};

static uint64
add_rows(uint64 rows, uint64 more)
{
	return rows > ORDER_NEED_ALL - more ? ORDER_NEED_ALL : rows + more;
}

/* ---- windows ---- */

/*
 * Record a condition "function <= bound", in either notation. Return false for
 * any other condition.
 */
static bool
note_run_bound(DemandStep *step, const OpExpr *condition)
{
	Expr *left = linitial(condition->args);
	Expr *right = llast(condition->args);
	Expr *bound = IsA(left, WindowFunc) ? right : left;
	int   strategy = get_op_opfamily_strategy(condition->opno, INTEGER_BTREE_FAM_OID);

	if (bound == left)
		strategy = BTGreaterStrategyNumber + BTLessStrategyNumber - strategy;
	if ((strategy != BTLessStrategyNumber && strategy != BTLessEqualStrategyNumber) ||
		!IsA(bound == left ? right : left, WindowFunc) ||
		!window_counts_rows((WindowFunc *) (bound == left ? right : left)) ||
		!(IsA(bound, Const) || IsA(bound, Param)))
		return false;
	step->run_bound = ExecInitExpr(bound, step->node);
	step->run_bound_type = exprType((Node *) bound);
	step->run_bound_excluded = strategy == BTLessStrategyNumber;
	return true;
}

/*
 * Record the run condition of a window. Only the uppermost window of a query
 * stops when the condition fails; the others read on.
 */
static void
note_run_bounds(DemandStep *step)
{
	WindowAgg *plan = (WindowAgg *) step->node->plan;
	ListCell  *cell;

	if (!plan->topWindow || plan->partNumCols > 0)
		return;
	foreach (cell, plan->runConditionOrig)
		if (IsA(lfirst(cell), OpExpr) && list_length(((OpExpr *) lfirst(cell))->args) == 2 &&
			note_run_bound(step, lfirst_node(OpExpr, cell)))
			return;
}

/* Return the number of rows that the window reads one by one before its run condition fails. */
static uint64
run_rows(const DemandStep *step)
{
	bool  isnull;
	Datum value;
	int64 bound;

	if (step->run_bound == NULL)
		return ORDER_NEED_ALL;
	value = ExecEvalExprSwitchContext(step->run_bound, step->node->ps_ExprContext, &isnull);
	if (isnull)
		return 1;
	switch (step->run_bound_type)
	{
		case INT2OID:
			bound = DatumGetInt16(value);
			break;
		case INT4OID:
			bound = DatumGetInt32(value);
			break;
		case INT8OID:
			bound = DatumGetInt64(value);
			break;
		default:
			return ORDER_NEED_ALL;
	}
	bound = Max(bound, step->run_bound_excluded ? 1 : 0) - (step->run_bound_excluded ? 1 : 0);
	return (uint64) bound + 1;
}

static OrderNeed
below_window(const DemandStep *step, OrderNeed asked)
{
	WindowAggState *window = (WindowAggState *) step->node;
	WindowAgg      *plan = (WindowAgg *) step->node->plan;
	uint64          run = run_rows(step);
	WindowReach     reach = REACH_ROW;
	ListCell       *cell;

	if (step->node->qual != NULL)
		asked = everything;
	foreach (cell, window->funcs)
		reach = Max(
			reach, window_reach(((WindowFuncExprState *) lfirst(cell))->wfunc, plan->frameOptions));
	if (reach == REACH_ALL || (reach == REACH_PEERS && plan->ordNumCols == 0))
		return everything;
	if (run < asked.rows)
		asked = (OrderNeed) {run, true};
	asked.peers |= reach == REACH_PEERS;
	return asked;
}

/* ---- other nodes ---- */

static OrderNeed
below_limit(const LimitState *limit, OrderNeed asked)
{
	uint64 rows = add_rows(asked.rows, limit->offset);

	if (limit->lstate == LIMIT_INITIAL)
		return everything;
	if (!limit->noCount && add_rows(limit->offset, limit->count) <= rows)
		return (OrderNeed) {add_rows(limit->offset, limit->count),
							limit->limitOption == LIMIT_OPTION_WITH_TIES};
	return (OrderNeed) {rows, asked.peers};
}

static OrderNeed
below_incremental_sort(const IncrementalSortState *sort, OrderNeed asked)
{
	if (sort->bounded)
		return (OrderNeed) {sort->bound, true};
	return (OrderNeed) {add_rows(asked.rows, INCREMENTAL_SORT_BATCH), true};
}

/*
 * Return the demand of a nested loop on one of its sides. Each row of the
 * outer side yields a row of a left join. Each row of the inner side yields
 * one if nothing is tested.
 */
static OrderNeed
below_nest_loop(const DemandStep *step, OrderNeed asked)
{
	const NestLoopState *loop = (const NestLoopState *) step->node;
	bool all_join = step->inner ? loop->js.joinqual == NULL : loop->js.jointype == JOIN_LEFT;

	return all_join && step->node->qual == NULL ? asked : everything;
}

DemandStep
demand_step(PlanState *node, const PlanState *child)
{
	DemandStep step = {.node = node, .inner = child != outerPlanState(node)};

	if (IsA(node, WindowAggState))
		note_run_bounds(&step);
	return step;
}

OrderNeed
demand_below(const DemandStep *step, OrderNeed asked)
{
	PlanState *node = step->node;

	switch (nodeTag(node))
	{
		case T_LimitState:
			return below_limit((LimitState *) node, asked);
		case T_IncrementalSortState:
			return below_incremental_sort((IncrementalSortState *) node, asked);
		case T_WindowAggState:
			return below_window(step, asked);
		case T_NestLoopState:
			return below_nest_loop(step, asked);
		case T_ResultState:
		case T_SubqueryScanState:
			return node->qual == NULL ? asked : everything;
		case T_AppendState:
		case T_MergeAppendState:
		case T_MaterialState:
		case T_MemoizeState:
		case T_LockRowsState:
		case T_GatherState:
			return asked;
		default:
			return everything;
	}
}
