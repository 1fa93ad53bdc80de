/*-------------------------------------------------------------------------
 *
 * build_dims.c
 *	  Find the declared dimensions of an indexed column or expression, and
 *	  raise an error with a useful hint if there are none.
 *
 * Only a column's declaration and a cast declare dimensions. The result of any
 * other function or operator has none. Neither has a column of CREATE TABLE AS
 * or of a materialized view that holds such a result.
 *
 * ALTER TABLE ... TYPE multivector removes the dimensions of a column without a
 * rewrite, and core keeps the column's indexes unchanged. Such an index could
 * never be built again: REINDEX, TRUNCATE, VACUUM FULL and restoring a dump
 * would fail. A hook on the creation of the index's new catalog entries
 * therefore rejects the ALTER TABLE.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <ctype.h>

#include "access/build.h"
#include "access/genam.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "multivector/multivector.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"

/* Maximum rows read in search of a document. */
#define MAX_ROWS 1000

/* Dimensions shown in hints if the table has no document. */
#define EXAMPLE_DIMS 128

/* Return the dimensions of the first document, or 0 if the first rows have none. */
static int
dims_of_first_document(Relation heap, Relation index)
{
	IndexInfo      *info = BuildIndexInfo(index);
	EState         *estate = CreateExecutorState();
	TupleTableSlot *slot = table_slot_create(heap, NULL);
	Snapshot        snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc   scan = compat_table_beginscan(heap, snapshot);
	MultiVector     header = {0};

	GetPerTupleExprContext(estate)->ecxt_scantuple = slot;
	for (int row = 0; row < MAX_ROWS && header.dim == 0 &&
					  table_scan_getnextslot(scan, ForwardScanDirection, slot);
		 row++)
	{
		Datum values[INDEX_MAX_KEYS];
		bool  isnull[INDEX_MAX_KEYS];

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

/* Return the indexed expression on one line. */
static char *
indexed_text(Relation index)
{
	char *text = pg_get_indexdef_columns(RelationGetRelid(index), true);
	char *to = text;

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

compat_noreturn static void
no_column_dims_error(Oid table, AttrNumber attribute, int dims)
{
	char       *column = get_attname(table, attribute, false);
	const char *quoted = quote_identifier(column);

	ereport(
		ERROR,
		(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
		 errmsg("column \"%s\" does not have dimensions", column),
		 get_rel_relkind(table) == RELKIND_MATVIEW
			 ? errhint(
				   "Cast it in the query of the materialized view, with %s::multivector(%d) AS %s, "
				   "or index a cast: ((%s::multivector(%d))).",
				   quoted, dims, quoted, quoted, dims)
			 : errhint("Declare them with ALTER TABLE %s ALTER %s TYPE multivector(%d), "
					   "or index a cast: ((%s::multivector(%d))).",
					   quote_identifier(get_rel_name(table)), quoted, dims, quoted, dims)));
}

compat_noreturn static void
no_dims_error(Relation index)
{
	Relation   heap = table_open(index->rd_index->indrelid, NoLock);
	int        dims = dims_of_first_document(heap, index);
	char      *indexed = indexed_text(index);
	AttrNumber attribute = index->rd_index->indkey.values[0];

	if (dims == 0)
		dims = EXAMPLE_DIMS;
	if (attribute == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
						errmsg("expression %s does not have dimensions", indexed),
						errdetail("The result of a function or operator has no dimensions, "
								  "even if its arguments have."),
						errhint("Index a cast: ((%s::multivector(%d))).", indexed, dims)));
	no_column_dims_error(RelationGetRelid(heap), attribute, dims);
}

/*
 * Return the dimensions that an index column declares, directly or through its
 * domain, or 0 if it declares none.
 */
static uint32
declared_dims(const FormData_pg_attribute *column)
{
	int32 typmod = column->atttypmod;

	if (typmod < 0)
		(void) getBaseTypeAndTypmod(column->atttypid, &typmod);
	return MULTIVECTOR_TYPMOD_DIM(typmod);
}

uint32
build_declared_dims(Relation index)
{
	uint32 dims = declared_dims(TupleDescAttr(RelationGetDescr(index), 0));

	if (dims == 0)
		no_dims_error(index);
	return dims;
}

/* Return true if this is an index of this extension. Its catalog entries may not be visible yet. */
static bool
is_our_index(Relation relation)
{
	char kind = relation->rd_rel->relkind;

	return (kind == RELKIND_INDEX || kind == RELKIND_PARTITIONED_INDEX) &&
		   GetIndexAmRoutineByAmId(relation->rd_rel->relam, false)->ambuild == colbert_build;
}

/*
 * Return the table of an index that is being created, and set its column. Other
 * catalog lookups do not find the new index yet.
 */
static Oid
table_of_new_index(Oid index, AttrNumber *attribute)
{
	Relation    catalog = table_open(IndexRelationId, AccessShareLock);
	Oid         table = InvalidOid;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple   tuple;

	ScanKeyInit(&key, Anum_pg_index_indexrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(index));
	scan = systable_beginscan(catalog, IndexRelidIndexId, true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		table = ((Form_pg_index) GETSTRUCT(tuple))->indrelid;
		*attribute = ((Form_pg_index) GETSTRUCT(tuple))->indkey.values[0];
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return table;
}

/*
 * Reject CREATE INDEX on a partitioned table that has no partition yet. Nothing
 * is built in this case, but every later partition would be rejected. If there
 * are partitions, building their indexes raises the error.
 */
static void
check_partitioned_index(Oid index)
{
	AttrNumber attribute = InvalidAttrNumber;
	Oid        table = table_of_new_index(index, &attribute);

	if (!OidIsValid(table) || find_inheritance_children(table, NoLock) != NIL)
		return;
	if (attribute == InvalidAttrNumber)
		ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
						errmsg("the indexed expression does not have dimensions"),
						errdetail("The result of a function or operator has no dimensions, "
								  "even if its arguments have."),
						errhint("Index a cast: ((expression::multivector(%d))).", EXAMPLE_DIMS)));
	no_column_dims_error(table, attribute, EXAMPLE_DIMS);
}

static object_access_hook_type previous_hook;

/*
 * Object access hook. ALTER TABLE calls it, as an internal creation, for each
 * index that it keeps or rebuilds. CREATE INDEX itself is left to the build,
 * whose hint is better, unless there is nothing to build.
 */
static void
object_accessed(ObjectAccessType access, Oid class, Oid object, int column, void *arg)
{
	Relation relation;
	bool     is_internal;
	bool     lacks_dims;

	if (previous_hook != NULL)
		previous_hook(access, class, object, column, arg);
	if (access != OAT_POST_CREATE || class != RelationRelationId || column != 0)
		return;
	is_internal = ((ObjectAccessPostCreate *) arg)->is_internal;
	relation = RelationIdGetRelation(object);
	if (relation == NULL)
		return;
	lacks_dims =
		is_our_index(relation) && declared_dims(TupleDescAttr(RelationGetDescr(relation), 0)) == 0;
	if (lacks_dims && !is_internal && relation->rd_rel->relkind == RELKIND_PARTITIONED_INDEX)
		check_partitioned_index(object);
	if (lacks_dims && is_internal)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("column \"%s\" needs dimensions while index \"%s\" exists",
					NameStr(TupleDescAttr(RelationGetDescr(relation), 0)->attname),
					RelationGetRelationName(relation)),
			 errhint("Declare them, for example as multivector(128), or drop the index first.")));
	RelationClose(relation);
}

void
build_dims_init(void)
{
	previous_hook = object_access_hook;
	object_access_hook = object_accessed;
}
