/*-------------------------------------------------------------------------
 *
 * build_dims.c
 *	  The dims of an indexed column or expression, and a hint where they are
 *	  not declared.
 *
 * Only a column's declaration and a cast carry dims. The result of any other
 * function or operator, and with it a column of CREATE TABLE AS or of a
 * materialized view, has none.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <ctype.h>

#include "access/build.h"
#include "access/table.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "multivector/multivector.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"

/* Rows that are looked at for a document. */
#define MOST_ROWS 1000

/* Dims that an example names where the table has no document. */
#define EXAMPLE_DIMS 128

/* The dims of the first document; 0 if the first rows have none. */
static int
dims_of_first_document(Relation heap, Relation index)
{
	IndexInfo  *info = BuildIndexInfo(index);
	EState	   *estate = CreateExecutorState();
	TupleTableSlot *slot = table_slot_create(heap, NULL);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(heap, snapshot, 0, NULL);
	MultiVector header = {0};

	GetPerTupleExprContext(estate)->ecxt_scantuple = slot;
	for (int row = 0; row < MOST_ROWS && header.dim == 0 && table_scan_getnextslot(scan, ForwardScanDirection, slot); row++)
	{
		Datum		values[INDEX_MAX_KEYS];
		bool		isnull[INDEX_MAX_KEYS];

		CHECK_FOR_INTERRUPTS();
		FormIndexDatum(info, slot, estate, values, isnull);
		if (!isnull[0])
			multivector_peek(values[0], &header);
	}
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	FreeExecutorState(estate);
	return header.dim;
}

/* The indexed expression on one line. */
static char *
indexed_text(Relation index)
{
	char	   *text = pg_get_indexdef_columns(RelationGetRelid(index), true);
	char	   *to = text;

	for (char *from = text; *from != '\0'; from++)
	{
		if (!isspace((unsigned char) *from))
			*to++ = *from;
		else if (to > text && to[-1] != ' ' && to[-1] != '(')
			*to++ = ' ';
	}
	*to = '\0';
	return text;
}

compat_noreturn
static void
no_dims_error(Relation index)
{
	Relation	heap = table_open(index->rd_index->indrelid, NoLock);
	int			dims = dims_of_first_document(heap, index);
	char	   *indexed = indexed_text(index);
	AttrNumber	attribute = index->rd_index->indkey.values[0];

	if (dims == 0)
		dims = EXAMPLE_DIMS;
	if (attribute == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("expression %s does not have dimensions", indexed),
				 errdetail("The result of a function or an operator has none, whatever its arguments have."),
				 errhint("Index a cast: ((%s::multivector(%d))).", indexed, dims)));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("column \"%s\" does not have dimensions", get_attname(RelationGetRelid(heap), attribute, false)),
			 heap->rd_rel->relkind == RELKIND_MATVIEW ?
			 errhint("Cast it in the query of the materialized view, %s::multivector(%d) AS %s, or index a cast: ((%s::multivector(%d))).",
					 indexed, dims, indexed, indexed, dims) :
			 errhint("Declare them, ALTER TABLE %s ALTER %s TYPE multivector(%d), or index a cast: ((%s::multivector(%d))).",
					 quote_identifier(RelationGetRelationName(heap)), indexed, dims, indexed, dims)));
}

uint32
build_declared_dims(Relation index)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(index), 0);
	int32		typmod = att->atttypmod;

	if (typmod < 0)
		(void) getBaseTypeAndTypmod(att->atttypid, &typmod);
	if (MULTIVECTOR_TYPMOD_DIM(typmod) == 0)
		no_dims_error(index);
	return MULTIVECTOR_TYPMOD_DIM(typmod);
}
