/*-------------------------------------------------------------------------
 *
 * tune.c
 *	  colbert_tune: the SQL function.
 *
 * It requires SELECT on the table, since recall reveals something about its
 * rows, and it refuses a table of which row-level security would hide rows.
 * Changing the options requires ownership of the index; ALTER INDEX then makes
 * the change.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/relation.h"
#include "access/transam.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "commands/tablecmds.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "index/view.h"
#include "miscadmin.h"
#include "tune/tune.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

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
 * Open the index and its table, the table first. Reject an index that is not
 * valid, or too new for the snapshot, because the planner would not use it.
 */
static void
open_relations(Tune *tune, Oid oid)
{
	Oid table = IndexGetRelation(oid, true);

	tune->heap = OidIsValid(table) ? try_relation_open(table, AccessShareLock) : NULL;
	tune->index = colbert_open_index(oid, AccessShareLock);
	if (tune->heap == NULL || IndexGetRelation(oid, false) != RelationGetRelid(tune->heap))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE), errmsg("the table of index \"%s\" was dropped",
														  RelationGetRelationName(tune->index))));
	if (!tune->index->rd_index->indisvalid)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("index \"%s\" is not valid", RelationGetRelationName(tune->index)),
						errhint("Drop it or REINDEX it.")));
	if (tune->index->rd_index->indcheckxmin &&
		!TransactionIdPrecedes(HeapTupleHeaderGetXmin(tune->index->rd_indextuple->t_data),
							   TransactionXmin))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("index \"%s\" is too new for the snapshot of this transaction",
							   RelationGetRelationName(tune->index)),
						errhint("Tune it in a new transaction.")));
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
	if (!compat_object_ownercheck(RelationRelationId, RelationGetRelid(tune->index), GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_INDEX, RelationGetRelationName(tune->index));
	/*
	 * Check now what ALTER INDEX would refuse in the end: the statement itself
	 * may be scanning the index.
	 */
	CheckTableNotInUse(tune->index, "ALTER INDEX");
}

static void
prepare_queries(Tune *tune, ArrayType *array)
{
	IndexView *view = view_open(tune->index, false, VIEW_WITHOUT_PENDING);
	Datum     *values;
	bool      *nulls;
	uint32    *lengths;

	tune->nodes = meta_nnodes(&view->index->meta);
	tune->docs = view->index->meta.documents.live_docs;
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
		view_check_dims(view, query->vector);
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

static void
put_trial(ReturnSetInfo *result, const Tune *tune, const Trial *trial, bool chosen)
{
	const SearchSettings *asked = &trial->asked;
	Datum                 values[] = {Float8GetDatum(asked->recall),
									  Int32GetDatum((int32) asked->probes),
									  Int32GetDatum((int32) asked->ef_search),
									  Int32GetDatum((int32) asked->candidates),
									  Int32GetDatum((int32) asked->rerank),
									  Float8GetDatum(trial->recall),
									  Float8GetDatum(trial->ms),
									  BoolGetDatum(chosen)};
	bool                  nulls[lengthof(values)] = {0};

	nulls[2] = colbert_finder(tune->index) != FINDER_HNSW;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
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

	put_trial(result, tune, automatic, automatic == chosen);
	list_sort(sorted, tune_cheapest_first);
	foreach (cell, sorted)
	{
		const Trial *trial = lfirst(cell);

		if (!trial->complete || (trial->recall <= recall && trial != chosen))
			continue;
		recall = Max(recall, trial->recall);
		if (trial != automatic)
			put_trial(result, tune, trial, trial == chosen);
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
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("index \"%s\" has no documents to search for",
							   RelationGetRelationName(tune->index))));
	tune_begin_trials(tune);
	chosen = tune_descend(tune);
	tune_end_trials(tune);
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

Datum
colbert_tune(PG_FUNCTION_ARGS)
{
	Tune        tune = {0};
	Trial      *chosen;
	FinderKind  finder;
	const char *name;
	bool        apply;

	InitMaterializedSRF(fcinfo, 0);
	check_arguments(fcinfo);
	apply = PG_GETARG_BOOL(ARGUMENT_APPLY);
	tune.target = PG_GETARG_FLOAT8(ARGUMENT_RECALL);
	tune.k = PG_GETARG_INT32(ARGUMENT_K);
	open_relations(&tune, PG_GETARG_OID(ARGUMENT_INDEX));
	check_rights(&tune, apply);
	tune.snapshot = RegisterSnapshot(GetActiveSnapshot());
	tune.told = GetCurrentTimestamp();
	tune.metric = colbert_metric(tune.index);
	prepare_queries(&tune, PG_GETARG_ARRAYTYPE_P(ARGUMENT_QUERIES));
	if (!PG_ARGISNULL(ARGUMENT_EXACT))
		tune_read_exact(&tune, PG_GETARG_OID(ARGUMENT_EXACT));

	chosen = find_settings_as_owner(&tune);
	put_frontier((ReturnSetInfo *) fcinfo->resultinfo, &tune, chosen);
	if (chosen == NULL)
		tell_unreached(&tune, apply);

	finder = colbert_finder(tune.index);
	name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(tune.index)),
									  RelationGetRelationName(tune.index));
	UnregisterSnapshot(tune.snapshot);
	relation_close(tune.index, AccessShareLock);
	relation_close(tune.heap, AccessShareLock);
	if (apply && chosen != NULL)
		apply_settings(name, &chosen->asked, finder);
	PG_RETURN_NULL();
}
