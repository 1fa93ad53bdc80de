/*-------------------------------------------------------------------------
 *
 * swapped_call.c
 *	  Say that a score has its arguments in the wrong order.
 *
 * maxsim(query, doc) is a score too, of another meaning: it sums over the
 * tokens of the document. No index gives its order. A person who asks for the
 * best of it with a LIMIT wants the other score, so the planner says so, once
 * per session and index.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/paths.h"
#include "planner/score_call.h"
#include "planner/swapped_call.h"
#include "utils/lsyscache.h"

/* The index that the session was told about last. */
static Oid	last_told = InvalidOid;

/* Return the expression of a score with its arguments exchanged; NULL if it is no call of two arguments. */
static Expr *
exchange_arguments(Expr *expr)
{
	List	   *args = IsA(expr, FuncExpr) ? ((FuncExpr *) expr)->args : IsA(expr, OpExpr) ? ((OpExpr *) expr)->args : NIL;
	Expr	   *exchanged;

	if (list_length(args) != 2)
		return NULL;
	args = list_make2(lsecond(args), linitial(args));
	exchanged = IsA(expr, FuncExpr) ? (Expr *) makeNode(FuncExpr) : (Expr *) makeNode(OpExpr);
	if (IsA(expr, FuncExpr))
	{
		memcpy(exchanged, expr, sizeof(FuncExpr));
		((FuncExpr *) exchanged)->args = args;
	}
	else
	{
		memcpy(exchanged, expr, sizeof(OpExpr));
		((OpExpr *) exchanged)->args = args;
	}
	return exchanged;
}

/* Is a member of the path key a score of the index with its arguments exchanged, that would be served otherwise? */
static bool
is_swapped(PlannerInfo *root, IndexOptInfo *index, PathKey *pathkey, Expr *expr)
{
	Expr	   *exchanged = exchange_arguments(expr);
	ScoreCall	call;

	return exchanged != NULL && score_call_match(root, index, exchanged, &call) &&
		compat_pathkey_descends(pathkey) == (call.kind == CALL_OF_SCORE);
}

static void
tell(IndexOptInfo *index, Expr *expr)
{
	bool		function = IsA(expr, FuncExpr);
	char	   *name = function ? get_func_name(((FuncExpr *) expr)->funcid) : get_opname(((OpExpr *) expr)->opno);

	last_told = index->indexoid;
	ereport(NOTICE,
			(errmsg("index \"%s\" cannot be used: the document is the second argument of %s", get_rel_name(index->indexoid), name),
			 errdetail("The score sums over the tokens of its second argument, which should be the query."),
			 function ? errhint("Write %s(document, query).", name) : errhint("Write document %s query.", name)));
}

void
swapped_call_tell(PlannerInfo *root, IndexOptInfo *index)
{
	PathKey    *pathkey = linitial_node(PathKey, root->query_pathkeys);
	EquivalenceClass *class = pathkey->pk_eclass;
	CompatMemberIterator members;
	EquivalenceMember *member;

	if (index->indexoid == last_told || class->ec_has_volatile || (root->limit_tuples < 0 && root->tuple_fraction <= 0))
		return;
	compat_members_begin(&members, class, index->rel->relids);
	while ((member = compat_members_next(&members, class)) != NULL)
	{
		if (bms_equal(member->em_relids, index->rel->relids) && is_swapped(root, index, pathkey, member->em_expr))
		{
			tell(index, member->em_expr);
			return;
		}
	}
}
