/*-------------------------------------------------------------------------
 *
 * check.c
 *	  colbert_index_check: compare an index with its invariants and its table.
 *
 * Takes AccessShareLock on the table and the index. Merges and the last phase
 * of VACUUM wait until the check is done. Queries, inserts, updates and deletes
 * continue.
 *
 * On a standby no lock stops WAL replay. If a check finds something there, the
 * whole check is repeated, and only findings that every round made are
 * reported.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xlog.h"
#include "base/subtransaction.h"
#include "catalog/index.h"
#include "check/check.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/locks.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(colbert_index_check);

/* On a standby, a finding must appear in this many checks, with a pause between them. */
#define STANDBY_ROUNDS   3
#define STANDBY_PAUSE_US 500000L

/* ---- steps ---- */

static bool
tells_of_damage(int code)
{
	return code == ERRCODE_INDEX_CORRUPTED || code == ERRCODE_DATA_CORRUPTED;
}

bool
check_try(Check *check, CheckStep step, void *arg, int64 item)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool done = false;

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		step(check, arg);
		ReleaseCurrentSubTransaction();
		done = true;
	}
	PG_CATCH();
	{
		ErrorData *error = subtransaction_catch(context, owner);

		/*
		 * Leave the subtransaction before rethrowing: a statement that ended
		 * inside one would leave the session in a failed transaction.
		 */
		if (!tells_of_damage(error->sqlerrcode))
			ReThrowError(error);
		findings_add(check->findings, FINDING_ERROR, item, "%s", error->message);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return done;
}

static void
open_view(Check *check, void *arg)
{
	MemoryContextSwitchTo(arg);
	check->view = view_open(check->index, false, VIEW_WITHOUT_PENDING);
	check->nblocks = RelationGetNumberOfBlocks(check->index);
	if (check->view->metric != colbert_metric(check->index))
		findings_add(check->findings, FINDING_ERROR, META_BLOCK,
					 "index has metric %d, but its operator class has metric %d",
					 (int) check->view->metric, (int) colbert_metric(check->index));
}

static void
check_finder(Check *check)
{
	/* Every item in a finder's arrays is in use. directory.c marks the means of live documents. */
	for (int kind = ARRAY_PARAMS; kind < ARRAY_COUNT; kind++)
		if (kind != ARRAY_MEANS)
			check_use(check, kind, 0, parray_nitems(check->view->index, kind));
	finder_check(check->view->index, &check->view->sketch, check->findings, check->rescore);
}

typedef struct CheckPart
{
	const char *name;
	void (*run)(Check *check);
} CheckPart;

/* A part allocates in the context of its round, because later parts use its results. */
typedef struct PartRun
{
	const CheckPart *part;
	MemoryContext    context;
} PartRun;

static void
run_part(Check *check, void *arg)
{
	PartRun *run = arg;

	MemoryContextSwitchTo(run->context);
	run->part->run(check);
}

/* ---- a whole check ---- */

/* Run all parts, each after the parts that it depends on. */
static void
check_parts(Check *check, MemoryContext context)
{
	static const CheckPart parts[] = {
		{"directory", check_directory}, {"versions", check_versions}, {"hashes", check_hashes},
		{"queue", check_queue},         {"free slots", check_free},   {"nulls", check_nulls},
		{"nodes", check_finder},        {"pages", check_pages},       {"postings", check_postings},
	};
	static const CheckPart extents = {"extents", check_extents};
	static const CheckPart snapshot = {"directory", check_snapshot};
	static const CheckPart heap = {"rows", check_heap};
	PartRun                run = {&extents, context};

	findings_begin_part(check->findings, "meta");
	if (!check_try(check, open_view, context, META_BLOCK))
		return;
	findings_begin_part(check->findings, extents.name);
	check_try(check, run_part, &run, NO_ITEM);
	if (!check->extents_agree)
		return;

	run.part = &snapshot;
	findings_begin_part(check->findings, snapshot.name);
	check_try(check, run_part, &run, NO_ITEM);
	for (int i = 0; i < lengthof(parts); i++)
	{
		run.part = &parts[i];
		findings_begin_part(check->findings, run.part->name);
		if (check->copied || run.part->run == check_pages)
			check_try(check, run_part, &run, NO_ITEM);
	}
	if (check->copied && check->snapshot != NULL)
	{
		run.part = &heap;
		findings_begin_part(check->findings, heap.name);
		check_try(check, run_part, &run, NO_ITEM);
	}
}

/* Run one complete check. The findings are allocated in the caller's context. */
static Findings *
check_once(Relation index, Relation heap, bool against_table, bool rescore)
{
	Findings     *findings = findings_create();
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg check", ALLOCSET_DEFAULT_SIZES);
	Check check = {.index = index, .heap = heap, .rescore = rescore, .findings = findings};
	bool  recovering = RecoveryInProgress();

	if (against_table)
		check.snapshot = RegisterSnapshot(GetTransactionSnapshot());
	if (!recovering)
		index_lock_poll(index, LOCK_MERGE, ShareLock);
	check_parts(&check, context);
	if (!recovering)
		index_unlock(index, LOCK_MERGE, ShareLock);
	if (check.snapshot != NULL)
		UnregisterSnapshot(check.snapshot);
	MemoryContextDelete(context);
	return findings;
}

static Findings *
check_index(Relation index, Relation heap, bool against_table, bool rescore)
{
	Findings *findings = check_once(index, heap, against_table, rescore);

	for (int round = 1; round < STANDBY_ROUNDS && RecoveryInProgress() && findings->list != NIL;
		 round++)
	{
		CHECK_FOR_INTERRUPTS();
		pg_usleep(STANDBY_PAUSE_US);
		findings_intersect(findings, check_once(index, heap, against_table, rescore));
	}
	return findings;
}

/* Return true if a transaction later than a snapshot changed the entry of an index in pg_class. */
static bool
changed_since(Relation index, Snapshot snapshot)
{
	HeapTuple entry = SearchSysCache1(RELOID, ObjectIdGetDatum(RelationGetRelid(index)));
	bool      later;

	if (!HeapTupleIsValid(entry))
		elog(ERROR, "cache lookup failed for index %u", RelationGetRelid(index));
	later = XidInMVCCSnapshot(HeapTupleHeaderGetXmin(entry->t_data), snapshot);
	ReleaseSysCache(entry);
	return later;
}

/*
 * Return true if the snapshot of a REPEATABLE READ or SERIALIZABLE transaction
 * is older than the index. It can then see rows that the build skipped.
 *
 * On the primary these are rows of broken HOT chains. A standby's snapshots hold
 * up no build of the primary, which skips rows that are dead there. Such a build
 * changes the index's entry in pg_class, or that in pg_index.
 */
static bool
too_new(Relation index)
{
	TransactionId xmin = HeapTupleHeaderGetXmin(index->rd_indextuple->t_data);
	Snapshot      snapshot;

	if (!IsolationUsesXactSnapshot())
		return false;
	snapshot = GetTransactionSnapshot();
	if (RecoveryInProgress())
		return XidInMVCCSnapshot(xmin, snapshot) || changed_since(index, snapshot);
	return index->rd_index->indcheckxmin && !TransactionIdPrecedes(xmin, snapshot->xmin);
}

/* Raise an error if the index cannot be checked. */
static void
check_preconditions(Relation index, bool against_table)
{
	if (!index->rd_index->indisvalid)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("index \"%s\" is not valid", RelationGetRelationName(index)),
						errhint("Drop it or REINDEX it.")));
	colbert_check_readable(index);
	if (against_table && too_new(index))
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("index \"%s\" is too new for the snapshot of this transaction",
							   RelationGetRelationName(index)),
						errhint("Check it in a new transaction.")));
}

/* Add findings to the result. A partition's messages begin with the name of its index. */
static void
put_findings(ReturnSetInfo *result, const Findings *findings, const char *partition)
{
	ListCell *cell;

	foreach (cell, findings->list)
	{
		const Finding *finding = lfirst(cell);
		const char    *message = finding->message;
		Datum          values[4];
		bool           nulls[4] = {0};

		if (partition != NULL)
			message = psprintf("%s: %s", partition, message);
		values[0] = CStringGetTextDatum(finding->severity == FINDING_ERROR ? "error" : "warning");
		values[1] = CStringGetTextDatum(finding->part);
		values[2] = Int64GetDatum(finding->item);
		nulls[2] = finding->item == NO_ITEM;
		values[3] = CStringGetTextDatum(message);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

/* Open the table of an index. Returns NULL if it was dropped, or the index was. */
static Relation
open_table(Oid index)
{
	Oid      oid = IndexGetRelation(index, true);
	Relation table = OidIsValid(oid) ? try_relation_open(oid, AccessShareLock) : NULL;

	if (table == NULL || IndexGetRelation(index, true) == oid)
		return table;
	relation_close(table, AccessShareLock);
	return NULL;
}

/*
 * Check one index and add its findings to the result. A partition that was
 * dropped meanwhile has none.
 *
 * The index's predicate and expressions run with the privileges of the table's
 * owner, as in REINDEX.
 */
static void
check_leaf(FunctionCallInfo fcinfo, Oid oid, bool partition)
{
	bool     rescore = PG_GETARG_BOOL(2);
	bool     against_table = PG_GETARG_BOOL(1) || rescore;
	Relation heap = open_table(oid);
	Relation index;
	Oid      user;
	int      security;
	int      guc_level;

	if (heap == NULL && partition)
		return;
	index = colbert_open_index(oid, AccessShareLock);
	if (heap == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the table of index \"%s\" was dropped", RelationGetRelationName(index))));

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(heap->rd_rel->relowner, security | SECURITY_RESTRICTED_OPERATION);
	guc_level = NewGUCNestLevel();
	compat_restrict_search_path();
	if (!partition || !partitions_skip_leaf(index))
	{
		check_preconditions(index, against_table);
		put_findings((ReturnSetInfo *) fcinfo->resultinfo,
					 check_index(index, heap, against_table, rescore),
					 partition ? RelationGetRelationName(index) : NULL);
	}
	AtEOXact_GUC(false, guc_level);
	SetUserIdAndSecContext(user, security);

	relation_close(index, AccessShareLock);
	relation_close(heap, AccessShareLock);
}

/* Check an index, or those of all partitions, and return the findings as a set of rows. */
Datum
colbert_index_check(PG_FUNCTION_ARGS)
{
	Oid       oid = PG_GETARG_OID(0);
	ListCell *cell;

	InitMaterializedSRF(fcinfo, 0);
	if (!partitions_is_parent(oid))
		check_leaf(fcinfo, oid, false);
	else
		foreach (cell, partitions_leaves(oid))
			check_leaf(fcinfo, lfirst_oid(cell), true);
	PG_RETURN_NULL();
}
