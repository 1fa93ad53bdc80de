/*-------------------------------------------------------------------------
 *
 * cost.c
 *	  What a scan costs.
 *
 * Before the first row of an order come find, gather, narrow and rerank,
 * whose work is bounded by the settings, not by the table; each row then
 * costs an exact score. Without an order the directory is read from end to
 * end. Core adds the heap fetches to both.
 *
 * Costs are counted in operators, against a sequential scan: a call of maxsim
 * is declared to cost 2000 of them, and takes about 25 us of a stored document
 * of 65 tokens of 128 dims, most of it detoasting.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/float.h"
#include "utils/selfuncs.h"

/* Opening an index, and preparing the query. */
#define START_OPERATORS		4000

/* A whole search before its first row, at the most; and of each document where the index holds few. */
#define SEARCH_OPERATORS	120000
#define DOCUMENT_OPERATORS	40

/* Detoasting and scoring one stored column. */
#define EXACT_OPERATORS		2000

void
colbert_costestimate(PlannerInfo *root, IndexPath *path, double loop_count, Cost *startup_cost,
					 Cost *total_cost, Selectivity *selectivity, double *correlation, double *pages)
{
	GenericCosts costs = {0};
	double		start = START_OPERATORS;
	double		row_operators = 1;

	/*
	 * Where a query needs no column, core thinks that any index could give
	 * rows without looking into the table. Not ours, whose scans pin no page
	 * that would keep VACUUM from recycling a heap TID under them.
	 */
	if (path->path.pathtype == T_IndexOnlyScan)
	{
		compat_disable_path(&path->path);
		*startup_cost = *total_cost = get_float8_infinity();
		*selectivity = 1;
		*correlation = 0;
		*pages = 0;
		return;
	}

	/* For the rows that null tests and the predicate of a partial index leave. */
	genericcostestimate(root, path, loop_count, &costs);

	if (path->indexorderbys != NIL)
	{
		start += Min(SEARCH_OPERATORS, path->indexinfo->tuples * DOCUMENT_OPERATORS);
		row_operators = EXACT_OPERATORS;
	}
	*startup_cost = start * cpu_operator_cost;
	*total_cost = *startup_cost + costs.numIndexTuples * (cpu_index_tuple_cost + row_operators * cpu_operator_cost);
	*selectivity = costs.indexSelectivity;
	*correlation = 0;
	*pages = costs.numIndexPages;
}
