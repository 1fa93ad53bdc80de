/*-------------------------------------------------------------------------
 *
 * cost.c
 *	  What a scan costs, and what it must not be used for.
 *
 * Before the first row of an order come find, gather, narrow and rerank,
 * whose work is bounded by the settings, not by the table; each row then
 * costs an exact score, as declared for the operator's function, which counts
 * detoasting in. Without an order the directory is read from end to end. Core
 * adds the heap fetches to both.
 *
 * What is not declared anywhere is counted in operators of about 10 ns, the
 * unit of the declared ones.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/plancat.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

/* Opening an index, and preparing the query. */
#define START_OPERATORS		5000

/* A whole search before its first row, at the most; and of each document where the index holds few. */
#define SEARCH_OPERATORS	150000
#define DOCUMENT_OPERATORS	40

/* More than any plan costs that core would rather avoid (1e10), and still a number. */
#define FORBIDDEN_COST		1.0e20

/*
 * Is this query the inner one of min(...) or max(...), which core plans as
 * "ORDER BY ... LIMIT 1"? There is no mark on it but the name of its column.
 */
static bool
is_min_max(PlannerInfo *root)
{
	TargetEntry *column = linitial_node(TargetEntry, root->parse->targetList);

	return root->parent_root != NULL && root->parent_root->parse->hasAggs &&
		column->resname != NULL && strcmp(column->resname, "agg_target") == 0;
}

/* Do the values of the key meet others in a join, which may be done by merging? */
static bool
is_joined(RelOptInfo *rel, PathKey *pathkey)
{
	ListCell   *cell;

	if (pathkey->pk_eclass->ec_sources != NIL)
		return true;
	foreach(cell, rel->joininfo)
	{
		RestrictInfo *clause = lfirst_node(RestrictInfo, cell);

		if (clause->left_ec == pathkey->pk_eclass || clause->right_ec == pathkey->pk_eclass)
			return true;
	}
	return false;
}

bool
colbert_order_will_do(PlannerInfo *root, RelOptInfo *rel, PathKey *pathkey)
{
	if (is_joined(rel, pathkey))
		return false;
	if (root->window_pathkeys != NIL && linitial(root->window_pathkeys) == pathkey)
		return true;
	return root->sort_pathkeys != NIL && linitial(root->sort_pathkeys) == pathkey && !is_min_max(root);
}

/* A path that must not be chosen. */
static bool
is_forbidden(PlannerInfo *root, IndexPath *path)
{
	/*
	 * Where a query needs no column, core thinks that any index could give
	 * rows without looking into the table. Not ours, whose scans pin no page
	 * that would keep VACUUM from recycling a heap TID under them.
	 */
	if (path->path.pathtype == T_IndexOnlyScan)
		return true;
	return path->indexorderbys != NIL &&
		!colbert_order_will_do(root, path->indexinfo->rel, linitial_node(PathKey, path->path.pathkeys));
}

/* Scoring one stored column: the indexed expression and the operator. The query is evaluated once. */
static Cost
exact_cost(PlannerInfo *root, OpExpr *order_by)
{
	QualCost	cost;

	cost_qual_eval_node(&cost, linitial(order_by->args), root);
	add_function_cost(root, get_opcode(order_by->opno), (Node *) order_by, &cost);
	return cost.per_tuple;
}

void
colbert_costestimate(PlannerInfo *root, IndexPath *path, double loop_count, Cost *startup_cost,
					 Cost *total_cost, Selectivity *selectivity, double *correlation, double *pages)
{
	GenericCosts costs = {0};
	double		start = START_OPERATORS;
	Cost		row_cost = cpu_index_tuple_cost;

	/* For the rows that null tests and the predicate of a partial index leave. */
	genericcostestimate(root, path, loop_count, &costs);
	*selectivity = costs.indexSelectivity;
	*correlation = 0;
	*pages = costs.numIndexPages;

	if (is_forbidden(root, path))
	{
		compat_disable_path(&path->path);
		*startup_cost = *total_cost = FORBIDDEN_COST;
		return;
	}
	if (path->indexorderbys != NIL)
	{
		start += Min(SEARCH_OPERATORS, path->indexinfo->tuples * DOCUMENT_OPERATORS);
		row_cost += exact_cost(root, linitial_node(OpExpr, path->indexorderbys));
	}
	*startup_cost = start * cpu_operator_cost;
	*total_cost = *startup_cost + costs.numIndexTuples * row_cost;
}
