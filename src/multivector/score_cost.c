/*-------------------------------------------------------------------------
 *
 * score_cost.c
 *	  What a score costs, for the planner.
 *
 * The COST of the functions is that of documents out of line, whose fetching
 * is most of it. A document that is stored in its row is scored in a
 * fortieth of that time or less: the statistics tell how long the column's
 * values are in the row, 18 bytes where they are out of line.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

/* A column of longer values has most of them in line. */
#define MAX_POINTER 32

/* In operators of about 10 ns: of a call, and of 20 bytes of a document. Measured with queries of 8 tokens. */
#define CALL_OPERATORS    20
#define BYTES_AN_OPERATOR 20

PG_FUNCTION_INFO_V1(multivector_score_support);

/* The bytes of the first argument in its row, where it is a column with statistics; or 0. */
static int32
document_width(PlannerInfo *root, Node *call)
{
	List          *args = IsA(call, FuncExpr) ? ((FuncExpr *) call)->args
						  : IsA(call, OpExpr) ? ((OpExpr *) call)->args
											  : NIL;
	Node          *document = args != NIL ? strip_implicit_coercions(linitial(args)) : NULL;
	Var           *column = (Var *) document;
	RangeTblEntry *table;

	if (root == NULL || document == NULL || !IsA(document, Var) || column->varlevelsup != 0 ||
		column->varno >= root->simple_rel_array_size)
		return 0;
	table = planner_rt_fetch(column->varno, root);
	return table->rtekind == RTE_RELATION ? get_attavgwidth(table->relid, column->varattno) : 0;
}

Datum
multivector_score_support(PG_FUNCTION_ARGS)
{
	Node               *asked = (Node *) PG_GETARG_POINTER(0);
	SupportRequestCost *cost = (SupportRequestCost *) asked;
	int32               width;

	if (!IsA(asked, SupportRequestCost) || cost->node == NULL)
		PG_RETURN_POINTER(NULL);
	width = document_width(cost->root, cost->node);
	if (width <= MAX_POINTER)
		PG_RETURN_POINTER(NULL);
	cost->startup = 0;
	cost->per_tuple = (CALL_OPERATORS + width / BYTES_AN_OPERATOR) * cpu_operator_cost;
	PG_RETURN_POINTER(cost);
}
