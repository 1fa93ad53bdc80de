/*-------------------------------------------------------------------------
 *
 * planner.c
 *	  Index paths for orders that core does not match to an index.
 *
 * Core matches ORDER BY to an index only as an ascending operator call with
 * NULLs last. A person writes ORDER BY maxsim(doc, query) DESC. So for each
 * index of ours that gives the order that the query wants first, an ordinary
 * IndexPath is added, whose ordering clause is the operator's and whose path
 * key is the query's own; from there on core plans, costs and runs it as any
 * other index scan.
 *
 * Nothing need be preloaded: before the hook is asked about a table, core has
 * opened the table's indexes, which calls the handler, which loads this
 * library.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "planner/order_match.h"
#include "planner/planner.h"

static set_rel_pathlist_hook_type previous_hook;

/* IS [NOT] NULL tests of the indexed expression, as index clauses. */
static List *
null_tests(IndexOptInfo *index)
{
	List	   *clauses = NIL;
	ListCell   *cell;

	foreach(cell, index->indrestrictinfo)
	{
		RestrictInfo *restriction = lfirst_node(RestrictInfo, cell);
		NullTest   *test = (NullTest *) restriction->clause;
		IndexClause *clause;

		if (restriction->pseudoconstant ||
			!IsA(test, NullTest) || test->argisrow ||
			!match_index_to_operand((Node *) test->arg, 0, index) ||
			!restriction_is_securely_promotable(restriction, index->rel))
			continue;
		clause = makeNode(IndexClause);
		clause->rinfo = restriction;
		clause->indexquals = list_make1(restriction);
		clause->lossy = false;
		clause->indexcol = 0;
		clause->indexcols = NIL;
		clauses = lappend(clauses, clause);
	}
	return clauses;
}

/*
 * The path carries the first path key alone, since a plan has as many
 * ordering clauses as path keys; core sorts by the others incrementally.
 */
static void
add_ordered_path(PlannerInfo *root, RelOptInfo *rel, IndexOptInfo *index)
{
	PathKey    *pathkey = linitial_node(PathKey, root->query_pathkeys);
	OpExpr	   *order_by = order_match_pathkey(index, pathkey);
	IndexPath  *path;

	if (order_by == NULL || !colbert_order_will_do(root, rel, pathkey))
		return;
	path = create_index_path(root, index, null_tests(index),
							 list_make1(order_by), list_make1_int(0), list_make1(pathkey),
							 ForwardScanDirection, false, rel->lateral_relids, 1.0, false);
	add_path(rel, (Path *) path);
}

static void
add_ordered_paths(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	ListCell   *cell;

	if (previous_hook != NULL)
		previous_hook(root, rel, rti, rte);

	/* A parent has no rows of its own here, a sample is not the table, and of a dummy nothing is wanted. */
	if (root->query_pathkeys == NIL || rte->rtekind != RTE_RELATION || rte->inh || rte->tablesample != NULL ||
		IS_DUMMY_REL(rel))
		return;

	foreach(cell, rel->indexlist)
	{
		IndexOptInfo *index = lfirst_node(IndexOptInfo, cell);

		if (index->amcostestimate == colbert_costestimate && (index->indpred == NIL || index->predOK))
			add_ordered_path(root, rel, index);
	}
}

void
planner_init(void)
{
	previous_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = add_ordered_paths;
}
