/*-------------------------------------------------------------------------
 *
 * lend_quals.c
 *	  Index scans that know the quals of their plan node.
 *
 * The executor tests the quals of an index scan on the rows that the access
 * method gives it, so that a row is detoasted and scored before it is thrown
 * away, and has its place in the order of rows that nobody wants. Here the
 * node's quals are lent to the scan when the plan starts: it tests them on
 * its candidates before it scores them. The node still tests what it gets:
 * the rows are right whatever the scan does with what it was lent. Plans,
 * costs and EXPLAIN stay those of an ordinary index scan.
 *
 * Not lent are quals whose result may differ between the two tests, and such
 * as cost more than the score that they would save.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "executor/executor.h"
#include "executor/index_node.h"
#include "executor/instrument.h"
#include "executor/lend_quals.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"

/* In operators: about what it takes to detoast and score a document. */
#define MOST_QUAL_OPERATORS 1000

static ExecutorStart_hook_type previous_hook;

/* What a scan was lent: allocated in the plan's memory. */
typedef struct LentQuals
{
	RowFilter	filter;
	IndexScanState *node;
	ExprContext *context;		/* of our own: the node's holds what it works on */
} LentQuals;

static bool
passes(void *arg, TupleTableSlot *row)
{
	LentQuals  *lent = arg;
	bool		passed;

	lent->context->ecxt_scantuple = row;
	passed = ExecQual(lent->node->ss.ps.qual, lent->context);
	ResetExprContext(lent->context);
	if (!passed)
		InstrCountFiltered1(lent->node, 1);
	return passed;
}

static bool
can_lend(const IndexScanState *node)
{
	List	   *quals = node->ss.ps.plan->qual;
	QualCost	cost;

	if (node->ss.ps.qual == NULL || node->iss_NumOrderByKeys == 0 || node->iss_RelationDesc == NULL ||
		node->iss_ScanDesc != NULL || node->iss_RelationDesc->rd_indam->amgettuple != colbert_gettuple ||
		contain_volatile_functions((Node *) quals))
		return false;
	cost_qual_eval(&cost, quals, NULL);
	return cost.per_tuple <= MOST_QUAL_OPERATORS * cpu_operator_cost;
}

/* Begin the scan, and lend it the quals. */
static void
lend(IndexScanState *node)
{
	EState	   *estate = node->ss.ps.state;
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);
	LentQuals  *lent = palloc0(sizeof(LentQuals));

	lent->filter = (RowFilter) {passes, lent};
	lent->node = node;
	lent->context = CreateExprContext(estate);
	index_node_begin(node);
	colbert_set_filter(node->iss_ScanDesc, &lent->filter);
	MemoryContextSwitchTo(old);
}

static bool
visit(PlanState *planstate, void *context)
{
	if (IsA(planstate, IndexScanState) && can_lend((IndexScanState *) planstate))
		lend((IndexScanState *) planstate);
	return planstate_tree_walker(planstate, visit, context);
}

static void
start(QueryDesc *query, int eflags)
{
	if (previous_hook != NULL)
		previous_hook(query, eflags);
	else
		standard_ExecutorStart(query, eflags);

	if (!(eflags & EXEC_FLAG_EXPLAIN_ONLY) && query->planstate != NULL)
		visit(query->planstate, NULL);
}

void
lend_quals_init(void)
{
	previous_hook = ExecutorStart_hook;
	ExecutorStart_hook = start;
}
