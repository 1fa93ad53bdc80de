/*-------------------------------------------------------------------------
 *
 * order_match.c
 *	  Match a path key to an ordering operator of an index.
 *
 * These two orders are the same:
 *
 *	score(doc, query) DESC			where the score is not a distance
 *	distance(doc, query) ASC		called as a function or as the operator
 *
 * An expression that rises or falls with one of these (score_order.c) also has
 * that order, whatever its type, provided that it sorts by its type's default
 * order.
 *
 * The strategy of the clause tells whether NULL documents come first or last.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "access/stratnum.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "planner/order_match.h"
#include "planner/score_order.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* Return true if values of the type are sorted by this operator family by default. */
static bool
is_default_order(Oid family, Oid type)
{
	return lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY)->btree_opf == family;
}

/*
 * Return true if the query examines runs of equal keys. A scan completes only
 * runs of equal scores, and rounding the key makes runs longer.
 */
static bool
runs_matter(PlannerInfo *root)
{
	return list_length(root->query_pathkeys) > 1 || root->parse->hasWindowFuncs ||
		   root->parse->limitOption == LIMIT_OPTION_WITH_TIES;
}

static OpExpr *
match_member(PlannerInfo *root, IndexOptInfo *index, PathKey *pathkey, Expr *expr)
{
	Oid        type = index->opcintype[0];
	ScoreOrder order;
	Oid        operator;
	bool       nearest_is_largest;

	if (!score_order_match(root, index, expr, &order) ||
		!is_default_order(pathkey->pk_opfamily, exprType((Node *) expr)))
		return NULL;
	if (order.may_merge && runs_matter(root))
		return NULL;
	nearest_is_largest = (order.call.kind == CALL_OF_SCORE) != order.falls;
	if (compat_pathkey_descends(pathkey) != nearest_is_largest)
		return NULL;

	operator=
		get_opfamily_member(index->opfamily[0], type, type,
							pathkey->pk_nulls_first ? STRATEGY_NULLS_FIRST : STRATEGY_NULLS_LAST);
	if (!OidIsValid(operator))
		return NULL;
	/*
	 * Core looks for the comparison of the clause's values in the family of
	 * the key, so the clause must appear to have the key's type. It is never
	 * evaluated: our scans never ask for a recheck of the order.
	 */
	return (OpExpr *) make_opclause(operator, exprType((Node *) expr), false,
									(Expr *) order.call.doc, (Expr *) order.call.query, InvalidOid,
									InvalidOid);
}

/*
 * Return true if the clause refers to a value that is computed below an outer
 * join. Such a value cannot always be passed to the inner side of a nested
 * loop. Core checks this for its own paths only.
 */
static bool
has_placeholders(OpExpr *clause)
{
	List *vars = pull_var_clause((Node *) clause, PVC_RECURSE_AGGREGATES | PVC_RECURSE_WINDOWFUNCS |
													  PVC_INCLUDE_PLACEHOLDERS);
	ListCell *cell;

	foreach (cell, vars)
	{
		if (IsA(lfirst(cell), PlaceHolderVar))
			return true;
	}
	return false;
}

OpExpr *
order_match_pathkey(PlannerInfo *root, IndexOptInfo *index, PathKey *pathkey, Relids outer,
					int left_join)
{
	Relids relids = bms_union(index->rel->relids, outer);
	EquivalenceClass *class = pathkey->pk_eclass;
	CompatMemberIterator members;
	EquivalenceMember   *member;

	if (class->ec_has_volatile)
		return NULL;
	if (left_join != 0)
		relids = bms_add_member(relids, left_join);

	/*
	 * Equality with other expressions may have added members besides the
	 * expression in the query. Any of them will do.
	 */
	compat_members_begin(&members, class, index->rel->relids);
	while ((member = compat_members_next(&members, class)) != NULL)
	{
		OpExpr *clause;

		if (!bms_is_subset(member->em_relids, relids) ||
			!bms_overlap(member->em_relids, index->rel->relids))
			continue;
		clause = match_member(root, index, pathkey, compat_below_join(member->em_expr, left_join));
		if (clause != NULL && (outer == NULL || !has_placeholders(clause)))
			return clause;
	}
	return NULL;
}
