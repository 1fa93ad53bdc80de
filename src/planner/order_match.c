/*-------------------------------------------------------------------------
 *
 * order_match.c
 *	  Does an index give the order of a path key, and by which operator?
 *
 * Both orders below are the same one.
 *
 *	score(doc, query) DESC			where the score is no distance itself
 *	distance(doc, query) ASC		called as a function or as the operator
 *
 * So is that of an expression which rises or falls with one of these
 * (score_order.c), whatever its type, as long as it sorts by the type's own
 * order.
 *
 * Where NULL documents come is told by the strategy of the clause.
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
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* Is this the family by which values of the type are compared unless a statement says otherwise? */
static bool
is_default_order(Oid family, Oid type)
{
	return lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY)->btree_opf == family;
}

/*
 * Does the query look at runs of equal keys? A scan completes runs of equal
 * scores; a key that is rounded has longer ones.
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
	 * the key, so the clause must seem to have the key's type. Nobody
	 * evaluates it: our scans never ask for a recheck of the order.
	 */
	return (OpExpr *) make_opclause(operator, exprType((Node *) expr), false,
									(Expr *) order.call.doc, (Expr *) order.call.query, InvalidOid,
									InvalidOid);
}

/*
 * A value that is computed below an outer join cannot be handed to the inner
 * side of a nested loop in all cases: core checks this for its own paths only.
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
order_match_pathkey(PlannerInfo *root, IndexOptInfo *index, PathKey *pathkey, Relids outer)
{
	Relids relids = bms_union(index->rel->relids, outer);
	EquivalenceClass *class = pathkey->pk_eclass;
	CompatMemberIterator members;
	EquivalenceMember   *member;

	if (class->ec_has_volatile)
		return NULL;

	/* Equality with another expression may have put others beside the one that the query has; any will do. */
	compat_members_begin(&members, class, index->rel->relids);
	while ((member = compat_members_next(&members, class)) != NULL)
	{
		OpExpr *clause;

		if (!bms_is_subset(member->em_relids, relids) ||
			!bms_overlap(member->em_relids, index->rel->relids))
			continue;
		clause = match_member(root, index, pathkey, member->em_expr);
		if (clause != NULL && (outer == NULL || !has_placeholders(clause)))
			return clause;
	}
	return NULL;
}
