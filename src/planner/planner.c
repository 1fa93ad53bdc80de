/*-------------------------------------------------------------------------
 *
 * planner.c
 *	  Index paths for orders and thresholds that core does not match to an
 *	  index.
 *
 * Core matches ORDER BY to an index only as an ascending operator call with
 * NULLs last. A person writes ORDER BY maxsim(doc, query) DESC. So for each
 * index of ours that gives the order that the query wants first, an ordinary
 * IndexPath is added, whose ordering clause is the operator's and whose path
 * key is the query's own; from there on core plans, costs and runs it as any
 * other index scan. Likewise WHERE maxsim(doc, query) > bound (range_match.c).
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
#include "planner/range_match.h"

/* As many rows above a threshold as a search gives before it looks at every document. */
#define MOST_IN_ORDER 100

static set_rel_pathlist_hook_type previous_hook;

/* What an index scan can be told of a query's conditions, besides the order. */
typedef struct Conditions
{
	List	   *null_tests;		/* IndexClauses: IS [NOT] NULL of the indexed expression */
	List	   *ranges;			/* IndexClauses: thresholds of the score */
	List	   *queries;		/* what each of these scores with */
} Conditions;

static IndexClause *
match_null_test(IndexOptInfo *index, RestrictInfo *restriction)
{
	NullTest   *test = (NullTest *) restriction->clause;
	IndexClause *clause;

	if (restriction->pseudoconstant ||
		!IsA(test, NullTest) || test->argisrow ||
		!match_index_to_operand((Node *) test->arg, 0, index) ||
		!restriction_is_securely_promotable(restriction, index->rel))
		return NULL;
	clause = makeNode(IndexClause);
	clause->rinfo = restriction;
	clause->indexquals = list_make1(restriction);
	clause->lossy = false;
	clause->indexcol = 0;
	clause->indexcols = NIL;
	return clause;
}

static Conditions
match_conditions(PlannerInfo *root, IndexOptInfo *index)
{
	Conditions	conditions = {NIL, NIL, NIL};
	ListCell   *cell;

	foreach(cell, index->indrestrictinfo)
	{
		RestrictInfo *restriction = lfirst_node(RestrictInfo, cell);
		IndexClause *clause;
		Node	   *query;

		if ((clause = match_null_test(index, restriction)) != NULL)
			conditions.null_tests = lappend(conditions.null_tests, clause);
		else if ((clause = range_match_restriction(root, index, restriction, &query)) != NULL)
		{
			conditions.ranges = lappend(conditions.ranges, clause);
			conditions.queries = lappend(conditions.queries, query);
		}
	}
	return conditions;
}

/* The thresholds of the scores of a query. */
static List *
ranges_of(const Conditions *conditions, Node *query)
{
	List	   *ranges = NIL;
	ListCell   *clause;
	ListCell   *other;

	forboth(clause, conditions->ranges, other, conditions->queries)
	{
		if (equal(lfirst(other), query))
			ranges = lappend(ranges, lfirst(clause));
	}
	return ranges;
}

/*
 * Are all documents above a threshold wanted, or many? That takes a look at
 * every document: what it finds is best sorted then, so that none is late.
 */
static bool
wants_most(PlannerInfo *root)
{
	return root->tuple_fraction <= 0 || root->limit_tuples > MOST_IN_ORDER;
}

/*
 * The path carries the first path key alone, since a plan has as many
 * ordering clauses as path keys; core sorts by the others incrementally.
 */
static void
add_ordered_path(PlannerInfo *root, RelOptInfo *rel, IndexOptInfo *index, const Conditions *conditions)
{
	PathKey    *pathkey = linitial_node(PathKey, root->query_pathkeys);
	OpExpr	   *order_by = order_match_pathkey(root, index, pathkey, NULL);
	List	   *ranges;
	List	   *clauses;
	IndexPath  *path;

	if (order_by == NULL || !colbert_order_will_do(root, rel, pathkey))
		return;
	ranges = ranges_of(conditions, lsecond(order_by->args));
	if (ranges != NIL && wants_most(root))
		return;
	clauses = list_concat_copy(conditions->null_tests, ranges);
	path = create_index_path(root, index, clauses,
							 list_make1(order_by), list_make1_int(0), list_make1(pathkey),
							 ForwardScanDirection, false, rel->lateral_relids, 1.0, false);
	add_path(rel, (Path *) path);
}

/* All documents within the thresholds, in no order. One query's alone, since a search is for one. */
static void
add_range_path(PlannerInfo *root, RelOptInfo *rel, IndexOptInfo *index, const Conditions *conditions)
{
	List	   *clauses;
	IndexPath  *path;

	if (conditions->ranges == NIL)
		return;
	clauses = list_concat_copy(conditions->null_tests, ranges_of(conditions, linitial(conditions->queries)));
	path = create_index_path(root, index, clauses, NIL, NIL, NIL,
							 ForwardScanDirection, false, rel->lateral_relids, 1.0, false);
	add_path(rel, (Path *) path);
}

/* How often a scan is done that takes parameters from these tables, at the least: as core estimates it. */
static double
loop_count(PlannerInfo *root, Relids outer)
{
	double		count = 0;
	int			relid = -1;

	while ((relid = bms_next_member(outer, relid)) >= 0)
	{
		RelOptInfo *rel = relid < root->simple_rel_array_size ? root->simple_rel_array[relid] : NULL;

		if (rel != NULL && rel->rows > 0 && (count == 0 || rel->rows < count))
			count = rel->rows;
	}
	return Max(count, 1);
}

/* Thresholds that come from joined tables: a scan for each of their rows. */
static void
add_joined_range_paths(PlannerInfo *root, RelOptInfo *rel, IndexOptInfo *index)
{
	ListCell   *cell;

	foreach(cell, rel->joininfo)
	{
		RestrictInfo *restriction = lfirst_node(RestrictInfo, cell);
		IndexClause *clause;
		Node	   *query;
		Relids		outer;

		if (!join_clause_is_movable_to(restriction, rel))
			continue;
		clause = range_match_restriction(root, index, restriction, &query);
		if (clause == NULL)
			continue;
		outer = bms_union(restriction->clause_relids, rel->lateral_relids);
		outer = bms_del_members(outer, rel->relids);
		add_path(rel, (Path *) create_index_path(root, index, list_make1(clause), NIL, NIL, NIL,
												 ForwardScanDirection, false, outer, loop_count(root, outer), false));
	}
}

static void
add_paths(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	ListCell   *cell;

	if (previous_hook != NULL)
		previous_hook(root, rel, rti, rte);

	/* A parent has no rows of its own here, a sample is not the table, and of a dummy nothing is wanted. */
	if (rte->rtekind != RTE_RELATION || rte->inh || rte->tablesample != NULL || IS_DUMMY_REL(rel))
		return;

	foreach(cell, rel->indexlist)
	{
		IndexOptInfo *index = lfirst_node(IndexOptInfo, cell);
		Conditions	conditions;

		if (index->amcostestimate != colbert_costestimate || (index->indpred != NIL && !index->predOK))
			continue;
		conditions = match_conditions(root, index);
		if (root->query_pathkeys != NIL)
			add_ordered_path(root, rel, index, &conditions);
		add_range_path(root, rel, index, &conditions);
		add_joined_range_paths(root, rel, index);
	}
}

void
planner_init(void)
{
	previous_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = add_paths;
}
