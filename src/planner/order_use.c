/*-------------------------------------------------------------------------
 *
 * order_use.c
 *	  Tell whether a query can use the order, or a threshold, of an index scan.
 *
 * Some paths would force their scans to examine every document, because no row
 * may be late or missed. These paths are rejected here, since a sort or a
 * sequential scan is cheaper. The finished plan has the final say
 * (planner/scan_needs.c): if such a path is chosen nevertheless, its scan
 * examines every document.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "catalog/pg_type_d.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "planner/order_use.h"
#include "planner/rank_order.h"
#include "planner/window_reach.h"
#include "settings.h"

/*
 * Return true if this query is the sub-query that core builds for min(...) or
 * max(...) as "ORDER BY ... LIMIT 1". Its only mark is the name of its column.
 */
static bool
is_min_max(PlannerInfo *root)
{
	TargetEntry *column = linitial_node(TargetEntry, root->parse->targetList);

	return root->parent_root != NULL && root->parent_root->parse->hasAggs &&
		   column->resname != NULL && strcmp(column->resname, "agg_target") == 0;
}

/* Return true if the values of the key take part in a join, which may be done by merging. */
static bool
is_joined(RelOptInfo *rel, PathKey *pathkey)
{
	ListCell *cell;

	if (pathkey->pk_eclass->ec_sources != NIL)
		return true;
	foreach (cell, rel->joininfo)
	{
		RestrictInfo *clause = lfirst_node(RestrictInfo, cell);

		if (clause->left_ec == pathkey->pk_eclass || clause->right_ec == pathkey->pk_eclass)
			return true;
	}
	return false;
}

/* Return the table as the query names it: for a partition, the partitioned table. */
static Relids
named_relids(RelOptInfo *rel)
{
	return bms_is_empty(rel->top_parent_relids) ? rel->relids : rel->top_parent_relids;
}

/* ---- rows that a LIMIT counts ---- */

/*
 * Return true if each row of the table that passes the conditions testable by
 * a scan yields one row of the query. If so, LIMIT tells how many rows the
 * scan returns. This also holds for the inner side of a join whose outer side
 * has one row.
 */
static bool
limit_counts_rows(PlannerInfo *root, RelOptInfo *rel, Relids outer)
{
	Relids    others;
	ListCell *cell;

	if (root->parse->hasTargetSRFs)
		return false;
	foreach (cell, rel->baserestrictinfo)
		if (contain_volatile_functions((Node *) lfirst_node(RestrictInfo, cell)->clause))
			return false;

	/* Joins keep this true only if all other tables are on their nullable side. */
	others = bms_difference(root->all_baserels, named_relids(rel));
	others = bms_del_members(others, outer);
	foreach (cell, root->join_info_list)
	{
		SpecialJoinInfo *join = lfirst_node(SpecialJoinInfo, cell);

		if (join->jointype == JOIN_LEFT && !bms_overlap(join->syn_righthand, named_relids(rel)))
			others = bms_del_members(others, join->syn_righthand);
	}
	return bms_is_empty(others);
}

/* Reading of a query's windows beyond the rows that are asked of them. */
typedef struct WindowUse
{
	Query      *query;
	WindowReach reach;
	double      rows; /* rows read until a run condition stops the window; 0 if it has none */
} WindowUse;

/* Number of rows that a run condition with an unknown bound is assumed to admit. */
#define LIKELY_RUN 20

/* Return the number of rows before a run condition fails. */
static double
run_rows(Node *bound)
{
	if (!IsA(bound, Const) || ((Const *) bound)->constisnull)
		return LIKELY_RUN;
	switch (((Const *) bound)->consttype)
	{
		case INT4OID:
			return Max(DatumGetInt32(((Const *) bound)->constvalue), 1);
		case INT8OID:
			return Max(DatumGetInt64(((Const *) bound)->constvalue), 1);
		default:
			return LIKELY_RUN;
	}
}

static bool
note_window_function(Node *node, void *context)
{
	WindowUse *use = context;

	if (node == NULL)
		return false;
	if (IsA(node, WindowFunc))
	{
		WindowFunc   *function = (WindowFunc *) node;
		WindowClause *window =
			list_nth_node(WindowClause, use->query->windowClause, function->winref - 1);

		use->reach = Max(use->reach, window_reach(function, window->frameOptions));
		if (compat_run_condition(window, function) != NIL && window_counts_rows(function))
			use->rows =
				run_rows(compat_run_bound(linitial(compat_run_condition(window, function))));
	}
	return expression_tree_walker(node, note_window_function, context);
}

/* Return true if all windows are unpartitioned and share the same first sort key. */
static bool
windows_share_order(const Query *query)
{
	ListCell *cell;
	Index     first = 0;

	foreach (cell, query->windowClause)
	{
		WindowClause *window = lfirst_node(WindowClause, cell);
		Index         key;

		if (window->partitionClause != NIL || window->orderClause == NIL)
			return false;
		key = linitial_node(SortGroupClause, window->orderClause)->tleSortGroupRef;
		if (first != 0 && key != first)
			return false;
		first = key;
	}
	return true;
}

/*
 * Return true if the query returns few rows in the order of the key and its
 * windows read only a few rows beyond these.
 *
 * *rows: the number of rows, if only a run condition limits it; else 0.
 */
static bool
windows_are_limited(PlannerInfo *root, RelOptInfo *rel, PathKey *pathkey, Relids outer,
					double *rows)
{
	WindowUse use = {root->parse, REACH_ROW, 0};

	*rows = 0;
	if (root->window_pathkeys == NIL || linitial(root->window_pathkeys) != pathkey ||
		(root->sort_pathkeys != NIL && linitial(root->sort_pathkeys) != pathkey &&
		 !rank_order_is_windows(root)) ||
		!windows_share_order(root->parse) || !limit_counts_rows(root, rel, outer))
		return false;
	note_window_function((Node *) root->parse->targetList, &use);
	if (use.rows == 0)
		use.rows = rank_order_rows_outside(root);
	if (root->parse->limitCount == NULL)
		*rows = use.rows;
	return use.reach != REACH_ALL && (use.rows > 0 || root->parse->limitCount != NULL);
}

double
order_rows(PlannerInfo *root, RelOptInfo *rel, PathKey *pathkey, Relids outer)
{
	double rows;

	if (!root->parse->hasWindowFuncs || !windows_are_limited(root, rel, pathkey, outer, &rows))
		return 0;
	return rows;
}

bool
order_is_usable(PlannerInfo *root, RelOptInfo *rel, PathKey *pathkey, Relids outer)
{
	Query *query = root->parse;
	double rows;

	if (is_joined(rel, pathkey) || query->groupClause != NIL || query->groupingSets != NIL ||
		query->distinctClause != NIL)
		return false;
	if (query->hasWindowFuncs)
		return windows_are_limited(root, rel, pathkey, outer, &rows);
	if (root->sort_pathkeys == NIL || linitial(root->sort_pathkeys) != pathkey || is_min_max(root))
		return false;
	/* Further keys sort runs of equal scores, and WITH TIES reads the run of the last row. */
	if (list_length(root->sort_pathkeys) > 1 || query->limitOption == LIMIT_OPTION_WITH_TIES)
		return query->limitCount != NULL && limit_counts_rows(root, rel, outer);
	return true;
}

/* ---- thresholds ---- */

/* Return true if the query, or an outer query, modifies rows. */
static bool
changes_rows(PlannerInfo *root)
{
	for (; root != NULL; root = root->parent_root)
		if (root->parse->commandType == CMD_UPDATE || root->parse->commandType == CMD_DELETE ||
			root->parse->commandType == CMD_MERGE)
			return true;
	return false;
}

static bool
has_except(Node *operation)
{
	SetOperationStmt *set;

	if (operation == NULL || !IsA(operation, SetOperationStmt))
		return false;
	set = (SetOperationStmt *) operation;
	return set->op == SETOP_EXCEPT || has_except(set->larg) || has_except(set->rarg);
}

/* Return true if the query is part of an EXCEPT. */
static bool
is_below_except(PlannerInfo *root)
{
	for (root = root->parent_root; root != NULL; root = root->parent_root)
		if (has_except(root->parse->setOperations))
			return true;
	return false;
}

/*
 * Return true if missing a row of the table in a join makes another row, or
 * NULLs, appear instead.
 */
static bool
is_negated_by_join(PlannerInfo *root, RelOptInfo *rel)
{
	ListCell *cell;

	foreach (cell, root->join_info_list)
	{
		SpecialJoinInfo *join = lfirst_node(SpecialJoinInfo, cell);

		if ((join->jointype == JOIN_ANTI || join->jointype == JOIN_LEFT ||
			 join->jointype == JOIN_FULL) &&
			bms_overlap(join->syn_righthand, named_relids(rel)))
			return true;
		if (join->jointype == JOIN_FULL && bms_overlap(join->syn_lefthand, named_relids(rel)))
			return true;
	}
	return false;
}

bool
wants_exact_thresholds(PlannerInfo *root, RelOptInfo *rel)
{
	if (colbert_exact_thresholds != EXACT_THRESHOLDS_AUTO)
		return colbert_exact_thresholds == EXACT_THRESHOLDS_ON;
	return changes_rows(root) || is_below_except(root) || is_negated_by_join(root, rel);
}
