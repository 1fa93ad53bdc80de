/*-------------------------------------------------------------------------
 *
 * swapped_call.c
 *	  Say that a score has its arguments in the wrong order.
 *
 * maxsim(query, doc) is a score too, of another meaning: it sums over the
 * tokens of the document. No index gives its order. A person who asks for the
 * best of it with a LIMIT wants the other score, so the planner says so, once
 * per session and index; of the partitions of a table, for one of them.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/paths.h"
#include "parser/parsetree.h"
#include "planner/score_call.h"
#include "planner/swapped_call.h"
#include "utils/lsyscache.h"

/* What the session was told about last: indexes, and tables that those of an index are parts of. */
#define MOST_TOLD 64
static Oid	told[MOST_TOLD];
static uint32 ntold = 0;

/* The partitioned table whose partition the index is on, or else the index. */
static Oid
subject(PlannerInfo *root, const IndexOptInfo *index)
{
	int			parent = bms_next_member(index->rel->top_parent_relids, -1);
	Oid			table = parent < 0 ? InvalidOid : planner_rt_fetch(parent, root)->relid;

	return OidIsValid(table) ? table : index->indexoid;
}

static bool
was_told(Oid about)
{
	for (int i = 0; i < MOST_TOLD; i++)
		if (told[i] == about)
			return true;
	return false;
}

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

	if (class->ec_has_volatile || (root->limit_tuples < 0 && root->tuple_fraction <= 0))
		return;
	compat_members_begin(&members, class, index->rel->relids);
	while ((member = compat_members_next(&members, class)) != NULL)
	{
		if (bms_equal(member->em_relids, index->rel->relids) && is_swapped(root, index, pathkey, member->em_expr))
		{
			Oid			about = subject(root, index);

			if (was_told(about))
				return;
			told[ntold++ % MOST_TOLD] = about;
			tell(index, member->em_expr);
			return;
		}
	}
}
