/*-------------------------------------------------------------------------
 *
 * qual_pushdown.c
 *	  Push the quals of scan nodes down to their index scans.
 *
 * The executor tests the quals of an index scan on the rows that the access
 * method returns. A row that fails them has by then been detoasted and scored
 * in vain, and has taken its place in the order of the rows. This module
 * passes the node's quals to the scan when the plan starts, so that the scan
 * tests them on its candidates before it scores them. The node still tests the
 * rows it receives, so the result is correct whatever the scan does. Plans,
 * costs and EXPLAIN are those of an ordinary index scan.
 *
 * Quals are not pushed down if their result may differ between the two tests,
 * or if they cost more than the score that they would save.
 *
 * A row-level security policy, or the condition of a security_barrier view,
 * may be an index condition. In that case it is tested before the quals that
 * it guards, on every row, as the node itself does.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "planner/index_node.h"
#include "planner/qual_pushdown.h"
#include "planner/volatile_plan.h"
#include "utils/syscache.h"

/*
 * Maximum cost of pushed quals in operators; roughly the cost of detoasting
 * and scoring a document.
 */
#define MAX_QUAL_OPERATORS 1000

/* Quals of a scan, allocated in the plan's memory context. */
typedef struct PushedQuals
{
	RowFilter       filter;
	IndexScanState *node;
	ExprContext    *context; /* separate from the node's own, which is in use meanwhile */
	bool            guarded; /* the index condition is tested first */
} PushedQuals;

static bool
passes(void *arg, TupleTableSlot *row)
{
	PushedQuals *quals = arg;
	bool         visible;
	bool         passed;

	quals->context->ecxt_scantuple = row;
	visible = !quals->guarded || ExecQual(quals->node->indexqualorig, quals->context);
	passed = visible && ExecQual(quals->node->ss.ps.qual, quals->context);
	ResetExprContext(quals->context);
	if (!visible)
		InstrCountFiltered2(quals->node, 1);
	else if (!passed)
		InstrCountFiltered1(quals->node, 1);
	return passed;
}

/* Return true if any table of the plan has row-level security, whichever roles it applies to. */
static bool
has_row_security(List *range_table)
{
	bool      found = false;
	ListCell *cell;

	foreach (cell, range_table)
	{
		const RangeTblEntry *entry = lfirst_node(RangeTblEntry, cell);
		HeapTuple            tuple = entry->rtekind != RTE_RELATION
										 ? NULL
										 : SearchSysCache1(RELOID, ObjectIdGetDatum(entry->relid));

		if (!HeapTupleIsValid(tuple))
			continue;
		found |= ((Form_pg_class) GETSTRUCT(tuple))->relrowsecurity;
		ReleaseSysCache(tuple);
	}
	return found;
}

/*
 * Return true if an index condition might hide rows from the quals.
 *
 * A finished plan does not keep the security levels of its conditions. They
 * come from the policies of its tables, including the parents of partitions,
 * or from a security_barrier view that the statement writes through. A view
 * that it only reads is planned separately.
 */
static bool
is_guarded(const IndexScanState *node)
{
	const PlannedStmt *plan = node->ss.ps.state->es_plannedstmt;

	return node->indexqualorig != NULL && contain_leaked_vars((Node *) node->ss.ps.plan->qual) &&
		   (compat_has_targets(plan) || has_row_security(plan->rtable));
}

static bool
can_push_down(const IndexScanState *node)
{
	List    *quals = node->ss.ps.plan->qual;
	List    *subplans = node->ss.ps.state->es_plannedstmt->subplans;
	List    *tested = quals;
	QualCost cost;

	if (node->ss.ps.qual == NULL || node->iss_NumOrderByKeys == 0 ||
		node->iss_RelationDesc == NULL || node->iss_ScanDesc != NULL ||
		node->iss_RelationDesc->rd_indam->amgettuple != colbert_gettuple ||
		quals_are_volatile(quals, subplans))
		return false;
	if (is_guarded(node))
		tested = list_concat_copy(((IndexScan *) node->ss.ps.plan)->indexqualorig, quals);
	cost_qual_eval(&cost, tested, NULL);
	return cost.per_tuple <= MAX_QUAL_OPERATORS * cpu_operator_cost;
}

/* Begin the scan and pass the quals to it. */
static void
push_down(IndexScanState *node)
{
	EState       *estate = node->ss.ps.state;
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);
	PushedQuals  *quals = palloc0(sizeof(PushedQuals));

	quals->filter = (RowFilter) {passes, quals};
	quals->node = node;
	quals->context = CreateExprContext(estate);
	quals->guarded = is_guarded(node);
	index_node_begin(node);
	colbert_set_filter(node->iss_ScanDesc, &quals->filter);
	MemoryContextSwitchTo(old);
}

static bool
visit(PlanState *planstate, void *context)
{
	if (IsA(planstate, IndexScanState) && can_push_down((IndexScanState *) planstate))
		push_down((IndexScanState *) planstate);
	return planstate_tree_walker(planstate, visit, context);
}

void
qual_pushdown_apply(QueryDesc *query)
{
	visit(query->planstate, NULL);
}
