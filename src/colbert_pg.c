/*-------------------------------------------------------------------------
 *
 * colbert_pg.c
 *	  Loading of the library: kernels, settings, hooks.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "fmgr.h"
#include "kernels/kernels.h"
#include "planner/planner.h"
#include "planner/qual_pushdown.h"
#include "planner/scan_needs.h"
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
	last_scan_init();
	qual_pushdown_init();
	build_dims_init();
	scan_needs_init();
}
