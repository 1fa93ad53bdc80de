/*-------------------------------------------------------------------------
 *
 * rank_order.c
 *	  ORDER BY a rank, which is the order of the rank's window.
 *
 * Hybrid searches are often written as
 *
 *	SELECT id, row_number() OVER (ORDER BY maxsim(doc, query) DESC) AS rank
 *	FROM docs ORDER BY rank LIMIT 20
 *
 * Core computes the ranks of all rows and sorts by them. However, if a query
 * has only one window, without partitions, its rows leave the window in the
 * order of their ranks. So the hook gives that path key to the paths of the
 * window. LIMIT then stops the window, and with it the search. The ORDER BY
 * and the LIMIT may also stand in an outer query that reads nothing else.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "planner/rank_order.h"
#include "utils/fmgroids.h"
#include "utils/typcache.h"

/* Number of rows that an unknown LIMIT is assumed to ask for. */
#define LIKELY_LIMIT 20

static create_upper_paths_hook_type previous_hook;

/* Return true for a rank, or a rank that is cast to another numeric type. */
static bool
is_rank(const Node *expr)
{
	while (IsA(expr, FuncExpr) && (((const FuncExpr *) expr)->funcid == F_INT4_INT8 ||
								   ((const FuncExpr *) expr)->funcid == F_FLOAT8_INT8 ||
								   ((const FuncExpr *) expr)->funcid == F_NUMERIC_INT8))
		expr = linitial(((const FuncExpr *) expr)->args);
	if (!IsA(expr, WindowFunc))
		return false;
	switch (((const WindowFunc *) expr)->winfnoid)
	{
		case F_ROW_NUMBER:
		case F_RANK_:
		case F_DENSE_RANK_:
			return true;
		default:
			return false;
	}
}

/*
 * Return true if the query has a single window, ordered and without
 * partitions, and nothing reorders its rows later.
 */
static bool
has_plain_window(const Query *query)
{
	const WindowClause *window;

	if (list_length(query->windowClause) != 1 || query->distinctClause != NIL ||
		query->setOperations != NULL || query->hasTargetSRFs)
		return false;
	window = linitial_node(WindowClause, query->windowClause);
	return window->partitionClause == NIL && window->orderClause != NIL;
}

/* Return true if the expression is a rank and the first sort key rises with it. */
static bool
rises_with_rank(List *pathkeys, const Node *expr)
{
	PathKey *pathkey = linitial_node(PathKey, pathkeys);

	return is_rank(expr) && !compat_pathkey_descends(pathkey) &&
		   pathkey->pk_opfamily ==
			   lookup_type_cache(exprType(expr), TYPECACHE_BTREE_OPFAMILY)->btree_opf;
}

bool
rank_order_is_windows(PlannerInfo *root)
{
	Query *query = root->parse;

	return root->sort_pathkeys != NIL && query->sortClause != NIL && has_plain_window(query) &&
		   rises_with_rank(
			   root->sort_pathkeys,
			   get_sortgroupclause_expr(linitial_node(SortGroupClause, query->sortClause),
										root->processed_tlist));
}

/* ---- a LIMIT outside ---- */

/*
 * Return true if an outer query with a LIMIT reads this one row by row and
 * reads nothing else.
 *
 * Sub-selects in expressions and common table expressions are planned before
 * the relations of the outer query are known, so they do not qualify.
 */
static bool
is_read_row_by_row(PlannerInfo *root)
{
	PlannerInfo *outer = root->parent_root;
	Query       *query = outer != NULL ? outer->parse : NULL;
	int          relid;
	RelOptInfo  *rel;

	if (query == NULL || query->commandType != CMD_SELECT || query->limitCount == NULL ||
		query->hasAggs || query->hasWindowFuncs || query->hasTargetSRFs ||
		query->groupClause != NIL || query->groupingSets != NIL || query->havingQual != NULL ||
		query->distinctClause != NIL || query->setOperations != NULL ||
		outer->simple_rel_array == NULL || !bms_get_singleton_member(outer->all_baserels, &relid))
		return false;
	rel = outer->simple_rel_array[relid];
	return rel != NULL && rel->rtekind == RTE_SUBQUERY && rel->reloptkind == RELOPT_BASEREL &&
		   rel->baserestrictinfo == NIL;
}

/*
 * Return the column of the query that is the outer query's first sort key, or
 * NULL if that key is an expression.
 */
static TargetEntry *
column_sorted_outside(PlannerInfo *root)
{
	PlannerInfo *outer = root->parent_root;
	Var         *var = (Var *) get_sortgroupclause_expr(
        linitial_node(SortGroupClause, outer->parse->sortClause), outer->processed_tlist);

	if (!IsA(var, Var) || var->varlevelsup != 0 || var->varattno <= 0)
		return NULL;
	return get_tle_by_resno(root->processed_tlist, var->varattno);
}

/*
 * Return true if the outer query wants the rows in the order of their rank or
 * of the window's first key.
 */
static bool
wants_order_of_window(PlannerInfo *root)
{
	const SortGroupClause *first =
		linitial(linitial_node(WindowClause, root->parse->windowClause)->orderClause);
	PathKey     *inner = linitial_node(PathKey, root->window_pathkeys);
	List        *sorted = root->parent_root->sort_pathkeys;
	TargetEntry *column;
	PathKey     *outer;

	if (root->parent_root->parse->sortClause == NIL)
		return true;
	column = sorted != NIL ? column_sorted_outside(root) : NULL;
	if (column == NULL)
		return false;
	outer = linitial_node(PathKey, sorted);
	return rises_with_rank(sorted, (Node *) column->expr) ||
		   (column->ressortgroupref == first->tleSortGroupRef &&
			outer->pk_opfamily == inner->pk_opfamily &&
			compat_pathkey_descends(outer) == compat_pathkey_descends(inner) &&
			outer->pk_nulls_first == inner->pk_nulls_first);
}

double
rank_order_rows_outside(PlannerInfo *root)
{
	if (root->parse->limitCount != NULL || root->parse->sortClause != NIL ||
		root->window_pathkeys == NIL || !has_plain_window(root->parse) ||
		!is_read_row_by_row(root) || !wants_order_of_window(root))
		return 0;
	return root->parent_root->limit_tuples > 0 ? root->parent_root->limit_tuples : LIKELY_LIMIT;
}

/* ---- path keys ---- */

/* Return the order of a rank that the outer query sorts by, as a path key of this query. */
static List *
rank_pathkeys_outside(PlannerInfo *root)
{
	TargetEntry     *column;
	SortGroupClause *clause;

	if (rank_order_rows_outside(root) == 0 || root->parent_root->parse->sortClause == NIL)
		return NIL;
	column = column_sorted_outside(root);
	if (!is_rank((Node *) column->expr))
		return NIL;
	clause = copyObject(linitial_node(SortGroupClause, root->parent_root->parse->sortClause));
	clause->tleSortGroupRef = 1;
	column = makeTargetEntry(column->expr, 1, NULL, false);
	column->ressortgroupref = 1;
	return make_pathkeys_for_sortclauses(root, list_make1(clause), list_make1(column));
}

static void
add_rank_order(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input, RelOptInfo *output,
			   void *extra)
{
	List     *pathkeys;
	ListCell *cell;

	if (previous_hook != NULL)
		previous_hook(root, stage, input, output, extra);

	if (stage != UPPERREL_WINDOW)
		return;
	pathkeys = rank_order_is_windows(root) ? list_make1(linitial(root->sort_pathkeys))
										   : rank_pathkeys_outside(root);
	foreach (cell, pathkeys != NIL ? output->pathlist : NIL)
	{
		Path *path = lfirst(cell);

		if (IsA(path, WindowAggPath))
			path->pathkeys = pathkeys;
	}
}

void
rank_order_init(void)
{
	previous_hook = create_upper_paths_hook;
	create_upper_paths_hook = add_rank_order;
}
