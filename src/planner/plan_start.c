/*-------------------------------------------------------------------------
 *
 * plan_start.c
 *	  Work of the extension when the executor starts a plan: pass the WHERE
 *	  clause and the plan's requirements to its index scans.
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
