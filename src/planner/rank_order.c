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
 * Core computes the ranks of all rows, and sorts by them. The rows of a query
 * with one window, without partitions, leave the window in the order of their
 * ranks, so the paths of the window are given that path key. Then LIMIT ends
 * the window, and with it the search.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "planner/rank_order.h"
#include "utils/fmgroids.h"
#include "utils/typcache.h"

static create_upper_paths_hook_type previous_hook;

/* A rank, or a rank that is cast to another number. */
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

bool
rank_order_is_windows(PlannerInfo *root)
{
	Query	   *query = root->parse;
	PathKey    *pathkey;
	Node	   *key;

	if (root->sort_pathkeys == NIL || query->sortClause == NIL || list_length(query->windowClause) != 1 ||
		linitial_node(WindowClause, query->windowClause)->partitionClause != NIL ||
		linitial_node(WindowClause, query->windowClause)->orderClause == NIL ||
		query->distinctClause != NIL || query->setOperations != NULL || query->hasTargetSRFs)
		return false;
	pathkey = linitial_node(PathKey, root->sort_pathkeys);
	key = get_sortgroupclause_expr(linitial_node(SortGroupClause, query->sortClause), root->processed_tlist);
	return is_rank(key) && !compat_pathkey_descends(pathkey) &&
		pathkey->pk_opfamily == lookup_type_cache(exprType(key), TYPECACHE_BTREE_OPFAMILY)->btree_opf;
}

static void
add_rank_order(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input, RelOptInfo *output, void *extra)
{
	ListCell   *cell;

	if (previous_hook != NULL)
		previous_hook(root, stage, input, output, extra);

	if (stage != UPPERREL_WINDOW || !rank_order_is_windows(root))
		return;
	foreach(cell, output->pathlist)
	{
		Path	   *path = lfirst(cell);

		if (IsA(path, WindowAggPath))
			path->pathkeys = list_make1(linitial(root->sort_pathkeys));
	}
}

void
rank_order_init(void)
{
	previous_hook = create_upper_paths_hook;
	create_upper_paths_hook = add_rank_order;
}
