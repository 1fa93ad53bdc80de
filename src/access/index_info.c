/*-------------------------------------------------------------------------
 *
 * index_info.c
 *	  Inspect and maintain an index: colbert_index_info, colbert_partition_info,
 *	  colbert_indexes, colbert_merge.
 *
 * An index of a partitioned table stands for the indexes of all its
 * partitions: facts are added up, and all of them are merged.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "access/access.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "base/subtransaction.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
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
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(colbert_index_info);
PG_FUNCTION_INFO_V1(colbert_partition_info);
PG_FUNCTION_INFO_V1(colbert_index_status);
PG_FUNCTION_INFO_V1(colbert_merge);

/* Facts that partitions add up, in the order of the columns. */
typedef enum Fact
{
	FACT_DOCUMENTS,
	FACT_TOKENS,
	FACT_NULL_DOCUMENTS,
	FACT_NODES,
	FACT_PENDING_DOCUMENTS,
	FACT_PENDING_TOKENS,
	FACT_DEAD_DOCUMENTS,
	FACT_FREE_DOCUMENTS,
	FACT_POSTINGS,
	FACT_DIRECTORY_BYTES,
	FACT_SKETCH_BYTES,
	FACT_CODE_BYTES,
	FACT_NODE_BYTES,
	FACT_POSTING_BYTES,
	FACT_TOTAL_BYTES,
	FACT_COUNT
} Fact;

/* Value of a property that differs between partitions; shown as NULL. */
#define DIFFERS (-1)

/* Facts about an index, or the sum over the indexes of partitions. */
typedef struct IndexFacts
{
	const char *access_method;
	const char *quantizer; /* NULL if partitions differ */
	int32       dims;      /* or DIFFERS */
	int32       tokens_per_node;
	int64       sums[FACT_COUNT];
	Drift       drift;     /* NaN in a sum */
	Oid         centroids; /* InvalidOid: the index trained its nodes, or partitions differ */
	char       *advice;
} IndexFacts;

#define FACT_COLUMNS 25

/* Return the size in bytes of the extents of a range of arrays. */
static int64
array_bytes(const MetaPageData *meta, ArrayKind first, ArrayKind last)
{
	int64 bytes = 0;

	for (int kind = first; kind <= (int) last; kind++)
		bytes += (int64) meta->pages[kind].npages * BLCKSZ;
	return bytes;
}

/* Read the facts about an index. They are allocated in the current memory context. */
static void
read_facts(Relation index, IndexFacts *facts)
{
	IndexView          *view;
	const MetaPageData *meta;
	int64               total;
	int64              *sums = facts->sums;

	colbert_check_readable(index);
	view = view_open(index, false, VIEW_WITHOUT_PENDING);
	meta = &view->index->meta;
	total = (int64) RelationGetNumberOfBlocks(index) * BLCKSZ;
	facts->access_method = get_am_name(index->rd_rel->relam);
	facts->quantizer = view->coder.codec->name;
	facts->dims = meta->shape.column_dim;
	facts->tokens_per_node = (int32) meta->shape.tokens_per_node;
	sums[FACT_DOCUMENTS] = meta->documents.live_docs;
	sums[FACT_TOKENS] = (int64) meta->documents.live_tokens;
	sums[FACT_NULL_DOCUMENTS] = (int64) nulls_count(view);
	sums[FACT_NODES] = meta_nnodes(meta);
	sums[FACT_PENDING_DOCUMENTS] = queue_count(meta);
	sums[FACT_PENDING_TOKENS] = (int64) meta->documents.pending_tokens;
	sums[FACT_DEAD_DOCUMENTS] = meta->documents.dead_docs;
	sums[FACT_FREE_DOCUMENTS] = meta->documents.free_docs;
	sums[FACT_POSTINGS] = (int64) meta->nodes.postings;
	sums[FACT_DIRECTORY_BYTES] =
		array_bytes(meta, ARRAY_DOCS, ARRAY_DOCS) + array_bytes(meta, ARRAY_VERSIONS, ARRAY_HASHES);
	sums[FACT_SKETCH_BYTES] = array_bytes(meta, ARRAY_SKETCHES, ARRAY_SKETCHES) +
							  array_bytes(meta, ARRAY_MEANS, ARRAY_MEANS);
	sums[FACT_CODE_BYTES] = array_bytes(meta, ARRAY_ROWS, ARRAY_PENDING_ROWS);
	sums[FACT_NODE_BYTES] = array_bytes(meta, ARRAY_NODES, ARRAY_CHILD_EDGES);
	sums[FACT_POSTING_BYTES] = total - array_bytes(meta, 0, ARRAY_COUNT - 1) - BLCKSZ;
	sums[FACT_TOTAL_BYTES] = total;
	facts->centroids = meta->origin.centroids;
	drift_measure(view, &facts->drift);
	facts->advice = drift_advice(view, &facts->drift);
}

/*
 * Read the facts about an index, in a memory context that is reset afterwards.
 * Returns false if it was dropped, or is that of a partition and left out.
 */
static bool
read_leaf(Oid oid, bool partition, MemoryContext context, IndexFacts *facts)
{
	Relation      index = partitions_open_leaf(oid, AccessShareLock);
	MemoryContext old;

	if (index == NULL)
		return false;
	if (partition && partitions_skip_leaf(index))
	{
		relation_close(index, AccessShareLock);
		return false;
	}
	old = MemoryContextSwitchTo(context);
	read_facts(index, facts);
	relation_close(index, AccessShareLock);
	MemoryContextSwitchTo(old);
	if (facts->advice != NULL)
		facts->advice = pstrdup(facts->advice);
	facts->access_method = pstrdup(facts->access_method);
	MemoryContextReset(context);
	return true;
}

/* Add the facts about one more partition; first: there are none before it. */
static void
add_facts(IndexFacts *sum, const IndexFacts *more, bool first)
{
	if (first || (sum->quantizer != NULL && strcmp(sum->quantizer, more->quantizer) != 0))
		sum->quantizer = first ? more->quantizer : NULL;
	if (first || sum->dims != more->dims)
		sum->dims = first ? more->dims : DIFFERS;
	if (first || sum->tokens_per_node != more->tokens_per_node)
		sum->tokens_per_node = first ? more->tokens_per_node : DIFFERS;
	if (first || sum->centroids != more->centroids)
		sum->centroids = first ? more->centroids : InvalidOid;
	for (int fact = 0; fact < FACT_COUNT; fact++)
		sum->sums[fact] += more->sums[fact];
}

/* Add up the facts about the indexes of partitions. */
static void
read_sum(Oid parent, IndexFacts *sum)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg partition", ALLOCSET_DEFAULT_SIZES);
	Relation    index = relation_open(parent, AccessShareLock);
	int         read = 0;
	int         advised = 0;
	const char *example = NULL;
	ListCell   *cell;

	*sum = (IndexFacts) {.access_method = get_am_name(index->rd_rel->relam),
						 .dims = DIFFERS,
						 .tokens_per_node = DIFFERS,
						 .drift = {NAN, NAN, NAN}};
	foreach (cell, partitions_leaves(parent))
	{
		IndexFacts facts;

		CHECK_FOR_INTERRUPTS();
		if (!read_leaf(lfirst_oid(cell), true, context, &facts))
			continue;
		add_facts(sum, &facts, read++ == 0);
		if (facts.advice != NULL && advised++ == 0)
			example = psprintf("%s: %s", get_rel_name(lfirst_oid(cell)), facts.advice);
	}
	if (advised > 0)
		sum->advice =
			psprintf("%d of %d partitions have advice, such as %s", advised, read, example);
	MemoryContextDelete(context);
	relation_close(index, AccessShareLock);
}

/* Write a column and advance. Negative numbers, NaN and NULL texts are NULL. */
static void
put_integer(Datum **values, bool **nulls, int32 value)
{
	*(*nulls)++ = value < 0;
	*(*values)++ = Int32GetDatum(value);
}

static void
put_float(Datum **values, bool **nulls, double value)
{
	*(*nulls)++ = isnan(value);
	*(*values)++ = Float8GetDatum(value);
}

static void
put_text(Datum **values, bool **nulls, const char *value)
{
	*(*nulls)++ = value == NULL;
	*(*values)++ = value == NULL ? (Datum) 0 : CStringGetTextDatum(value);
}

static void
put_sums(Datum **values, bool **nulls, const IndexFacts *facts, Fact first, Fact last)
{
	for (int fact = first; fact <= (int) last; fact++)
	{
		*(*nulls)++ = false;
		*(*values)++ = Int64GetDatum(facts->sums[fact]);
	}
}

/* Fill the columns of colbert_index_info. */
static void
put_facts(Datum *values, bool *nulls, const IndexFacts *facts)
{
	double nodes = (double) facts->sums[FACT_NODES];

	put_text(&values, &nulls, facts->access_method);
	put_text(&values, &nulls, facts->quantizer);
	put_integer(&values, &nulls, facts->dims);
	put_sums(&values, &nulls, facts, FACT_DOCUMENTS, FACT_NODES);
	put_integer(&values, &nulls, facts->tokens_per_node);
	put_sums(&values, &nulls, facts, FACT_PENDING_DOCUMENTS, FACT_POSTINGS);
	put_float(&values, &nulls, nodes > 0 ? (double) facts->sums[FACT_POSTINGS] / nodes : 0);
	put_sums(&values, &nulls, facts, FACT_DIRECTORY_BYTES, FACT_TOTAL_BYTES);
	put_float(&values, &nulls, facts->drift.imbalance);
	put_float(&values, &nulls, facts->drift.trained_distance);
	put_float(&values, &nulls, facts->drift.merged_distance);
	put_text(&values, &nulls, facts->advice);
	*nulls = !OidIsValid(facts->centroids);
	*values = ObjectIdGetDatum(facts->centroids);
}

/* ---- rights ---- */

/*
 * Return true if the current user may see facts about all rows of the table: a
 * user who may read all rows, or a member of pg_stat_scan_tables, who monitors
 * tables without reading them.
 */
static bool
may_look(Oid table)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_STAT_SCAN_TABLES) ||
		   (pg_class_aclcheck(table, GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
			check_enable_rls(table, InvalidOid, true) != RLS_ENABLED);
}

/* Raise an error unless the current user may see facts about all rows of the table. */
static void
check_may_look(Oid table)
{
	if (may_look(table))
		return;
	if (pg_class_aclcheck(table, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(table));
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("row-level security hides rows of table \"%s\"", get_rel_name(table)),
					errhint("Use a role to which the policies do not apply, "
							"or a member of pg_stat_scan_tables.")));
}

/*
 * Check the right to see facts about an index, and return true if it is one of
 * a partitioned table. Whoever may read that table may read all its
 * partitions.
 */
static bool
check_index(Oid oid)
{
	bool partitioned = partitions_is_parent(oid);

	if (!partitioned)
		relation_close(colbert_open_index(oid, AccessShareLock), AccessShareLock);
	check_may_look(IndexGetRelation(oid, false));
	return partitioned;
}

/* Return one row of facts about an index, or the sum over those of partitions. */
Datum
colbert_index_info(PG_FUNCTION_ARGS)
{
	Oid        oid = PG_GETARG_OID(0);
	TupleDesc  desc;
	IndexFacts facts;
	Datum      values[FACT_COLUMNS];
	bool       nulls[FACT_COLUMNS];

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (check_index(oid))
		read_sum(oid, &facts);
	else
	{
		Relation index = colbert_open_index(oid, AccessShareLock);

		read_facts(index, &facts);
		relation_close(index, AccessShareLock);
	}
	put_facts(values, nulls, &facts);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* Return the facts about the index of each partition, or about an index that is no parent. */
Datum
colbert_partition_info(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid            oid = PG_GETARG_OID(0);
	MemoryContext  context;
	ListCell      *cell;
	List          *leaves;
	bool           partitioned;

	partitioned = check_index(oid);
	leaves = partitioned ? partitions_leaves(oid) : list_make1_oid(oid);
	InitMaterializedSRF(fcinfo, 0);
	context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg partition", ALLOCSET_DEFAULT_SIZES);
	foreach (cell, leaves)
	{
		Datum      values[1 + FACT_COLUMNS];
		bool       nulls[1 + FACT_COLUMNS];
		IndexFacts facts;

		CHECK_FOR_INTERRUPTS();
		if (!read_leaf(lfirst_oid(cell), partitioned, context, &facts))
			continue;
		values[0] = ObjectIdGetDatum(lfirst_oid(cell));
		nulls[0] = false;
		put_facts(values + 1, nulls + 1, &facts);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	MemoryContextDelete(context);
	PG_RETURN_NULL();
}

/* ---- colbert_indexes ---- */

/* States of an index in colbert_indexes. Facts are read in the first two. */
#define STATUS_VALID      "valid"
#define STATUS_INVALID    "invalid" /* a concurrent build has not finished, or failed */
#define STATUS_NOT_READY  "not ready"
#define STATUS_LOCKED     "locked"
#define STATUS_TEMPORARY  "temporary" /* of another session */
#define STATUS_UNLOGGED   "unlogged"  /* and this is a standby, which has no pages of it */
#define STATUS_NO_RIGHTS  "no privilege"
#define STATUS_UNREADABLE "error"

/* Read facts about an index. If that fails, return the error's message, otherwise NULL. */
static char *
try_facts(Relation index, IndexFacts *facts)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	char *volatile message = NULL;

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		MemoryContextSwitchTo(context);
		read_facts(index, facts);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *error = subtransaction_catch(context, owner);

		/* Cancellations and serialization failures end the statement. */
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION ||
			ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_TRANSACTION_ROLLBACK)
			ReThrowError(error);
		message = error->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return message;
}

/* Return the status of an index that is locked, and read its facts if they can be read. */
static const char *
opened_status(Relation index, IndexFacts *facts, char **problem)
{
	if (!index->rd_index->indisready)
	{
		*problem = "It is being built, or its build failed.";
		return STATUS_NOT_READY;
	}
	if (colbert_is_absent(index))
		return STATUS_UNLOGGED;
	*problem = try_facts(index, facts);
	if (*problem != NULL)
		return STATUS_UNREADABLE;
	if (index->rd_index->indisvalid)
		return STATUS_VALID;
	*problem = "Its build has not finished, or failed: queries do not use it.";
	return STATUS_INVALID;
}

/*
 * Return the status of an index, and read its facts if they can be read. NULL if
 * it is none of this extension, or was dropped meanwhile. Does not wait for
 * locks: a REINDEX may hold one for hours.
 */
static const char *
index_status(Oid oid, IndexFacts *facts, char **problem)
{
	Relation    index;
	const char *status = NULL;

	*problem = NULL;
	if (get_rel_relkind(oid) != RELKIND_INDEX)
		return NULL;
	if (isOtherTempNamespace(get_rel_namespace(oid)))
		return STATUS_TEMPORARY;
	if (!ConditionalLockRelationOid(oid, AccessShareLock))
		return STATUS_LOCKED;
	index = try_relation_open(oid, NoLock);
	if (index == NULL)
	{
		UnlockRelationOid(oid, AccessShareLock);
		return NULL;
	}
	if (partitions_is_ours(index))
	{
		if (may_look(index->rd_index->indrelid))
			status = opened_status(index, facts, problem);
		else
			status = STATUS_NO_RIGHTS;
	}
	relation_close(index, AccessShareLock);
	return status;
}

/* Return the status of an index and the columns of colbert_index_info. Raises no error. */
Datum
colbert_index_status(PG_FUNCTION_ARGS)
{
	TupleDesc   desc;
	IndexFacts  facts;
	const char *status;
	char       *problem;
	Datum       values[2 + FACT_COLUMNS];
	bool        nulls[2 + FACT_COLUMNS];

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	status = index_status(PG_GETARG_OID(0), &facts, &problem);
	if (status == NULL)
		PG_RETURN_NULL();
	memset(nulls, true, sizeof(nulls));
	if (strcmp(status, STATUS_VALID) == 0 || strcmp(status, STATUS_INVALID) == 0)
		put_facts(values + 2, nulls + 2, &facts);
	values[0] = CStringGetTextDatum(status);
	nulls[0] = false;
	if (problem != NULL)
	{
		values[1] = CStringGetTextDatum(problem);
		nulls[1] = false;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* ---- colbert_merge ---- */

/* Merge the pending documents of one index, close it, and return their number. */
static uint64
merge_index(Relation index)
{
	uint64 merged;

	if (!compat_object_ownercheck(RelationRelationId, RelationGetRelid(index), GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_INDEX, RelationGetRelationName(index));
	colbert_check_readable(index);
	merged = merge_pending(index, (uint64) colbert_pending_limit, MERGE_POLL);
	relation_close(index, RowExclusiveLock);
	return merged;
}

/*
 * Merge the documents that are pending now, and return their number. Requires
 * ownership of the index, or of those of all partitions.
 */
Datum
colbert_merge(PG_FUNCTION_ARGS)
{
	Oid       oid = PG_GETARG_OID(0);
	uint64    merged = 0;
	ListCell *cell;

	if (RecoveryInProgress())
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("recovery is in progress"),
						errhint("Pending documents are merged on the primary.")));
	if (!partitions_is_parent(oid))
		PG_RETURN_INT64((int64) merge_index(colbert_open_index(oid, RowExclusiveLock)));
	foreach (cell, partitions_leaves(oid))
	{
		Relation index = partitions_open_leaf(lfirst_oid(cell), RowExclusiveLock);

		CHECK_FOR_INTERRUPTS();
		if (index != NULL)
			merged += merge_index(index);
	}
	PG_RETURN_INT64((int64) merged);
}
