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
 * Where NULL documents come is told by the strategy of the clause.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "access/stratnum.h"
#include "nodes/makefuncs.h"
#include "optimizer/paths.h"
#include "planner/order_match.h"
#include "planner/score_call.h"
#include "utils/lsyscache.h"

/* The operator of a strategy whose order is that of the sort family; InvalidOid where there is none. */
static Oid
ordering_operator(IndexOptInfo *index, int strategy, Oid sort_family)
{
	Oid			type = index->opcintype[0];
	Oid			operator = get_opfamily_member(index->opfamily[0], type, type, strategy);

	if (!OidIsValid(operator) || get_op_opfamily_sortfamily(operator, index->opfamily[0]) != sort_family)
		return InvalidOid;
	return operator;
}

static OpExpr *
match_member(PlannerInfo *root, IndexOptInfo *index, PathKey *pathkey, Expr *expr)
{
	ScoreCall	call;
	Oid			operator;

	if (!OidIsValid(ordering_operator(index, STRATEGY_NULLS_LAST, pathkey->pk_opfamily)) ||
		!score_call_match(root, index, expr, &call) ||
		compat_pathkey_descends(pathkey) != (call.kind == CALL_OF_SCORE))
		return NULL;

	operator = ordering_operator(index, pathkey->pk_nulls_first ? STRATEGY_NULLS_FIRST : STRATEGY_NULLS_LAST,
								 pathkey->pk_opfamily);
	if (!OidIsValid(operator))
		return NULL;
	return (OpExpr *) make_opclause(operator, get_op_rettype(operator), false, (Expr *) call.doc, (Expr *) call.query,
									InvalidOid, InvalidOid);
}

OpExpr *
order_match_pathkey(PlannerInfo *root, IndexOptInfo *index, PathKey *pathkey)
{
	EquivalenceClass *class = pathkey->pk_eclass;
	CompatMemberIterator members;
	EquivalenceMember *member;

	if (class->ec_has_volatile)
		return NULL;

	/* Equality with another expression may have put others beside the one that the query has; any will do. */
	compat_members_begin(&members, class, index->rel->relids);
	while ((member = compat_members_next(&members, class)) != NULL)
	{
		OpExpr	   *clause;

		if (!bms_equal(member->em_relids, index->rel->relids))
			continue;
		clause = match_member(root, index, pathkey, member->em_expr);
		if (clause != NULL)
			return clause;
	}
	return NULL;
}
