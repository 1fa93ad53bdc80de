/*-------------------------------------------------------------------------
 *
 * threshold_share.c
 *	  Estimate the fraction of a table's rows that pass the thresholds of a
 *	  query.
 *
 * For a comparison of numbers without statistics, core assumes that a third of
 * the rows passes. WHERE maxsim(doc, query) > bound ORDER BY id LIMIT 10 would
 * then walk along the primary key and score thousands of documents until ten
 * pass. If query and bound are known, the index scores a sample of its
 * documents by their sketches. Otherwise, a hundredth of the rows is assumed
 * to pass, as for the index's own condition.
 *
 * The estimate is stored in the clause, as core does. The row estimates that
 * follow from it and the table's paths are then computed again. If core has
 * statistics for a clause, extended ones or those of an expression index, its
 * estimate is kept.
 *
 * An estimate reveals something about rows that the user may not be allowed to
 * see. Without SELECT on the whole table, or under row-level security, no
 * sample is taken.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "access/genam.h"
#include "multivector/threshold.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "planner/cost.h"
#include "planner/order_match.h"
#include "planner/threshold_match.h"
#include "planner/score_call.h"
#include "planner/threshold_share.h"
#include "search/score_sample.h"
#include "utils/selfuncs.h"

/*
 * Fraction of rows assumed to pass an unknown threshold: DEFAULT_MATCHING_SEL,
 * as for the index's own condition.
 */
#define SHARE_UNKNOWN DEFAULT_MATCHING_SEL

/*
 * Estimate a threshold clause from a sample of the index. Return SHARE_UNKNOWN
 * if no sample can be scored.
 */
static Selectivity
sampled_share(PlannerInfo *root, IndexOptInfo *info, OpExpr *clause)
{
	Node          *value = estimate_expression_value(root, lsecond(clause->args));
	ScoreThreshold threshold;
	Relation       index;
	double         share;

	if (!IsA(value, Const) || ((Const *) value)->constisnull ||
		!threshold_from_datum(((Const *) value)->constvalue, &threshold))
		return SHARE_UNKNOWN;
	index = index_open(info->indexoid, NoLock);
	share = score_sample_share(index, threshold.query,
							   threshold_score(&threshold, colbert_metric(index)));
	index_close(index, NoLock);
	return share > 0 ? share : SHARE_UNKNOWN;
}

/*
 * Return true if the index also returns the first rows of the query in the
 * order of the threshold's score. The search then uses both, whatever the
 * fraction.
 */
static bool
comes_in_order(PlannerInfo *root, IndexOptInfo *index, Node *query)
{
	OpExpr *order_by;

	if (root->tuple_fraction <= 0 || root->query_pathkeys == NIL)
		return false;
	order_by = order_match_pathkey(root, index, linitial(root->query_pathkeys), NULL, 0);
	return order_by != NULL && score_call_same_query(root, lsecond(order_by->args), query);
}

/*
 * Return true if the statement may learn from a sample of the table's index.
 * Called only for thresholds, because it reads the catalog.
 */
static bool
may_sample(const RangeTblEntry *table, const IndexOptInfo *index)
{
	return enable_indexscan && !index->hypothetical && colbert_table_is_visible(table->relid);
}

/*
 * Estimate a threshold clause for which core has used its default. Return true
 * if the estimate was set.
 */
static bool
estimate(PlannerInfo *root, IndexOptInfo *index, RestrictInfo *restriction,
		 const RangeTblEntry *table)
{
	IndexClause *clause;
	Node        *query;

	if (restriction->norm_selec != DEFAULT_INEQ_SEL)
		return false;
	clause = threshold_match_restriction(root, index, restriction, &query);
	if (clause == NULL || comes_in_order(root, index, query))
		return false;
	restriction->norm_selec =
		may_sample(table, index)
			? sampled_share(root, index,
							(OpExpr *) linitial_node(RestrictInfo, clause->indexquals)->clause)
			: SHARE_UNKNOWN;
	return true;
}

/* Return true if other extensions have added paths. */
static bool
has_foreign_paths(RelOptInfo *rel)
{
	ListCell *cell;

	foreach (cell, rel->pathlist)
	{
		if (IsA(lfirst(cell), CustomPath))
			return true;
	}
	return false;
}

/*
 * Return true for WHERE CURRENT OF. Only core's single path can execute it,
 * although a policy may add a threshold to it.
 */
static bool
is_current_of(RelOptInfo *rel)
{
	ListCell *cell;

	foreach (cell, rel->baserestrictinfo)
	{
		if (IsA(lfirst_node(RestrictInfo, cell)->clause, CurrentOfExpr))
			return true;
	}
	return false;
}

/* Rebuild the paths of a table as core does in set_plain_rel_pathlist. */
static void
add_core_paths(PlannerInfo *root, RelOptInfo *rel)
{
	rel->pathlist = NIL;
	rel->partial_pathlist = NIL;
	rel->ppilist = NIL;
	add_path(rel, create_seqscan_path(root, rel, rel->lateral_relids, 0));
	if (rel->consider_parallel && rel->lateral_relids == NULL)
	{
		int workers = compute_parallel_worker(rel, rel->pages, -1, max_parallel_workers_per_gather);

		if (workers > 0)
			add_partial_path(rel, create_seqscan_path(root, rel, NULL, workers));
	}
	create_index_paths(root, rel);
	create_tidscan_paths(root, rel);
}

void
threshold_share_replan(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *table)
{
	bool      changed = false;
	ListCell *index_cell;
	ListCell *cell;

	if (rel->baserestrictinfo == NIL || has_foreign_paths(rel) || is_current_of(rel))
		return;
	foreach (index_cell, rel->indexlist)
	{
		IndexOptInfo *index = lfirst_node(IndexOptInfo, index_cell);

		if (index->amcostestimate != colbert_costestimate)
			continue;
		foreach (cell, rel->baserestrictinfo)
			changed |= estimate(root, index, lfirst_node(RestrictInfo, cell), table);
	}
	if (!changed)
		return;
	set_baserel_size_estimates(root, rel);
	add_core_paths(root, rel);
}
