/*-------------------------------------------------------------------------
 *
 * build_centroids.c
 *	  Read the centroids of an index from the table that the option centroids
 *	  names.
 *
 * The table has the columns id, parent and embedding (real[]). Rows whose
 * parent is NULL form the upper level, and the others are the centroids; if no
 * row has a parent, all rows are centroids, and the build makes the upper
 * level.
 *
 * An index is built as the owner of its table, whoever gave the command, so
 * the rights and the policies of the owner apply. The table is scanned
 * directly: no view, function, operator or policy of anybody runs. It is locked
 * only while it is read, and a role without rights does not lock it. The leader
 * reads it before workers start.
 *
 * A dump must restore, and REINDEX, VACUUM FULL and TRUNCATE must not fail
 * because of a table that nothing ties to the index. There an unusable table
 * raises a WARNING, and the index trains its nodes by itself. The same holds
 * for a concurrent build, which may be a REINDEX, and for the index of a new
 * partition. Any other CREATE INDEX fails: its user can correct the name. A
 * restore is recognised by check_function_bodies, which pg_dump turns off.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "access/build.h"
#include "access/relation.h"
#include "base/array.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/pace.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

typedef enum CentroidColumn
{
	COLUMN_ID,
	COLUMN_PARENT,
	COLUMN_EMBEDDING,
	COLUMN_COUNT
} CentroidColumn;

static const char *const column_names[] = {"id", "parent", "embedding"};

/* A row of the table. Its vector is number at of the reader's. */
typedef struct CentroidRow
{
	int64  id;
	int64  parent;
	bool   upper;  /* has no parent */
	uint32 family; /* number of its parent; of an upper row, its own */
	uint32 at;
} CentroidRow;

typedef struct Reader
{
	const Build  *build;
	const char   *name; /* of the table, as the option has it */
	int           elevel;
	Oid           table;
	Snapshot      snapshot;
	AttrNumber    columns[COLUMN_COUNT]; /* of the relation that is being read */
	Oid           types[COLUMN_COUNT];
	MemoryContext row_context; /* reset per row */
	float        *raw;         /* a vector as stored */

	CentroidRow *rows;
	uint32       nrows;
	uint32       capacity;
	uint32       max_rows;
	float       *vectors; /* nrows x dim, prepared */
	uint32       vector_capacity;
	uint32       nupper;
} Reader;

/* Report why the table cannot be used. Returns false if the build goes on without it. */
static bool
refuse(const Reader *reader, int code, const char *detail)
{
	ereport(reader->elevel,
			(errcode(code),
			 errmsg("cannot take the nodes of index \"%s\" from table %s",
					RelationGetRelationName(reader->build->index), reader->name),
			 errdetail_internal("%s", detail),
			 reader->elevel < ERROR
				 ? errhint("The index trains its nodes by itself. REINDEX it when the table fits.")
				 : 0));
	return false;
}

/* ---- the table ---- */

/* Return true if the current role may read the three columns. */
static bool
may_read(Oid table)
{
	if (pg_class_aclcheck(table, GetUserId(), ACL_SELECT) == ACLCHECK_OK)
		return true;
	for (int column = 0; column < COLUMN_COUNT; column++)
	{
		AttrNumber attribute = get_attnum(table, column_names[column]);

		if (attribute <= 0 ||
			pg_attribute_aclcheck(table, attribute, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
			return false;
	}
	return true;
}

static bool
find_table(Reader *reader)
{
	char *schema;
	char *table;
	Oid namespace;

	options_split_table(reader->name, &schema, &table);
	namespace = get_namespace_oid(schema, true);
	if (!OidIsValid(namespace))
		return refuse(reader, ERRCODE_UNDEFINED_SCHEMA, "The schema does not exist.");
	if (compat_namespace_aclcheck(namespace, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		return refuse(reader, ERRCODE_INSUFFICIENT_PRIVILEGE,
					  psprintf("Role \"%s\", which owns the indexed table, may not use the schema.",
							   GetUserNameFromId(GetUserId(), false)));
	reader->table = get_relname_relid(table, namespace);
	if (!OidIsValid(reader->table))
		return refuse(reader, ERRCODE_UNDEFINED_TABLE, "The table does not exist.");
	if (!may_read(reader->table))
		return refuse(reader, ERRCODE_INSUFFICIENT_PRIVILEGE,
					  psprintf("Role \"%s\", which owns the indexed table, may not read it.",
							   GetUserNameFromId(GetUserId(), false)));
	return true;
}

/* Return true if rows of the table can be read as they are stored, and all of them. */
static bool
check_table(const Reader *reader, Relation table)
{
	switch (table->rd_rel->relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
		case RELKIND_MATVIEW:
			break;
		default:
			return refuse(reader, ERRCODE_WRONG_OBJECT_TYPE,
						  "It is neither a table nor a materialized view.");
	}
	if (RELATION_IS_OTHER_TEMP(table))
		return refuse(reader, ERRCODE_FEATURE_NOT_SUPPORTED,
					  "It is a temporary table of another session.");
	if (check_enable_rls(reader->table, InvalidOid, true) == RLS_ENABLED)
		return refuse(reader, ERRCODE_INSUFFICIENT_PRIVILEGE,
					  psprintf("Row-level security hides rows of it from role \"%s\".",
							   GetUserNameFromId(GetUserId(), false)));
	return true;
}

static bool
type_fits(CentroidColumn column, Oid type)
{
	if (column == COLUMN_EMBEDDING)
		return type == FLOAT4ARRAYOID;
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

/* Find the columns in a relation. Partitions may have them in another order. */
static bool
find_columns(Reader *reader, Relation rel)
{
	for (int column = 0; column < COLUMN_COUNT; column++)
	{
		HeapTuple tuple = SearchSysCacheAttName(RelationGetRelid(rel), column_names[column]);
		char      generated;

		if (!HeapTupleIsValid(tuple))
			return refuse(reader, ERRCODE_UNDEFINED_COLUMN,
						  "It needs the columns id, parent and embedding.");
		generated = ((Form_pg_attribute) GETSTRUCT(tuple))->attgenerated;
		reader->columns[column] = ((Form_pg_attribute) GETSTRUCT(tuple))->attnum;
		reader->types[column] = ((Form_pg_attribute) GETSTRUCT(tuple))->atttypid;
		ReleaseSysCache(tuple);
		if (reader->columns[column] <= 0 || !type_fits(column, reader->types[column]))
			return refuse(
				reader, ERRCODE_DATATYPE_MISMATCH,
				psprintf("Column %s has the type %s; expected %s.", column_names[column],
						 format_type_be(reader->types[column]),
						 column == COLUMN_EMBEDDING ? "real[]" : "bigint, integer or smallint"));
		if (generated != '\0' && generated != ATTRIBUTE_GENERATED_STORED)
			return refuse(
				reader, ERRCODE_FEATURE_NOT_SUPPORTED,
				psprintf("Column %s is virtual; its values are not stored.", column_names[column]));
	}
	return true;
}

/* ---- rows ---- */

static int64
integer_value(Datum value, Oid type)
{
	return type == INT2OID ? DatumGetInt16(value)
						   : (type == INT4OID ? DatumGetInt32(value) : DatumGetInt64(value));
}

/* Copy a vector, with 0 instead of -0, so that equal vectors have equal bytes. */
static bool
read_vector(Reader *reader, int64 id, Datum value)
{
	ArrayType   *array = DatumGetArrayTypeP(value);
	uint32       dim = reader->build->view->column_dim;
	const float *floats = (const float *) ARR_DATA_PTR(array);
	double       squares = 0;

	if (ARR_NDIM(array) != 1 || (uint32) ARR_DIMS(array)[0] != dim)
		return refuse(reader, ERRCODE_DATA_EXCEPTION,
					  psprintf("Row %lld: expected a vector of %u dimensions, not %d.",
							   (long long) id, dim, ARR_NDIM(array) == 1 ? ARR_DIMS(array)[0] : 0));
	if (array_contains_nulls(array))
		return refuse(reader, ERRCODE_NULL_VALUE_NOT_ALLOWED,
					  psprintf("Row %lld: an element is NULL.", (long long) id));
	for (uint32 k = 0; k < dim; k++)
	{
		if (!isfinite(floats[k]))
			return refuse(reader, ERRCODE_DATA_EXCEPTION,
						  psprintf("Row %lld: an element is %s.", (long long) id,
								   isnan(floats[k]) ? "NaN" : "infinite"));
		reader->raw[k] = floats[k] + 0.0f;
		squares += (double) floats[k] * floats[k];
	}
	if (sqrt(squares) > MULTIVECTOR_MAX_NORM)
		return refuse(
			reader, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
			psprintf("Row %lld: the norm is above %g.", (long long) id, MULTIVECTOR_MAX_NORM));
	return true;
}

/* Add one row. Its vector is prepared as tokens are. */
static bool
add_row(Reader *reader, TupleTableSlot *slot)
{
	uint32       dim = reader->build->view->dim;
	CentroidRow *row;
	Datum        values[COLUMN_COUNT];
	bool         nulls[COLUMN_COUNT];

	for (int column = 0; column < COLUMN_COUNT; column++)
		values[column] = slot_getattr(slot, reader->columns[column], &nulls[column]);
	if (nulls[COLUMN_ID])
		return refuse(reader, ERRCODE_NULL_VALUE_NOT_ALLOWED, "An id is NULL.");
	if (reader->nrows == reader->max_rows)
		return refuse(
			reader, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
			psprintf("It has more than %u rows, the most that %s allows.", reader->max_rows,
					 reader->max_rows == MAX_LISTS ? "colbert_ivf" : "maintenance_work_mem"));
	reader->rows = array_reserve(reader->rows, &reader->capacity, (Size) reader->nrows + 1,
								 sizeof(CentroidRow), CurrentMemoryContext);
	reader->vectors =
		array_reserve(reader->vectors, &reader->vector_capacity, (Size) reader->nrows + 1,
					  dim * sizeof(float), CurrentMemoryContext);
	row = &reader->rows[reader->nrows];
	*row = (CentroidRow) {.id = integer_value(values[COLUMN_ID], reader->types[COLUMN_ID]),
						  .upper = nulls[COLUMN_PARENT],
						  .at = reader->nrows};
	if (!row->upper)
		row->parent = integer_value(values[COLUMN_PARENT], reader->types[COLUMN_PARENT]);
	if (nulls[COLUMN_EMBEDDING])
		return refuse(reader, ERRCODE_NULL_VALUE_NOT_ALLOWED,
					  psprintf("Row %lld: the embedding is NULL.", (long long) row->id));
	MemoryContextReset(reader->row_context);
	MemoryContextSwitchTo(reader->row_context);
	if (!read_vector(reader, row->id, values[COLUMN_EMBEDDING]))
		return false;
	view_prepare_mean(reader->build->view, reader->raw,
					  reader->vectors + (size_t) reader->nrows * dim);
	reader->nrows++;
	return true;
}

/* Read the rows of a table, or of one partition. */
static bool
read_relation(Reader *reader, Oid oid)
{
	MemoryContext   context = CurrentMemoryContext;
	Relation        rel = try_relation_open(oid, AccessShareLock);
	TupleTableSlot *slot;
	TableScanDesc   scan;
	bool            fits = true;

	if (rel == NULL)
		return true;
	if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		fits = find_columns(reader, rel);
	else if (RELATION_IS_OTHER_TEMP(rel))
		fits = true; /* a child of another session, which SELECT leaves out as well */
	else if (rel->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
		fits = refuse(reader, ERRCODE_WRONG_OBJECT_TYPE, "A partition is a foreign table.");
	else if (find_columns(reader, rel))
	{
		slot = table_slot_create(rel, NULL);
		scan = compat_table_beginscan(rel, reader->snapshot);
		while (fits && table_scan_getnextslot(scan, ForwardScanDirection, slot))
		{
			CHECK_FOR_INTERRUPTS();
			fits = add_row(reader, slot);
			MemoryContextSwitchTo(context);
		}
		table_endscan(scan);
		ExecDropSingleTupleTableSlot(slot);
	}
	else
		fits = false;
	relation_close(rel, AccessShareLock);
	return fits;
}

/* Read the table with its partitions and children, in no order. */
static bool
read_table(Reader *reader)
{
	Relation  table = try_relation_open(reader->table, AccessShareLock);
	bool      fits;
	List     *relations;
	ListCell *cell;

	if (table == NULL)
		return refuse(reader, ERRCODE_UNDEFINED_TABLE, "The table does not exist.");
	fits = check_table(reader, table);
	relations = fits ? find_all_inheritors(reader->table, AccessShareLock, NULL) : NIL;
	reader->snapshot = RegisterSnapshot(GetLatestSnapshot());
	foreach (cell, relations)
	{
		fits = fits && read_relation(reader, lfirst_oid(cell));
		if (lfirst_oid(cell) != reader->table)
			UnlockRelationOid(lfirst_oid(cell), AccessShareLock);
	}
	UnregisterSnapshot(reader->snapshot);
	/* find_all_inheritors does not lock the table itself. */
	relation_close(table, AccessShareLock);
	if (fits && reader->nrows == 0)
		return refuse(reader, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "It has no rows.");
	return fits;
}

/* ---- levels ---- */

static int
compare_ids(const void *a, const void *b)
{
	int64 left = ((const CentroidRow *) a)->id;
	int64 right = ((const CentroidRow *) b)->id;

	return (left > right) - (left < right);
}

/* Order the upper level first, then centroids by parent. */
static int
compare_places(const void *a, const void *b)
{
	const CentroidRow *left = a;
	const CentroidRow *right = b;

	if (left->upper != right->upper)
		return left->upper ? -1 : 1;
	if (left->family != right->family)
		return left->family < right->family ? -1 : 1;
	return compare_ids(a, b);
}

/* Number the upper rows, and find the parent of each centroid. */
static bool
find_parents(Reader *reader)
{
	CentroidRow *upper;
	uint32      *nchildren;

	for (uint32 i = 0; i < reader->nrows; i++)
		if (reader->rows[i].upper)
			reader->rows[i].family = reader->nupper++;
	if (reader->nupper == reader->nrows)
	{
		/* No row has a parent: all are centroids. */
		reader->nupper = 0;
		return true;
	}
	qsort(reader->rows, reader->nrows, sizeof(CentroidRow), compare_places);
	upper = reader->rows;
	nchildren = palloc0(mul_size(Max(reader->nupper, 1), sizeof(uint32)));
	for (uint32 i = reader->nupper; i < reader->nrows; i++)
	{
		CentroidRow        key = {.id = reader->rows[i].parent};
		const CentroidRow *parent =
			bsearch(&key, upper, reader->nupper, sizeof(CentroidRow), compare_ids);

		if (parent == NULL)
			return refuse(
				reader, ERRCODE_DATA_EXCEPTION,
				psprintf("Row %lld has the parent %lld, which is no row without a parent.",
						 (long long) reader->rows[i].id, (long long) reader->rows[i].parent));
		reader->rows[i].family = parent->family;
		nchildren[parent->family]++;
	}
	for (uint32 p = 0; p < reader->nupper; p++)
		if (nchildren[p] == 0)
			return refuse(
				reader, ERRCODE_DATA_EXCEPTION,
				psprintf("Row %lld is a parent without children.", (long long) upper[p].id));
	qsort(reader->rows, reader->nrows, sizeof(CentroidRow), compare_places);
	pfree(nchildren);
	return true;
}

static int
compare_vectors(const void *a, const void *b, void *arg)
{
	const Reader *reader = arg;
	uint32        dim = reader->build->view->dim;
	const float  *vectors = reader->vectors;

	CHECK_FOR_INTERRUPTS();
	return memcmp(vectors + (size_t) reader->rows[*(const uint32 *) a].at * dim,
				  vectors + (size_t) reader->rows[*(const uint32 *) b].at * dim,
				  dim * sizeof(float));
}

/* Refuse equal vectors among the rows from first to end - 1: one of two would have no tokens. */
static bool
vectors_differ(Reader *reader, uint32 first, uint32 end)
{
	uint32 *order = palloc_extended(mul_size(end - first + 1, sizeof(uint32)), MCXT_ALLOC_HUGE);

	for (uint32 i = first; i < end; i++)
		order[i - first] = i;
	qsort_arg(order, end - first, sizeof(uint32), compare_vectors, reader);
	for (uint32 i = 1; i < end - first; i++)
		if (compare_vectors(&order[i - 1], &order[i], reader) == 0)
			return refuse(reader, ERRCODE_DATA_EXCEPTION,
						  psprintf("Rows %lld and %lld have equal vectors.",
								   (long long) reader->rows[Min(order[i - 1], order[i])].id,
								   (long long) reader->rows[Max(order[i - 1], order[i])].id));
	pfree(order);
	return true;
}

/* Check the rows, and sort them: the result does not depend on their order in the table. */
static bool
arrange_rows(Reader *reader)
{
	qsort(reader->rows, reader->nrows, sizeof(CentroidRow), compare_ids);
	for (uint32 i = 1; i < reader->nrows; i++)
		if (reader->rows[i - 1].id == reader->rows[i].id)
			return refuse(reader, ERRCODE_UNIQUE_VIOLATION,
						  psprintf("The id %lld occurs twice.", (long long) reader->rows[i].id));
	return find_parents(reader) && vectors_differ(reader, 0, reader->nupper) &&
		   vectors_differ(reader, reader->nupper, reader->nrows);
}

/* Return the vectors of the rows from first to end - 1, in their order. */
static float *
copy_vectors(const Reader *reader, uint32 first, uint32 end)
{
	uint32 dim = reader->build->view->dim;
	float *out = palloc_extended(mul_size(end - first, dim * sizeof(float)), MCXT_ALLOC_HUGE);

	for (uint32 i = first; i < end; i++)
		memcpy(out + (size_t) (i - first) * dim,
			   reader->vectors + (size_t) reader->rows[i].at * dim, dim * sizeof(float));
	return out;
}

static GivenCentroids *
make_given(const Reader *reader)
{
	GivenCentroids *given = palloc0(sizeof(GivenCentroids));
	uint32          nupper = reader->nupper;

	given->table = reader->table;
	given->ncentroids = reader->nrows - nupper;
	given->centroids = copy_vectors(reader, nupper, reader->nrows);
	if (nupper == 0)
	{
		given_make_parents(reader->build->view, given);
		return given;
	}
	given->nparents = nupper;
	given->parents = copy_vectors(reader, 0, nupper);
	given->child_start = palloc0(mul_size((Size) nupper + 1, sizeof(uint32)));
	for (uint32 i = nupper; i < reader->nrows; i++)
		given->child_start[reader->rows[i].family + 1]++;
	for (uint32 p = 0; p < nupper; p++)
		given->child_start[p + 1] += given->child_start[p];
	return given;
}

/* ---- the build ---- */

/* Return true if an unusable table is an error. */
static bool
is_strict(const Build *build)
{
	return check_function_bodies && !build->info->ii_Concurrent &&
		   !build->index->rd_rel->relispartition &&
		   !ReindexIsProcessingIndex(RelationGetRelid(build->index));
}

/* Return the number of rows that memory holds twice, with codes, and that the index can have. */
static uint32
max_rows(const Build *build)
{
	uint32 dim = build->view->dim;
	Size   row = kmeans_centroid_size(dim) + dim * sizeof(float) + sizeof(CentroidRow);
	uint64 most =
		build->view->index->meta.shape.finder == FINDER_IVF ? MAX_LISTS : INVALID_ORDINAL / 2;

	return (uint32) Min(maintenance_memory() / row, most);
}

const GivenCentroids *
build_read_centroids(const Build *build)
{
	Reader                reader = {.build = build, .name = options_centroids(build->index)};
	const GivenCentroids *given = NULL;

	/* No row: documents that come later are merged, which reads no table. */
	if (reader.name == NULL || RelationGetNumberOfBlocks(build->heap) == 0)
		return NULL;
	reader.name = pstrdup(reader.name);
	reader.elevel = is_strict(build) ? ERROR : WARNING;
	reader.max_rows = max_rows(build);
	reader.raw = palloc(build->view->column_dim * sizeof(float));
	reader.row_context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg centroid", ALLOCSET_DEFAULT_SIZES);
	if (build->view->index->meta.shape.tokens_per_node == 1)
		(void) refuse(&reader, ERRCODE_INVALID_PARAMETER_VALUE,
					  "With tokens_per_node = 1 each token is a node.");
	else if (find_table(&reader) && read_table(&reader) && arrange_rows(&reader))
		given = make_given(&reader);
	if (reader.vectors != NULL)
		pfree(reader.vectors);
	if (reader.rows != NULL)
		pfree(reader.rows);
	pfree(reader.raw);
	MemoryContextDelete(reader.row_context);
	return given;
}
