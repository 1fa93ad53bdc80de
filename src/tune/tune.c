/*-------------------------------------------------------------------------
 *
 * tune.c
 *	  colbert_tune: the SQL function.
 *
 * It requires SELECT on the table, since recall reveals something about its
 * rows, and it refuses a table of which row-level security would hide rows. As
 * in a query, the rights of a partitioned table count for its partitions.
 * Changing the options requires ownership of each index; ALTER INDEX then makes
 * the change.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "commands/tablecmds.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "index/view.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "tune/tune.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(colbert_tune);

/* Interval between progress messages. */
#define TELL_EVERY_MS 10000

/* Maximum k. */
#define MAX_ANSWERS 10000

enum
{
	ARGUMENT_INDEX,
	ARGUMENT_QUERIES,
	ARGUMENT_RECALL,
	ARGUMENT_K,
	ARGUMENT_APPLY,
	ARGUMENT_EXACT, /* may be NULL */
	ARGUMENT_COUNT
};

bool
tune_time_to_tell(Tune *tune)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!TimestampDifferenceExceeds(tune->told, now, TELL_EVERY_MS))
		return false;
	tune->told = now;
	return true;
}

/* ---- arguments ---- */

static void
check_arguments(FunctionCallInfo fcinfo)
{
	static const char *const names[ARGUMENT_EXACT] = {"index", "queries", "target_recall", "k",
													  "apply"};
	double                   target;
	int32                    k;

	for (int i = 0; i < ARGUMENT_EXACT; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("argument %s of colbert_tune must not be NULL", names[i]),
							i == ARGUMENT_QUERIES ? errhint("array_agg of no rows is NULL.") : 0));
	target = PG_GETARG_FLOAT8(ARGUMENT_RECALL);
	k = PG_GETARG_INT32(ARGUMENT_K);
	if (!(target > 0 && target <= 1))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("expected a target_recall above 0 and up to 1, not %g", target)));
	if (k < 1 || k > MAX_ANSWERS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("expected a k from 1 to %d, not %d", MAX_ANSWERS, k)));
}

/*
 * Take the lock of ALTER INDEX before the work, kept to the end of the
 * transaction. A REINDEX CONCURRENTLY that had it would wait for this
 * statement's snapshot, while ALTER INDEX waits for the lock.
 */
static void
lock_for_settings(Relation index)
{
	if (!ConditionalLockRelation(index, ShareUpdateExclusiveLock))
		ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
						errmsg("could not lock index \"%s\" to set its options",
							   RelationGetRelationName(index)),
						errhint("Wait until REINDEX, ALTER INDEX or another colbert_tune of the "
								"index has ended.")));
}

static void
check_rights(const Tune *tune, bool apply)
{
	Oid table = RelationGetRelid(tune->heap);

	if (pg_class_aclcheck(table, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, RelationGetRelationName(tune->heap));
	if (check_enable_rls(table, InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("row-level security hides rows of table \"%s\"",
							   RelationGetRelationName(tune->heap)),
						errhint("Run colbert_tune as a role that the policies do not apply to.")));
	if (!apply)
		return;
	PreventCommandIfReadOnly("colbert_tune(apply => true)");
	PreventCommandDuringRecovery("colbert_tune(apply => true)");
	for (int i = 0; i < tune->nparts; i++)
	{
		Relation index = tune->parts[i].index;

		if (!compat_object_ownercheck(RelationRelationId, RelationGetRelid(index), GetUserId()))
			aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_INDEX, RelationGetRelationName(index));
		/*
		 * Check now what ALTER INDEX would refuse in the end: the statement itself
		 * may be scanning the index.
		 */
		CheckTableNotInUse(index, "ALTER INDEX");
		lock_for_settings(index);
	}
}

/* Set the number of nodes and documents of each part, and check the dimensions of the queries. */
static void
look_at_parts(Tune *tune)
{
	for (int i = 0; i < tune->nparts; i++)
	{
		TunePart  *part = &tune->parts[i];
		IndexView *view = view_open(part->index, false, VIEW_WITHOUT_PENDING);

		part->documents = view->index->meta.documents.live_docs;
		tune->nodes = Max(tune->nodes, meta_nnodes(&view->index->meta));
		tune->docs = Max(tune->docs, view->index->meta.documents.live_docs);
		for (int query = 0; query < tune->nqueries; query++)
			view_check_dims(view, tune->queries[query].vector);
	}
}

static void
prepare_queries(Tune *tune, ArrayType *array)
{
	Datum  *values;
	bool   *nulls;
	uint32 *lengths;

	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_INT, &values, &nulls,
					  &tune->nqueries);
	if (tune->nqueries == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("expected at least one query")));
	tune->sample = PointerGetDatum(array);
	tune->queries = palloc(mul_size(tune->nqueries, sizeof(TuneQuery)));
	lengths = palloc(mul_size(tune->nqueries, sizeof(uint32)));
	for (int i = 0; i < tune->nqueries; i++)
	{
		TuneQuery *query = &tune->queries[i];

		if (nulls[i])
			ereport(
				ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("queries must not be NULL"),
				 errhint("Exclude them with array_agg(query) FILTER (WHERE query IS NOT NULL).")));
		query->vector = multivector_from_datum(values[i]);
		query->score = score_prepare(query->vector, tune->metric);
		lengths[i] = query->vector->ntokens;
	}
	qsort(lengths, tune->nqueries, sizeof(uint32), compare_ordinals);
	tune->query_tokens = lengths[tune->nqueries / 2];
	pfree(lengths);
}

/* ---- result ---- */

int
tune_cheapest_first(const ListCell *a, const ListCell *b)
{
	const Trial *x = lfirst(a);
	const Trial *y = lfirst(b);

	if (x->ms != y->ms)
		return x->ms < y->ms ? -1 : 1;
	if (x->recall != y->recall)
		return x->recall > y->recall ? -1 : 1;
	/*
	 * Times are clock ticks, so quick searches tie. Break ties by number, so
	 * that the trial chosen is the one shown.
	 */
	return x->number - y->number;
}

/* part: the partition whose part of the trial the row shows; NULL: the whole trial. */
static void
put_trial(ReturnSetInfo *result, const Tune *tune, const Trial *trial, bool chosen,
		  const TunePart *part)
{
	const SearchSettings *asked = &trial->asked;
	Datum                 values[] = {Float8GetDatum(asked->recall),
									  Int32GetDatum((int32) asked->probes),
									  Int32GetDatum((int32) asked->ef_search),
									  Int32GetDatum((int32) asked->candidates),
									  Int32GetDatum((int32) asked->rerank),
									  Float8GetDatum(trial->recall),
									  Float8GetDatum(trial->ms),
									  BoolGetDatum(chosen),
									  ObjectIdGetDatum(InvalidOid)};
	bool                  nulls[lengthof(values)] = {0};

	nulls[2] = colbert_finder(tune->parts[0].index) != FINDER_HNSW;
	nulls[8] = part == NULL;
	if (part != NULL)
	{
		/* Answers that tie may come from another partition than the exact ones. */
		nulls[5] = part->answers < 0;
		values[5] =
			Float8GetDatum(part->answers > 0 ? Min((double) part->hits / part->answers, 1) : 1);
		values[6] = Float8GetDatum(part->ms);
		values[8] = ObjectIdGetDatum(RelationGetRelid(part->index));
	}
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* Return a row for each partition: its part of the searches of the whole, with these settings. */
static void
put_parts(ReturnSetInfo *result, const Tune *tune, const Trial *trial)
{
	for (int i = 0; i < tune->nparts && tune->parts[i].index != tune->index; i++)
		put_trial(result, tune, trial, false, &tune->parts[i]);
}

/*
 * Return the first trial, which leaves all settings to the index, and then the
 * chosen one and each that no cheaper one matches in recall.
 */
static void
put_frontier(ReturnSetInfo *result, const Tune *tune, const Trial *chosen)
{
	const Trial *automatic = linitial(tune->trials);
	List        *sorted = list_copy(tune->trials);
	double       recall = -1;
	ListCell    *cell;

	put_trial(result, tune, automatic, automatic == chosen, NULL);
	list_sort(sorted, tune_cheapest_first);
	foreach (cell, sorted)
	{
		const Trial *trial = lfirst(cell);

		if (!trial->complete || (trial->recall <= recall && trial != chosen))
			continue;
		recall = Max(recall, trial->recall);
		if (trial != automatic)
			put_trial(result, tune, trial, trial == chosen, NULL);
	}
}

static void
tell_unreached(const Tune *tune, bool apply)
{
	double    best = 0;
	ListCell *cell;

	foreach (cell, tune->trials)
	{
		const Trial *trial = lfirst(cell);

		if (trial->complete)
			best = Max(best, trial->recall);
	}
	ereport(NOTICE,
			(errmsg("no settings of index \"%s\" reach a recall of %g; the best found is %.4f",
					RelationGetRelationName(tune->index), tune->target, best),
			 apply ? errdetail("The options of the index are not changed.") : 0,
			 errhint("Lower target_recall, or REINDEX with a finer quantizer or more nodes.")));
}

/* ---- ALTER INDEX ---- */

static void
append_option(StringInfo set, StringInfo reset, const char *name, double value)
{
	if (value == 0)
		appendStringInfo(reset, "%s%s", reset->len > 0 ? ", " : "", name);
	else
		appendStringInfo(set, "%s%s = %.10g", set->len > 0 ? ", " : "", name, value);
}

/* Store the settings as the index's options. Settings that are left to the index are reset. */
static void
apply_settings(const char *index, const SearchSettings *settings, FinderKind finder)
{
	StringInfoData set;
	StringInfoData reset;
	StringInfoData sql;

	initStringInfo(&set);
	initStringInfo(&reset);
	initStringInfo(&sql);
	append_option(&set, &reset, "recall", settings->recall);
	append_option(&set, &reset, "probes", settings->probes);
	if (finder == FINDER_HNSW)
		append_option(&set, &reset, "ef_search", settings->ef_search);
	append_option(&set, &reset, "candidates", settings->candidates);
	append_option(&set, &reset, "rerank", settings->rerank);

	appendStringInfo(&sql, "ALTER INDEX %s", index);
	if (reset.len > 0)
		appendStringInfo(&sql, " RESET (%s)%s", reset.data, set.len > 0 ? "," : "");
	if (set.len > 0)
		appendStringInfo(&sql, " SET (%s)", set.data);
	if (SPI_connect() != SPI_OK_CONNECT || SPI_execute(sql.data, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not run \"%s\"", sql.data);
	SPI_finish();
}

static void
reject_empty(const Tune *tune)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("index \"%s\" has no documents to search for",
						   RelationGetRelationName(tune->index))));
}

/*
 * Compute the exact answers, unless they were read, and run the trials. Return
 * the cheapest settings, or NULL if none reach the target.
 */
static Trial *
find_settings(Tune *tune)
{
	Trial *chosen;

	if (tune->wanted == 0)
		tune_exact(tune);
	if (tune->wanted == 0)
		reject_empty(tune);
	merged_begin(tune);
	chosen = tune_descend(tune);
	if (tune->nparts > 1)
		tune_parts_alone(tune, chosen != NULL ? chosen : linitial(tune->trials));
	merged_end(tune);
	return chosen;
}

/*
 * Run find_settings as the owner of the table, since its index expressions are
 * executed. FORCE ROW LEVEL SECURITY is ignored: those who may call this
 * function are not subject to it.
 */
static Trial *
find_settings_as_owner(Tune *tune)
{
	Trial *chosen;
	Oid    user;
	int    security;
	int    guc_level;

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(tune->heap->rd_rel->relowner,
						   security | SECURITY_RESTRICTED_OPERATION | SECURITY_NOFORCE_RLS);
	guc_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	chosen = find_settings(tune);
	AtEOXact_GUC(false, guc_level);
	SetUserIdAndSecContext(user, security);
	return chosen;
}

/* Return the qualified names of all parts, as a List of strings. */
static List *
part_names(const Tune *tune)
{
	List *names = NIL;

	for (int i = 0; i < tune->nparts; i++)
	{
		Relation index = tune->parts[i].index;

		names = lappend(names,
						quote_qualified_identifier(get_namespace_name(RelationGetNamespace(index)),
												   RelationGetRelationName(index)));
	}
	return names;
}

Datum
colbert_tune(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Tune           tune = {0};
	Trial         *chosen;
	FinderKind     finder;
	List          *names;
	ListCell      *cell;
	bool           apply;

	InitMaterializedSRF(fcinfo, 0);
	check_arguments(fcinfo);
	apply = PG_GETARG_BOOL(ARGUMENT_APPLY);
	tune.target = PG_GETARG_FLOAT8(ARGUMENT_RECALL);
	tune.k = PG_GETARG_INT32(ARGUMENT_K);
	tune_open_parts(&tune, PG_GETARG_OID(ARGUMENT_INDEX));
	check_rights(&tune, apply);
	if (tune.nparts == 0)
		reject_empty(&tune);
	tune.snapshot = RegisterSnapshot(GetActiveSnapshot());
	tune.told = GetCurrentTimestamp();
	tune.metric = colbert_metric(tune.parts[0].index);
	prepare_queries(&tune, PG_GETARG_ARRAYTYPE_P(ARGUMENT_QUERIES));
	look_at_parts(&tune);
	if (!PG_ARGISNULL(ARGUMENT_EXACT))
		tune_read_exact(&tune, PG_GETARG_OID(ARGUMENT_EXACT));

	chosen = find_settings_as_owner(&tune);
	put_frontier(result, &tune, chosen);
	put_parts(result, &tune, chosen != NULL ? chosen : linitial(tune.trials));
	if (chosen == NULL)
		tell_unreached(&tune, apply);

	finder = colbert_finder(tune.parts[0].index);
	names = part_names(&tune);
	UnregisterSnapshot(tune.snapshot);
	tune_close_parts(&tune);
	if (apply && chosen != NULL)
		foreach (cell, names)
			apply_settings(lfirst(cell), &chosen->asked, finder);
	PG_RETURN_NULL();
}
