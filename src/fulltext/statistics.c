/*-------------------------------------------------------------------------
 *
 * statistics.c
 *	  Read a table of full-text statistics.
 *
 * The rights derive from the source: who may SELECT its column, and is not
 * under row-level security there, may use the statistics, whose frequencies
 * count rows that a policy hides. A role with SELECT on the statistics
 * themselves needs nothing else.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fulltext/statistics.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* Definition of the columns, in the order of StatisticsColumn. */
const char *const statistics_columns =
	"lexeme text COLLATE \"C\" PRIMARY KEY, documents bigint NOT NULL, source text, "
	"source_column text, config text, table_documents double precision, "
	"lengths double precision[], analyzed timestamptz";

static const struct
{
	const char *name;
	Oid         type;
} columns[COLUMN_COUNT] = {{"lexeme", TEXTOID},         {"documents", INT8OID},
						   {"source", TEXTOID},         {"source_column", TEXTOID},
						   {"config", TEXTOID},         {"table_documents", FLOAT8OID},
						   {"lengths", FLOAT8ARRAYOID}, {"analyzed", TIMESTAMPTZOID}};

/* Return the number of the column, or 0 if the table has none of this name and type. */
static AttrNumber
find_column(Relation table, StatisticsColumn column)
{
	TupleDesc desc = RelationGetDescr(table);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped && attribute->atttypid == columns[column].type &&
			strcmp(NameStr(attribute->attname), columns[column].name) == 0)
			return attribute->attnum;
	}
	return InvalidAttrNumber;
}

/* Return the primary key, which must be the lexeme alone, or InvalidOid. */
static Oid
find_index(Relation table, AttrNumber lexeme)
{
	Relation index;
	Oid      found;

	list_free(RelationGetIndexList(table));
	if (!OidIsValid(table->rd_pkindex))
		return InvalidOid;
	index = index_open(table->rd_pkindex, AccessShareLock);
	found = index->rd_index->indnkeyatts == 1 && index->rd_index->indkey.values[0] == lexeme &&
					index->rd_index->indisvalid
				? RelationGetRelid(index)
				: InvalidOid;
	index_close(index, AccessShareLock);
	return found;
}

/* Return the row of a lexeme, copied, or NULL. */
static HeapTuple
read_row(const Statistics *statistics, const char *lexeme, int length)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple   row;

	ScanKeyInit(&key, statistics->columns[COLUMN_LEXEME], BTEqualStrategyNumber, F_TEXTEQ,
				PointerGetDatum(cstring_to_text_with_len(lexeme, length)));
	scan = systable_beginscan(statistics->table, statistics->index, true, statistics->snapshot, 1,
							  &key);
	row = systable_getnext(scan);
	row = HeapTupleIsValid(row) ? heap_copytuple(row) : NULL;
	systable_endscan(scan);
	return row;
}

/* Return a column of a row, or 0 if it is NULL. */
static Datum
column_of(const Statistics *statistics, HeapTuple row, StatisticsColumn column)
{
	bool  isnull;
	Datum value = heap_getattr(row, statistics->columns[column],
							   RelationGetDescr(statistics->table), &isnull);

	return isnull ? (Datum) 0 : value;
}

static char *
text_of(const Statistics *statistics, HeapTuple row, StatisticsColumn column)
{
	Datum value = column_of(statistics, row, column);

	return value == (Datum) 0 ? NULL : TextDatumGetCString(value);
}

/* Read the row that describes the whole. It was written by bm25_analyze, or by anyone. */
static void
read_whole(Statistics *statistics)
{
	HeapTuple  row = read_row(statistics, "", 0);
	ArrayType *lengths;

	if (row == NULL || column_of(statistics, row, COLUMN_LENGTHS) == (Datum) 0 ||
		heap_attisnull(row, statistics->columns[COLUMN_TABLE_DOCUMENTS],
					   RelationGetDescr(statistics->table)))
		return;
	statistics->documents = (double) DatumGetInt64(column_of(statistics, row, COLUMN_DOCUMENTS));
	statistics->table_documents =
		DatumGetFloat8(column_of(statistics, row, COLUMN_TABLE_DOCUMENTS));
	statistics->source = text_of(statistics, row, COLUMN_SOURCE);
	statistics->source_column = text_of(statistics, row, COLUMN_SOURCE_COLUMN);
	statistics->config = text_of(statistics, row, COLUMN_CONFIG);
	lengths = DatumGetArrayTypeP(column_of(statistics, row, COLUMN_LENGTHS));
	if (ARR_NDIM(lengths) != 1 || ARR_DIMS(lengths)[0] != BM25_SECTIONS || ARR_HASNULL(lengths))
		return;
	memcpy(statistics->lengths, ARR_DATA_PTR(lengths), sizeof(statistics->lengths));
	statistics->valid = statistics->source != NULL && statistics->source_column != NULL &&
						statistics->config != NULL && statistics->documents >= 0 &&
						isfinite(statistics->table_documents) &&
						statistics->table_documents >= statistics->documents;
}

/* Raise an error if the current user may not even know what the relation is. */
compat_noreturn static void
reject_table(Relation table, const char *hint)
{
	if (pg_class_aclcheck(RelationGetRelid(table), GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, RelationGetRelationName(table));
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("\"%s\" is not a table of BM25 statistics", RelationGetRelationName(table)),
			 errhint("%s", hint)));
}

/*
 * Open a table of statistics. The caller calls statistics_check_rights before
 * it uses the contents, unless it is the owner.
 */
Statistics
statistics_open(Oid table, int lockmode)
{
	Statistics statistics = {.table = try_relation_open(table, lockmode)};

	if (statistics.table == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation with OID %u does not exist", table)));
	if (statistics.table->rd_rel->relkind != RELKIND_RELATION)
		reject_table(statistics.table, "bm25_analyze makes one.");
	for (int i = 0; i < COLUMN_COUNT; i++)
	{
		statistics.columns[i] = find_column(statistics.table, i);
		if (statistics.columns[i] == InvalidAttrNumber)
			reject_table(statistics.table, "bm25_analyze makes one.");
	}
	statistics.index = find_index(statistics.table, statistics.columns[COLUMN_LEXEME]);
	if (!OidIsValid(statistics.index))
		reject_table(statistics.table,
					 "ALTER TABLE ... ADD PRIMARY KEY (lexeme) restores its key.");
	statistics.snapshot = RegisterSnapshot(GetActiveSnapshot());
	read_whole(&statistics);
	return statistics;
}

Oid
statistics_owner(Oid relation)
{
	HeapTuple row = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid       owner;

	if (!HeapTupleIsValid(row))
		return InvalidOid;
	owner = ((Form_pg_class) GETSTRUCT(row))->relowner;
	ReleaseSysCache(row);
	return owner;
}

/* Return true if the current user may read the source, all of its rows. */
static bool
may_read_source(const Statistics *statistics)
{
	Oid        schema = RelationGetNamespace(statistics->table);
	Oid        source;
	AttrNumber column;

	if (!statistics->valid)
		return false;
	source = get_relname_relid(statistics->source, schema);
	if (!OidIsValid(source) || statistics_owner(source) != statistics->table->rd_rel->relowner)
		return false;
	column = get_attnum(source, statistics->source_column);
	if (pg_class_aclcheck(source, GetUserId(), ACL_SELECT) != ACLCHECK_OK &&
		(column == InvalidAttrNumber ||
		 pg_attribute_aclcheck(source, column, GetUserId(), ACL_SELECT) != ACLCHECK_OK))
		return false;
	return check_enable_rls(source, InvalidOid, true) != RLS_ENABLED;
}

/* Raise an error if the current user may not use the statistics, or if they are unusable. */
void
statistics_check_rights(const Statistics *statistics)
{
	Oid  table = RelationGetRelid(statistics->table);
	bool may_read = pg_class_aclcheck(table, GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
					check_enable_rls(table, InvalidOid, true) != RLS_ENABLED;

	if (!may_read && !may_read_source(statistics))
		ereport(
			ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for table %s", RelationGetRelationName(statistics->table)),
			 errdetail("BM25 statistics are open to roles that may SELECT from the table "
					   "that they describe and are not under row-level security there.")));
	if (!statistics->valid)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("table \"%s\" has no statistics",
							   RelationGetRelationName(statistics->table)),
						errhint("Run bm25_analyze again.")));
}

/* Return the number of documents, of those analyzed, that have the lexeme. */
double
statistics_find(const Statistics *statistics, const char *lexeme, int length)
{
	HeapTuple row = read_row(statistics, lexeme, length);
	double    documents;

	if (row == NULL)
		return 0;
	documents = (double) DatumGetInt64(column_of(statistics, row, COLUMN_DOCUMENTS));
	heap_freetuple(row);
	return Min(Max(documents, 0), statistics->documents);
}

void
statistics_close(Statistics *statistics, int lockmode)
{
	UnregisterSnapshot(statistics->snapshot);
	relation_close(statistics->table, lockmode);
}
