/*-------------------------------------------------------------------------
 *
 * one_row.c
 *	  Relations that are known to return at most one row.
 *
 *	table				all columns of a unique index are compared with
 *						constants or parameters
 *	VALUES, function	one row; a function that returns no set
 *	sub-select, CTE		LIMIT 1, an aggregate without groups, or a FROM
 *						list of such relations
 *	join				of such relations, unless it is a full join
 *
 * A sub-select has been planned by the time it is examined, so its PlannerInfo
 * describes its relations.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "parser/parsetree.h"
#include "planner/one_row.h"

/* Return true if a query has a full join, which returns unmatched rows of both sides. */
static bool
has_full_join(PlannerInfo *root)
{
	ListCell *cell;

	foreach (cell, root->join_info_list)
	{
		if (lfirst_node(SpecialJoinInfo, cell)->jointype == JOIN_FULL)
			return true;
	}
	return false;
}

/*
 * Return true if each of these relations of a query returns at most one row.
 * Append parents do not qualify.
 */
static bool
all_have_one_row(PlannerInfo *root, Relids relids)
{
	int relid = -1;

	if (has_full_join(root))
		return false;
	while ((relid = bms_next_member(relids, relid)) >= 0)
	{
		RelOptInfo *rel = root->simple_rel_array[relid];

		/* Relids also include outer joins, which have no RelOptInfo. */
		if (rel != NULL && !one_row_is_certain(root, rel))
			return false;
	}
	return true;
}

/* Return true if the query has LIMIT 1 or LIMIT 0. */
static bool
is_limited(const Query *query)
{
	const Const *count = (const Const *) query->limitCount;

	return count != NULL && IsA(count, Const) && !count->constisnull &&
		   count->consttype == INT8OID && DatumGetInt64(count->constvalue) <= 1 &&
		   query->limitOption == LIMIT_OPTION_COUNT;
}

/* Return true if a sub-select, planned as subroot, returns at most one row. */
static bool
subquery_has_one_row(PlannerInfo *subroot)
{
	Query *query = subroot->parse;

	if (query->commandType != CMD_SELECT)
		return false;
	if (is_limited(query))
		return true;
	if (query->hasTargetSRFs || query->setOperations != NULL)
		return false;
	if ((query->hasAggs || query->havingQual != NULL) && query->groupClause == NIL &&
		query->groupingSets == NIL)
		return true;
	return query->groupingSets == NIL && subroot->simple_rel_array != NULL &&
		   all_have_one_row(subroot, subroot->all_baserels);
}

/*
 * Return the PlannerInfo of a common table expression. Return NULL if it has
 * not been planned yet or is recursive.
 */
static PlannerInfo *
cte_root(PlannerInfo *root, const RangeTblEntry *rte)
{
	ListCell *cell;
	int       i = 0;

	if (rte->self_reference)
		return NULL;
	for (Index level = rte->ctelevelsup; level > 0 && root != NULL; level--)
		root = root->parent_root;
	if (root == NULL)
		return NULL;
	foreach (cell, root->parse->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, cell);

		if (strcmp(cte->ctename, rte->ctename) == 0)
		{
			int plan_id =
				i < list_length(root->cte_plan_ids) ? list_nth_int(root->cte_plan_ids, i) : 0;

			return plan_id > 0 && !cte->cterecursive
					   ? list_nth_node(PlannerInfo, root->glob->subroots, plan_id - 1)
					   : NULL;
		}
		i++;
	}
	return NULL;
}

static bool
function_has_one_row(const RangeTblEntry *rte)
{
	return list_length(rte->functions) == 1 &&
		   !expression_returns_set(linitial_node(RangeTblFunction, rte->functions)->funcexpr);
}

bool
one_row_is_certain(PlannerInfo *root, RelOptInfo *rel)
{
	RangeTblEntry *rte;
	PlannerInfo   *subroot;

	check_stack_depth();
	if (IS_JOIN_REL(rel))
		return all_have_one_row(root, rel->relids);
	if (rel->reloptkind != RELOPT_BASEREL)
		return false;
	rte = planner_rt_fetch(rel->relid, root);
	switch (rte->rtekind)
	{
		case RTE_RELATION:
			return !rte->inh && compat_has_unique_index(root, rel);
		case RTE_RESULT:
			return true;
		case RTE_VALUES:
			return list_length(rte->values_lists) == 1;
		case RTE_FUNCTION:
			return function_has_one_row(rte);
		case RTE_SUBQUERY:
			return rel->subroot != NULL && subquery_has_one_row(rel->subroot);
		case RTE_CTE:
			subroot = cte_root(root, rte);
			return subroot != NULL && subquery_has_one_row(subroot);
		default:
			return false;
	}
}
