/*-------------------------------------------------------------------------
 *
 * colbert_pg.c
 *	  Library initialization: kernels, settings, hooks and shared memory.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "access/totals.h"
#include "fmgr.h"
#include "kernels/kernels.h"
#include "planner/plan_start.h"
#include "planner/planner.h"
#include "settings.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	kernels_init();
	settings_init();
	options_init();
	planner_init();
	explain_init();
	build_dims_init();
	plan_start_init();
	totals_init();
}
