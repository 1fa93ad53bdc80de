/*-------------------------------------------------------------------------
 *
 * score_cost.c
 *	  Estimate the cost of a score for the planner.
 *
 * The functions' declared COST is for documents that are stored out of line,
 * most of which is fetching them. A document stored in its row is scored in a
 * fortieth of that time or less. The statistics give the width of the column's
 * values in the row, which is 18 bytes for a value out of line.
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

/* A column whose average width is larger stores most of its values in line. */
#define MAX_POINTER 32

/*
 * Cost of a call in operators of about 10 ns, and document bytes scored per
 * operator. Measured with queries of 8 tokens.
 */
#define CALL_OPERATORS    20
#define BYTES_AN_OPERATOR 20

PG_FUNCTION_INFO_V1(multivector_score_support);

/* Return the bytes of the first argument in its row, or 0 unless it is a column with statistics. */
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
