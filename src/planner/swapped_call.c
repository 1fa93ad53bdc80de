/*-------------------------------------------------------------------------
 *
 * swapped_call.c
 *	  Report a score whose arguments are in the wrong order.
 *
 * maxsim(query, doc) is also a score, but with another meaning: it sums over
 * the tokens of the document. No index provides its order. A user who asks for
 * the best rows by it with a LIMIT wants the other score, so the planner
 * raises a NOTICE. It does so once per session and index, and once for all
 * partitions of a table.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/paths.h"
#include "parser/parsetree.h"
#include "planner/score_call.h"
#include "planner/score_order.h"
#include "planner/swapped_call.h"
#include "utils/lsyscache.h"

/* Indexes and partitioned tables that were last reported in this session. */
#define MAX_TOLD 64
static Oid    told[MAX_TOLD];
static uint32 ntold = 0;

/* Return the partitioned table if the index is on one of its partitions, else the index. */
static Oid
subject(PlannerInfo *root, const IndexOptInfo *index)
{
	int parent = bms_next_member(index->rel->top_parent_relids, -1);
	Oid table = parent < 0 ? InvalidOid : planner_rt_fetch(parent, root)->relid;

	return OidIsValid(table) ? table : index->indexoid;
}

static bool
was_told(Oid about)
{
	for (int i = 0; i < MAX_TOLD; i++)
		if (told[i] == about)
			return true;
	return false;
}

/*
 * Return a copy of the call with these arguments; second is NULL if it has
 * only one. The arguments themselves, which may be large, are not copied.
 */
static Expr *
call_with(const Expr *call, Node *first, Node *second)
{
	List *args = second == NULL ? list_make1(first) : list_make2(first, second);

	if (IsA(call, FuncExpr))
	{
		FuncExpr *changed = makeNode(FuncExpr);

		*changed = *(const FuncExpr *) call;
		changed->args = args;
		return (Expr *) changed;
	}
	else
	{
		OpExpr *changed = makeNode(OpExpr);

		Assert(IsA(call, OpExpr));
		*changed = *(const OpExpr *) call;
		changed->args = args;
		return (Expr *) changed;
	}
}

/*
 * Return a copy of an expression of a score in which the score's arguments are
 * exchanged, or NULL if it contains no call of two arguments. Set *call to the
 * score in the original expression.
 */
static Expr *
exchange_arguments(PlannerInfo *root, IndexOptInfo *index, Expr *expr, Expr **call)
{
	ScoreWrapper wrapper;
	List        *args;

	check_stack_depth();
	if (score_order_unwrap(root, index, expr, &wrapper))
	{
		Node *inner = (Node *) exchange_arguments(root, index, wrapper.inner, call);

		if (inner == NULL)
			return NULL;
		return wrapper.score_first ? call_with(expr, inner, wrapper.other)
								   : call_with(expr, wrapper.other, inner);
	}
	args = IsA(expr, FuncExpr) ? ((FuncExpr *) expr)->args
		   : IsA(expr, OpExpr) ? ((OpExpr *) expr)->args
							   : NIL;
	if (list_length(args) != 2)
		return NULL;
	*call = expr;
	return call_with(expr, lsecond(args), linitial(args));
}

/*
 * Return true if the index would provide the order of a path key's member with
 * the arguments of its score exchanged. Set *call to that score.
 */
static bool
is_swapped(PlannerInfo *root, IndexOptInfo *index, PathKey *pathkey, Expr *expr, Expr **call)
{
	Expr      *exchanged = exchange_arguments(root, index, expr, call);
	ScoreOrder order;

	return exchanged != NULL && score_order_match(root, index, exchanged, &order) &&
		   compat_pathkey_descends(pathkey) == ((order.call.kind == CALL_OF_SCORE) != order.falls);
}

static void
tell(IndexOptInfo *index, Expr *expr)
{
	bool  function = IsA(expr, FuncExpr);
	char *name =
		function ? get_func_name(((FuncExpr *) expr)->funcid) : get_opname(((OpExpr *) expr)->opno);

	ereport(
		NOTICE,
		(errmsg("index \"%s\" cannot be used: the document is the second argument of %s",
				get_rel_name(index->indexoid), name),
		 errdetail(
			 "The score sums over the tokens of its second argument, which should be the query."),
		 function ? errhint("Write %s(document, query).", name)
				  : errhint("Write document %s query.", name)));
}

void
swapped_call_tell(PlannerInfo *root, IndexOptInfo *index)
{
	PathKey *pathkey = linitial_node(PathKey, root->query_pathkeys);
	EquivalenceClass *class = pathkey->pk_eclass;
	CompatMemberIterator members;
	EquivalenceMember   *member;

	if (class->ec_has_volatile || (root->limit_tuples < 0 && root->tuple_fraction <= 0))
		return;
	compat_members_begin(&members, class, index->rel->relids);
	while ((member = compat_members_next(&members, class)) != NULL)
	{
		Expr *call;

		if (bms_equal(member->em_relids, index->rel->relids) &&
			is_swapped(root, index, pathkey, member->em_expr, &call))
		{
			Oid about = subject(root, index);

			if (was_told(about))
				return;
			told[ntold++ % MAX_TOLD] = about;
			tell(index, call);
			return;
		}
	}
}
