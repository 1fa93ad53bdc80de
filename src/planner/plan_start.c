/*-------------------------------------------------------------------------
 *
 * plan_start.c
 *	  What the extension adds to the start of a plan: its index scans learn
 *	  the WHERE clause, and what the plan demands of them.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "executor/executor.h"
#include "planner/plan_start.h"
#include "planner/qual_pushdown.h"
#include "planner/scan_needs.h"

static ExecutorStart_hook_type previous_hook;

/* ExecutorStart_hook: give scans of ours their filters and needs before the first row is read. */
static void
start(QueryDesc *query, int eflags)
{
	if (previous_hook != NULL)
		previous_hook(query, eflags);
	else
		standard_ExecutorStart(query, eflags);

	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) || query->planstate == NULL)
		return;
	qual_pushdown_apply(query);
	scan_needs_tell(query);
}

void
plan_start_init(void)
{
	previous_hook = ExecutorStart_hook;
	ExecutorStart_hook = start;
}
