/*-------------------------------------------------------------------------
 *
 * planner.c
 *	  Index paths for orders and thresholds that core does not match to an
 *	  index.
 *
 * Core matches ORDER BY to an index only as an ascending operator call with
 * NULLs last, but users write ORDER BY maxsim(doc, query) DESC. So for each of
 * our indexes that provides the first order the query wants, the hook adds an
 * ordinary IndexPath. Its ordering clause is that of the operator, and its
 * path key is the query's own. From there on, core plans, costs and runs it
 * like any other index scan. WHERE maxsim(doc, query) > bound is handled
 * likewise (threshold_match.c).
 *
 * The library need not be preloaded: before core calls the hook for a table,
 * it opens the table's indexes, which calls the handler and thereby loads this
 * library.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "planner/cost.h"
#include "planner/one_row.h"
#include "planner/order_match.h"
#include "planner/order_use.h"
#include "planner/planner.h"
#include "planner/threshold_match.h"
#include "planner/rank_order.h"
#include "planner/score_call.h"
#include "planner/swapped_call.h"
#include "planner/threshold_share.h"

/*
 * Maximum number of rows above a threshold that are wanted from an ordered
 * search. For more, a search would end up examining every document.
 */
#define MAX_IN_ORDER 100

static set_rel_pathlist_hook_type  previous_hook;
static set_join_pathlist_hook_type previous_join_hook;

/* Conditions of a query that can be passed to an index scan, besides the order. */
typedef struct Conditions
{
	List *null_tests; /* IndexClauses: IS [NOT] NULL of the indexed expression */
	List *thresholds; /* IndexClauses: thresholds of the score */
	List *queries;    /* the query that each threshold scores with */
} Conditions;

static IndexClause *
match_null_test(PlannerInfo *root, IndexOptInfo *index, RestrictInfo *restriction)
{
	NullTest    *test = (NullTest *) restriction->clause;
	IndexClause *clause;
	NullTest    *indexed;

	if (restriction->pseudoconstant || !IsA(test, NullTest) || test->argisrow ||
		score_call_document(index, (Node *) test->arg) == NULL ||
		!restriction_is_securely_promotable(restriction, index->rel))
		return NULL;
	clause = makeNode(IndexClause);
	clause->rinfo = restriction;
	clause->indexquals = list_make1(restriction);
	clause->lossy = false;
	clause->indexcol = 0;
	clause->indexcols = NIL;
	if (match_index_to_operand((Node *) test->arg, 0, index))
		return clause;
	indexed = copyObject(test);
	indexed->arg = (Expr *) score_call_document(index, (Node *) test->arg);
	clause->indexquals = list_make1(make_simple_restrictinfo(root, (Expr *) indexed));
	return clause;
}

static void
add_threshold(PlannerInfo *root, IndexOptInfo *index, RestrictInfo *restriction,
			  Conditions *conditions)
{
	Node        *query;
	IndexClause *clause = threshold_match_restriction(root, index, restriction, &query);

	if (clause == NULL)
		return;
	conditions->thresholds = lappend(conditions->thresholds, clause);
	conditions->queries = lappend(conditions->queries, query);
}

/*
 * Match the conditions of a query to an index. outer: relations whose columns
 * a threshold may refer to; NULL if it may refer to none.
 */
static Conditions
match_conditions(PlannerInfo *root, IndexOptInfo *index, Relids outer)
{
	Conditions conditions = {NIL, NIL, NIL};
	bool       exact = wants_exact_thresholds(root, index->rel);
	ListCell  *cell;

	foreach (cell, index->indrestrictinfo)
	{
		RestrictInfo *restriction = lfirst_node(RestrictInfo, cell);
		IndexClause  *clause = match_null_test(root, index, restriction);

		if (clause != NULL)
			conditions.null_tests = lappend(conditions.null_tests, clause);
		else if (!exact)
			add_threshold(root, index, restriction, &conditions);
	}
	foreach (cell, outer != NULL && !exact ? index->rel->joininfo : NIL)
	{
		RestrictInfo *restriction = lfirst_node(RestrictInfo, cell);

		if (join_clause_is_movable_to(restriction, index->rel) &&
			bms_is_subset(restriction->clause_relids, bms_union(index->rel->relids, outer)))
			add_threshold(root, index, restriction, &conditions);
	}
	return conditions;
}

/* Return the thresholds of the scores of a query. */
static List *
thresholds_of(PlannerInfo *root, const Conditions *conditions, Node *query)
{
	List     *thresholds = NIL;
	ListCell *clause;
	ListCell *other;

	forboth (clause, conditions->thresholds, other, conditions->queries)
	{
		if (score_call_same_query(root, lfirst(other), query))
			thresholds = lappend(thresholds, lfirst(clause));
	}
	return thresholds;
}

/*
 * Return true if all or many documents above a threshold are wanted. Finding
 * them requires examining every document, so it is best to sort the result
 * afterwards: then no row is late.
 */
static bool
wants_many_rows(PlannerInfo *root)
{
	return root->tuple_fraction <= 0 || root->limit_tuples > MAX_IN_ORDER;
}

/*
 * Make the path in the order of the query's first key, or return NULL. The
 * path carries only that key, since a plan has one ordering clause for each
 * key; core sorts by the others incrementally.
 *
 * outer: relations whose columns the query may refer to; each of their rows
 * starts a separate search. left_join: see order_match_pathkey.
 */
static Path *
make_ordered_path(PlannerInfo *root, RelOptInfo *rel, IndexOptInfo *index, Relids outer,
				  int left_join)
{
	PathKey   *pathkey = linitial_node(PathKey, root->query_pathkeys);
	OpExpr    *order_by = order_match_pathkey(root, index, pathkey, outer, left_join);
	Conditions conditions;
	List      *thresholds;
	Relids     required;

	if (order_by == NULL || !order_is_usable(root, rel, pathkey, outer))
		return NULL;
	required = bms_difference(pull_varnos(root, (Node *) order_by), rel->relids);
	required = bms_union(required, rel->lateral_relids);
	conditions = match_conditions(root, index, required);
	thresholds = thresholds_of(root, &conditions, lsecond(order_by->args));
	if (thresholds != NIL && wants_many_rows(root))
		return NULL;
	return (Path *) create_index_path(
		root, index, list_concat_copy(conditions.null_tests, thresholds), list_make1(order_by),
		list_make1_int(0), list_make1(pathkey), ForwardScanDirection, false, required, 1.0, false);
}

static void
add_ordered_path(PlannerInfo *root, RelOptInfo *rel, IndexOptInfo *index)
{
	Path *path = make_ordered_path(root, rel, index, NULL, 0);

	if (path == NULL)
		return;
	colbert_expect_limit(root, path);
	add_path(rel, path);
}

/*
 * Add a path that returns all documents within the thresholds, unordered. It
 * uses the thresholds of one query only, since a search is for one query.
 */
static void
add_threshold_path(PlannerInfo *root, RelOptInfo *rel, IndexOptInfo *index,
				   const Conditions *conditions)
{
	List      *clauses;
	IndexPath *path;

	if (conditions->thresholds == NIL)
		return;
	clauses = list_concat_copy(conditions->null_tests,
							   thresholds_of(root, conditions, linitial(conditions->queries)));
	path = create_index_path(root, index, clauses, NIL, NIL, NIL, ForwardScanDirection, false,
							 rel->lateral_relids, 1.0, false);
	add_path(rel, (Path *) path);
}

/*
 * Estimate, as core does, the minimum number of times that a scan with
 * parameters from these tables runs.
 */
static double
loop_count(PlannerInfo *root, Relids outer)
{
	double count = 0;
	int    relid = -1;

	while ((relid = bms_next_member(outer, relid)) >= 0)
	{
		RelOptInfo *rel =
			relid < root->simple_rel_array_size ? root->simple_rel_array[relid] : NULL;

		if (rel != NULL && rel->rows > 0 && (count == 0 || rel->rows < count))
			count = rel->rows;
	}
	return Max(count, 1);
}

/* Add paths for thresholds that come from joined tables, with one scan for each of their rows. */
static void
add_joined_threshold_paths(PlannerInfo *root, RelOptInfo *rel, IndexOptInfo *index)
{
	ListCell *cell;

	if (wants_exact_thresholds(root, rel))
		return;
	foreach (cell, rel->joininfo)
	{
		RestrictInfo *restriction = lfirst_node(RestrictInfo, cell);
		IndexClause  *clause;
		Node         *query;
		Relids        outer;

		if (!join_clause_is_movable_to(restriction, rel))
			continue;
		clause = threshold_match_restriction(root, index, restriction, &query);
		if (clause == NULL)
			continue;
		outer = bms_union(restriction->clause_relids, rel->lateral_relids);
		outer = bms_del_members(outer, rel->relids);
		add_path(rel, (Path *) create_index_path(root, index, list_make1(clause), NIL, NIL, NIL,
												 ForwardScanDirection, false, outer,
												 loop_count(root, outer), false));
	}
}

/*
 * Return true if a relation can be searched. A parent has no rows of its own
 * here, a sample is not the whole table, and a dummy relation returns no rows.
 */
static bool
can_search(RelOptInfo *rel, RangeTblEntry *rte)
{
	return rte->rtekind == RTE_RELATION && !rte->inh && rte->tablesample == NULL &&
		   !IS_DUMMY_REL(rel);
}

static bool
is_usable(IndexOptInfo *index)
{
	return index->amcostestimate == colbert_costestimate &&
		   (index->indpred == NIL || index->predOK);
}

/* Return true if a path that is ordered by a score takes its order from one of our scans. */
static bool
is_ordered_search(Path *path)
{
	if (IsA(path, NestPath) || IsA(path, MergePath))
		return is_ordered_search(((JoinPath *) path)->outerjoinpath) ||
			   is_ordered_search(((JoinPath *) path)->innerjoinpath);
	return IsA(path, IndexPath) && ((IndexPath *) path)->indexorderbys != NIL &&
		   ((IndexPath *) path)->indexinfo->amcostestimate == colbert_costestimate;
}

/* Cost anew core's paths that join further tables to an ordered one, if the LIMIT is unknown. */
static void
expect_limit_of_joins(PlannerInfo *root, RelOptInfo *joinrel)
{
	List     *ordered = NIL;
	ListCell *cell;

	foreach (cell, joinrel->pathlist)
	{
		Path *path = lfirst(cell);

		if (path->pathkeys != NIL && linitial(path->pathkeys) == linitial(root->query_pathkeys) &&
			is_ordered_search(path))
			ordered = lappend(ordered, path);
	}
	if (ordered == NIL)
		return;
	/* Remove all of them first: add_path frees a path that another one beats. */
	joinrel->pathlist = list_difference_ptr(joinrel->pathlist, ordered);
	foreach (cell, ordered)
	{
		colbert_expect_limit(root, lfirst(cell));
		add_path(joinrel, lfirst(cell));
	}
}

/*
 * Add paths for FROM docs, v ORDER BY maxsim(docs.doc, v.q) DESC if v has one
 * row. The join is then one search and returns rows in its order. With more
 * rows it would not be ordered.
 */
static void
add_one_row_join_paths(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outer, RelOptInfo *inner,
					   JoinType jointype, JoinPathExtraData *extra)
{
	Path     *outer_path = outer->cheapest_total_path;
	int       left_join = compat_left_join(jointype, extra);
	ListCell *cell;

	if ((jointype != JOIN_INNER && jointype != JOIN_LEFT) || inner->reloptkind != RELOPT_BASEREL ||
		!can_search(inner, planner_rt_fetch(inner->relid, root)) || outer_path == NULL ||
		outer_path->param_info != NULL)
		return;
	foreach (cell, inner->indexlist)
	{
		IndexOptInfo     *index = lfirst_node(IndexOptInfo, cell);
		Path             *inner_path;
		JoinCostWorkspace workspace;

		if (!is_usable(index))
			continue;
		inner_path = make_ordered_path(root, inner, index, outer->relids, left_join);
		if (inner_path == NULL || PATH_REQ_OUTER(inner_path) == NULL ||
			!bms_is_subset(PATH_REQ_OUTER(inner_path), outer->relids) ||
			!one_row_is_certain(root, outer))
			continue;
		compat_cost_nestloop(root, &workspace, jointype, outer_path, inner_path, extra);
		add_path(joinrel, (Path *) create_nestloop_path(root, joinrel, jointype, &workspace, extra,
														outer_path, inner_path, extra->restrictlist,
														inner_path->pathkeys, NULL));
	}
}

/* set_join_pathlist_hook: add the paths of a join whose query comes from a relation of one row. */
static void
add_join_paths(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outer, RelOptInfo *inner,
			   JoinType jointype, JoinPathExtraData *extra)
{
	if (previous_join_hook != NULL)
		previous_join_hook(root, joinrel, outer, inner, jointype, extra);

	if (root->query_pathkeys == NIL)
		return;
	add_one_row_join_paths(root, joinrel, outer, inner, jointype, extra);
	expect_limit_of_joins(root, joinrel);
}

/* set_rel_pathlist_hook: add the paths of a table for the orders and thresholds of its indexes. */
static void
add_paths(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	ListCell *cell;

	if (can_search(rel, rte))
		threshold_share_replan(root, rel, rte);
	if (previous_hook != NULL)
		previous_hook(root, rel, rti, rte);

	if (!can_search(rel, rte))
		return;

	foreach (cell, rel->indexlist)
	{
		IndexOptInfo *index = lfirst_node(IndexOptInfo, cell);
		Conditions    conditions;

		if (!is_usable(index))
			continue;
		conditions = match_conditions(root, index, NULL);
		if (root->query_pathkeys != NIL)
		{
			add_ordered_path(root, rel, index);
			swapped_call_tell(root, index);
		}
		add_threshold_path(root, rel, index, &conditions);
		add_joined_threshold_paths(root, rel, index);
	}
}

void
planner_init(void)
{
	previous_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = add_paths;
	previous_join_hook = set_join_pathlist_hook;
	set_join_pathlist_hook = add_join_paths;
	rank_order_init();
}
