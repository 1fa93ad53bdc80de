/*-------------------------------------------------------------------------
 *
 * constant.h
 *	  Whether an argument of a function is a constant of the query.
 *
 * get_fn_expr_arg_stable says yes for parameters of the query too. That is not
 * enough to keep something in fn_extra: PL/pgSQL evaluates the expressions of
 * a function again and again with one FmgrInfo, and its variables are such
 * parameters.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_CONSTANT_H
#define COLBERT_CONSTANT_H

#include "postgres.h"

#include "fmgr.h"
#include "nodes/primnodes.h"

static inline bool
argument_is_constant(const FmgrInfo *function, int argument)
{
	const FuncExpr *call = (const FuncExpr *) function->fn_expr;

	return call != NULL && IsA(call, FuncExpr) && argument < list_length(call->args) &&
		   IsA(list_nth(call->args, argument), Const);
}

#endif /* COLBERT_CONSTANT_H */
