/*-------------------------------------------------------------------------
 *
 * score_cost.c
 *	  Estimate the cost of a score for the planner.
 *
 * The functions' declared COST is for documents that are stored out of line,
 * most of which is fetching them. A document stored in its row is scored in a
 * fortieth of that time or less. ANALYZE stores the share of the documents out
 * of line, and the average width of a document in the row, which is 18 bytes
 * for one out of line.
 *
 * A foreign table's scores count as one operator, so that a foreign data
 * wrapper compares plans by the rows that they transfer. postgres_fdw adds a
 * fifth to the cost of a sorted scan, scores included, and takes off a
 * twentieth for a LIMIT that it sends. From five operators on it would
 * therefore not send the LIMIT.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "multivector/statistics.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* Bytes in the row of a document stored out of line, and its minimum bytes elsewhere. */
#define POINTER_BYTES      18
#define MIN_EXTERNAL_BYTES 2000

/*
 * Cost of a call in operators of about 10 ns, and document bytes scored per
 * operator. Measured with queries of 8 tokens.
 */
#define CALL_OPERATORS    20
#define BYTES_AN_OPERATOR 20

/* Cost of the score of a document in a foreign table, in operators. */
#define FOREIGN_OPERATORS 1

/* Where the documents of a column are stored. */
typedef struct DocumentPlace
{
	double width;          /* average bytes in the row */
	double external_share; /* share stored out of line */
} DocumentPlace;

PG_FUNCTION_INFO_V1(multivector_score_support);

/* Return the table of the column that is the first argument of a call, or NULL. */
static RangeTblEntry *
document_table(PlannerInfo *root, Node *call, Var **column)
{
	List *args = IsA(call, FuncExpr) ? ((FuncExpr *) call)->args
				 : IsA(call, OpExpr) ? ((OpExpr *) call)->args
									 : NIL;
	Node *document = args != NIL ? strip_implicit_coercions(linitial(args)) : NULL;

	*column = (Var *) document;
	if (root == NULL || document == NULL || !IsA(document, Var) || (*column)->varlevelsup != 0 ||
		(*column)->varno >= root->simple_rel_array_size)
		return NULL;
	return planner_rt_fetch((*column)->varno, root);
}

/*
 * Return an upper bound for the share of documents out of line, by the size of
 * the TOAST relation. Statistics without our slot come from pg_upgrade.
 */
static double
bound_external_share(Oid relid, double rows)
{
	Relation table = table_open(relid, NoLock); /* the planner holds a lock */
	double   bytes = 0;

	if (OidIsValid(table->rd_rel->reltoastrelid))
	{
		Relation toast = table_open(table->rd_rel->reltoastrelid, AccessShareLock);

		bytes = (double) RelationGetNumberOfBlocks(toast) * BLCKSZ;
		table_close(toast, AccessShareLock);
	}
	table_close(table, NoLock);
	return Min(1.0, bytes / (Max(rows, 1.0) * MIN_EXTERNAL_BYTES));
}

/* Read where the documents of a column are. Returns false if it has no statistics. */
static bool
read_place(PlannerInfo *root, const Var *column, const RangeTblEntry *table, DocumentPlace *place)
{
	RelOptInfo  *rel = root->simple_rel_array[column->varno];
	HeapTuple    tuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(table->relid),
										 Int16GetDatum(column->varattno), BoolGetDatum(table->inh));
	AttStatsSlot slot;

	if (!HeapTupleIsValid(tuple))
		return false;
	place->width = ((Form_pg_statistic) GETSTRUCT(tuple))->stawidth;
	if (get_attstatsslot(&slot, tuple, STATISTIC_KIND_EXTERNAL_SHARE, InvalidOid,
						 ATTSTATSSLOT_NUMBERS))
	{
		place->external_share = slot.nnumbers == 1 ? slot.numbers[0] : 1.0;
		free_attstatsslot(&slot);
	}
	else if (place->width <= POINTER_BYTES || rel == NULL || table->inh)
		place->external_share = 1.0;
	else
		place->external_share = bound_external_share(table->relid, rel->tuples);
	ReleaseSysCache(tuple);
	return true;
}

/* Return the COST of a function. */
static double
declared_cost(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	double    cost;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	cost = ((Form_pg_proc) GETSTRUCT(tuple))->procost;
	ReleaseSysCache(tuple);
	return cost;
}

/* Return the operators that a score costs, of documents of which some are out of line. */
static double
operators_per_score(const DocumentPlace *place, double declared)
{
	double external = place->external_share;
	double in_line = Max(0.0, place->width - external * POINTER_BYTES);

	return external * declared + (1.0 - external) * CALL_OPERATORS + in_line / BYTES_AN_OPERATOR;
}

Datum
multivector_score_support(PG_FUNCTION_ARGS)
{
	Node               *asked = (Node *) PG_GETARG_POINTER(0);
	SupportRequestCost *cost = (SupportRequestCost *) asked;
	RangeTblEntry      *table;
	Var                *column;
	DocumentPlace       place;
	double              operators;

	if (!IsA(asked, SupportRequestCost) || cost->node == NULL)
		PG_RETURN_POINTER(NULL);
	table = document_table(cost->root, cost->node, &column);
	if (table == NULL || table->rtekind != RTE_RELATION)
		PG_RETURN_POINTER(NULL);
	if (table->relkind == RELKIND_FOREIGN_TABLE)
		operators = FOREIGN_OPERATORS;
	else if (read_place(cost->root, column, table, &place))
		operators = operators_per_score(&place, declared_cost(cost->funcid));
	else
		PG_RETURN_POINTER(NULL);
	cost->startup = 0;
	cost->per_tuple = operators * cpu_operator_cost;
	PG_RETURN_POINTER(cost);
}
