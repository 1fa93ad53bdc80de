/*-------------------------------------------------------------------------
 *
 * cost.c
 *	  What a scan costs.
 *
 * Before the first row come find, gather, narrow and rerank, whose work is
 * bounded by the settings, not by the table; every row after it costs a heap
 * fetch (which core adds) and an exact score. Units are cpu_operator_cost,
 * of about 25 ns where a page read from cache is about 10 us.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "access/access.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/selfuncs.h"

/* A whole search before its first row, at the most; and of each document where the table is smaller. */
#define SEARCH_OPERATORS	40000
#define DOCUMENT_OPERATORS	40

/* Detoasting and scoring one stored column. */
#define EXACT_OPERATORS		600

void
colbert_costestimate(PlannerInfo *root, IndexPath *path, double loop_count, Cost *startup_cost,
					 Cost *total_cost, Selectivity *selectivity, double *correlation, double *pages)
{
	double		rows = Max(path->indexinfo->rel->tuples, 1);
	double		work = Min(SEARCH_OPERATORS, rows * DOCUMENT_OPERATORS);
	GenericCosts costs = {0};

	genericcostestimate(root, path, loop_count, &costs);
	*startup_cost = work * cpu_operator_cost;
	*total_cost = *startup_cost + costs.indexSelectivity * rows * EXACT_OPERATORS * cpu_operator_cost;
	*selectivity = costs.indexSelectivity;
	*correlation = 0;
	*pages = costs.numIndexPages;

	/* Without an order or a NULL test to serve, a sequential scan does the same for less. */
	if (path->indexorderbys == NIL && path->indexclauses == NIL)
	{
		*startup_cost = disable_cost;
		*total_cost = disable_cost;
	}
}
