/*-------------------------------------------------------------------------
 *
 * index_info.c
 *	  Inspect and maintain an index: colbert_index_info, colbert_merge.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "access/access.h"
#include "access/relation.h"
#include "catalog/index.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "funcapi.h"
#include "index/drift.h"
#include "index/merge.h"
#include "index/nulls.h"
#include "index/queue.h"
#include "miscadmin.h"
#include "settings.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

PG_FUNCTION_INFO_V1(colbert_index_info);
PG_FUNCTION_INFO_V1(colbert_merge);

Relation
colbert_open_index(Oid oid, LOCKMODE mode)
{
	Relation index = try_relation_open(oid, mode);

	if (index == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("index with OID %u does not exist", oid)));
	if (index->rd_rel->relkind == RELKIND_PARTITIONED_INDEX)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is an index of a partitioned table",
							   RelationGetRelationName(index)),
						errhint("Use the index of a partition. pg_partition_tree('%s') lists them.",
								RelationGetRelationName(index))));
	if (index->rd_rel->relkind != RELKIND_INDEX || index->rd_indam == NULL ||
		index->rd_indam->ambuild != colbert_build)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a colbert_pg index", RelationGetRelationName(index))));
	if (RELATION_IS_OTHER_TEMP(index))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot access temporary indexes of other sessions")));
	return index;
}

static void
fill_tuple_desc(FunctionCallInfo fcinfo, TupleDesc *desc)
{
	if (get_call_result_type(fcinfo, NULL, desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	*desc = BlessTupleDesc(*desc);
}

/* Return the size in bytes of the extents of a range of arrays. */
static int64
array_bytes(const MetaPageData *meta, ArrayKind first, ArrayKind last)
{
	int64 bytes = 0;

	for (int kind = first; kind <= (int) last; kind++)
		bytes += (int64) meta->pages[kind].npages * BLCKSZ;
	return bytes;
}

/* Return a float8 datum, or set *isnull if the value is NaN. */
static Datum
float_or_null(double value, bool *isnull)
{
	*isnull = isnan(value);
	return Float8GetDatum(value);
}

/* Fill the last columns of colbert_index_info: how well the nodes fit the documents. */
static void
put_drift(IndexView *view, Datum *values, bool *nulls)
{
	Drift drift;
	char *advice;

	drift_measure(view, &drift);
	advice = drift_advice(view, &drift);
	values[0] = float_or_null(drift.imbalance, &nulls[0]);
	values[1] = float_or_null(drift.trained_distance, &nulls[1]);
	values[2] = float_or_null(drift.merged_distance, &nulls[2]);
	nulls[3] = advice == NULL;
	if (advice != NULL)
		values[3] = CStringGetTextDatum(advice);
}

/*
 * Raise an error unless the current user may see facts about all rows of the
 * table. This takes SELECT on the table. If policies hide rows from the user,
 * it also takes membership in pg_stat_scan_tables.
 */
static void
check_may_look(Oid table)
{
	if (pg_class_aclcheck(table, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(table));
	if (check_enable_rls(table, InvalidOid, true) == RLS_ENABLED &&
		!has_privs_of_role(GetUserId(), ROLE_PG_STAT_SCAN_TABLES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row-level security hides rows of table \"%s\"", get_rel_name(table)),
				 errhint("Use a role to which the policies do not apply, "
						 "or a member of pg_stat_scan_tables.")));
}

/* Return one row of facts about an index. */
Datum
colbert_index_info(PG_FUNCTION_ARGS)
{
	Relation            index = colbert_open_index(PG_GETARG_OID(0), AccessShareLock);
	IndexView          *view;
	const MetaPageData *meta;
	TupleDesc           desc;
	Datum               values[24];
	bool                nulls[24] = {0};
	int                 n = 0;
	int64               total;
	int64               arrays;

	check_may_look(index->rd_index->indrelid);
	fill_tuple_desc(fcinfo, &desc);
	view = view_open(index, false, VIEW_WITHOUT_PENDING);
	meta = &view->index->meta;
	total = (int64) RelationGetNumberOfBlocks(index) * BLCKSZ;
	arrays = array_bytes(meta, 0, ARRAY_COUNT - 1);

	values[n++] = CStringGetTextDatum(get_am_name(index->rd_rel->relam));
	values[n++] = CStringGetTextDatum(view->coder.codec->name);
	values[n++] = Int32GetDatum(meta->shape.column_dim);
	values[n++] = Int64GetDatum(meta->documents.live_docs);
	values[n++] = Int64GetDatum((int64) meta->documents.live_tokens);
	values[n++] = Int64GetDatum((int64) nulls_count(view));
	values[n++] = Int64GetDatum(meta_nnodes(meta));
	values[n++] = Int32GetDatum(meta->shape.tokens_per_node);
	values[n++] = Int64GetDatum(queue_count(meta));
	values[n++] = Int64GetDatum((int64) meta->documents.pending_tokens);
	values[n++] = Int64GetDatum(meta->documents.dead_docs);
	values[n++] = Int64GetDatum(meta->documents.free_docs);
	values[n++] = Int64GetDatum((int64) meta->nodes.postings);
	values[n++] = Float8GetDatum(
		meta_nnodes(meta) > 0 ? (double) meta->nodes.postings / meta_nnodes(meta) : 0);
	values[n++] = Int64GetDatum(array_bytes(meta, ARRAY_DOCS, ARRAY_DOCS) +
								array_bytes(meta, ARRAY_VERSIONS, ARRAY_HASHES));
	values[n++] = Int64GetDatum(array_bytes(meta, ARRAY_SKETCHES, ARRAY_SKETCHES));
	values[n++] = Int64GetDatum(array_bytes(meta, ARRAY_ROWS, ARRAY_PENDING_ROWS));
	values[n++] = Int64GetDatum(array_bytes(meta, ARRAY_NODES, ARRAY_CHILD_EDGES));
	values[n++] = Int64GetDatum(total - arrays - BLCKSZ);
	values[n++] = Int64GetDatum(total);
	put_drift(view, values + n, nulls + n);

	relation_close(index, AccessShareLock);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/*
 * Merge the documents that are pending now, and return their number. Requires
 * ownership of the index.
 */
Datum
colbert_merge(PG_FUNCTION_ARGS)
{
	Relation index;
	uint64   merged;

	if (RecoveryInProgress())
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("recovery is in progress"),
						errhint("Pending documents are merged on the primary.")));
	index = colbert_open_index(PG_GETARG_OID(0), RowExclusiveLock);
	if (!compat_object_ownercheck(RelationRelationId, RelationGetRelid(index), GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_INDEX, RelationGetRelationName(index));
	/*
	 * A concurrent build is working on the index, or has failed. No other
	 * session may change its pages.
	 */
	if (!index->rd_index->indisready)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index \"%s\" is not ready", RelationGetRelationName(index)),
				 errhint("Wait until it is built. If the build failed, drop it or REINDEX it.")));
	merged = merge_pending(index, (uint64) colbert_pending_limit);
	relation_close(index, RowExclusiveLock);
	PG_RETURN_INT64((int64) merged);
}
