/*-------------------------------------------------------------------------
 *
 * analyze.c
 *	  bm25_analyze: make the statistics of a tsvector column.
 *
 * They go to an ordinary table beside the source, TABLE_COLUMN_bm25. A later
 * call replaces the rows in the transaction of the caller, so other sessions
 * see the old statistics until it commits.
 *
 * Only the owner of the source may call the function, and it runs as that
 * owner, like ANALYZE.
 *
 * Lock order: the source, and then the table of statistics, of which one
 * session at a time may change the rows.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/relation.h"
#include "access/xact.h"
#include "base/row_receiver.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_ts_config.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "executor/spi.h"
#include "fulltext/counts.h"
#include "fulltext/statistics.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "tsearch/ts_cache.h"
#include "tsearch/ts_type.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(bm25_analyze);

enum
{
	ARGUMENT_SOURCE,
	ARGUMENT_COLUMN,
	ARGUMENT_SAMPLE,
	ARGUMENT_CONFIG
};

/* Interval between progress messages. */
#define TELL_EVERY_MS 10000

/* A smaller sample knows too few words. */
#define MIN_SAMPLE 100

/* Rows written by one statement. */
#define ROWS_PER_INSERT 10000

/* State of one call. */
typedef struct Analysis
{
	Relation      source;
	const char   *column;
	int64         sample;   /* rows wanted, or 0 for all */
	Oid           config;   /* text search configuration, or InvalidOid for that of the last call */
	double        expected; /* rows to read, estimated */
	double        fraction; /* of the rows that are read */
	LexemeCounts *counts;
	int64         documents; /* read so far */
	int64         without_positions;
	int64         lengths[BM25_SECTIONS];
	TimestampTz   told;
	MemoryContext context; /* of one document */
} Analysis;

/* A destination for tsvectors. */
typedef struct VectorReceiver
{
	DestReceiver receiver;
	Analysis    *analysis;
} VectorReceiver;

/* ---- counting ---- */

/* Count a document. Return true if a lexeme has no positions. */
static bool
count_vector(Analysis *analysis, TSVector vector)
{
	bool stripped = false;

	for (int i = 0; i < vector->size; i++)
	{
		const WordEntry *entry = &ARRPTR(vector)[i];
		int              npositions = POSDATALEN(vector, entry);

		counts_add(analysis->counts, STRPTR(vector) + entry->pos, entry->len);
		for (int p = 0; p < npositions; p++)
			analysis->lengths[WEP_GETWEIGHT(POSDATAPTR(vector, entry)[p])]++;
		analysis->lengths[0] += !entry->haspos;
		stripped |= !entry->haspos;
	}
	return stripped;
}

static bool
receive_vector(TupleTableSlot *slot, DestReceiver *receiver)
{
	Analysis     *analysis = ((VectorReceiver *) receiver)->analysis;
	bool          isnull;
	Datum         datum = slot_getattr(slot, 1, &isnull);
	MemoryContext previous;
	TimestampTz   now;

	if (isnull)
		return true;
	previous = MemoryContextSwitchTo(analysis->context);
	analysis->documents++;
	analysis->without_positions += count_vector(analysis, DatumGetTSVector(datum));
	MemoryContextSwitchTo(previous);
	MemoryContextReset(analysis->context);

	now = GetCurrentTimestamp();
	if (TimestampDifferenceExceeds(analysis->told, now, TELL_EVERY_MS))
	{
		analysis->told = now;
		ereport(NOTICE, (errmsg("bm25_analyze: read " INT64_FORMAT " of about %.0f documents",
								analysis->documents,
								Max(analysis->expected, (double) analysis->documents))));
	}
	return true;
}

/* ---- statements ---- */

/* Return the qualified name of a relation. */
static char *
name_of(Relation relation)
{
	return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
									  RelationGetRelationName(relation));
}

/* Run a statement that returns rows to a destination, or none. */
static void
run(const char *sql, ParamListInfo params, DestReceiver *receiver, int expected)
{
	SPIExecuteOptions options = {.params = params, .dest = receiver};
	int               rc = SPI_execute_extended(sql, &options);

	if (rc != expected)
		elog(ERROR, "could not run \"%s\": %s", sql, SPI_result_code_string(rc));
}

/* Count the rows of a table that was never analyzed. */
static double
count_rows(Relation source)
{
	bool isnull;

	run(psprintf("SELECT count(*) FROM %s", name_of(source)), NULL, NULL, SPI_OK_SELECT);
	return (double) DatumGetInt64(
		SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/* Determine how many rows to read. */
static void
plan_sample(Analysis *analysis)
{
	double rows = analysis->source->rd_rel->reltuples;

	if (rows < 0 && analysis->sample > 0)
		rows = count_rows(analysis->source);
	analysis->fraction =
		analysis->sample > 0 && analysis->sample < rows ? analysis->sample / rows : 1;
	analysis->expected = Max(rows, 0) * analysis->fraction;
}

/* Read the documents. */
static void
read_source(Analysis *analysis)
{
	VectorReceiver state = {.analysis = analysis};
	StringInfoData sql;

	state.receiver = row_receiver(receive_vector);
	plan_sample(analysis);
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s FROM %s", quote_identifier(analysis->column),
					 name_of(analysis->source));
	if (analysis->fraction < 1)
		appendStringInfo(&sql, " TABLESAMPLE BERNOULLI (%.17g)", analysis->fraction * 100);
	run(sql.data, NULL, &state.receiver, SPI_OK_SELECT);
}

/* ---- the table of statistics ---- */

/* Revoke what default privileges granted: the rights derive from the source. */
static void
revoke_grants(const char *table)
{
	SPITupleTable *grants;
	uint64         ngrants;

	run(psprintf("SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE "
				 "quote_ident(pg_get_userbyid(grantee)) END FROM pg_class, aclexplode(relacl) "
				 "WHERE pg_class.oid = %s::regclass AND grantee <> relowner",
				 quote_literal_cstr(table)),
		NULL, NULL, SPI_OK_SELECT);
	grants = SPI_tuptable;
	ngrants = SPI_processed;
	for (uint64 i = 0; i < ngrants; i++)
		run(psprintf("REVOKE ALL ON TABLE %s FROM %s", table,
					 SPI_getvalue(grants->vals[i], grants->tupdesc, 1)),
			NULL, NULL, SPI_OK_UTILITY);
}

static void
create_table(Analysis *analysis, const char *name)
{
	const char *table = quote_qualified_identifier(
		get_namespace_name(RelationGetNamespace(analysis->source)), name);

	run(psprintf("CREATE TABLE %s (%s)", table, statistics_columns), NULL, NULL, SPI_OK_UTILITY);
	run(psprintf("COMMENT ON TABLE %s IS %s", table,
				 quote_literal_cstr(psprintf("BM25 statistics of %s.%s",
											 RelationGetRelationName(analysis->source),
											 analysis->column))),
		NULL, NULL, SPI_OK_UTILITY);
	revoke_grants(table);
}

/* Tell the owner, once per column, of the storage that makes scores fast. */
static void
advise_storage(const Analysis *analysis)
{
	AttrNumber column = get_attnum(RelationGetRelid(analysis->source), analysis->column);
	char       storage = TupleDescAttr(RelationGetDescr(analysis->source), column - 1)->attstorage;

	if (storage != TYPSTORAGE_MAIN && storage != TYPSTORAGE_PLAIN)
		ereport(
			NOTICE,
			(errmsg("most of the time of bm25f will be detoasting column \"%s\"", analysis->column),
			 errhint("ALTER TABLE %s ALTER COLUMN %s SET STORAGE MAIN keeps the tsvectors of "
					 "new rows in their rows.",
					 quote_identifier(RelationGetRelationName(analysis->source)),
					 quote_identifier(analysis->column))));
}

compat_noreturn static void
reject_table(const char *name)
{
	ereport(ERROR, (errcode(ERRCODE_DUPLICATE_TABLE),
					errmsg("table \"%s\" has the statistics of another column", name),
					errhint("Rename or drop it.")));
}

/*
 * Open the table of statistics, which is made if it does not exist. Refuse a
 * table that is not ours to overwrite; that of another owner is not locked
 * either, since others would wait for the lock.
 */
static Statistics
open_table(Analysis *analysis)
{
	char *name =
		makeObjectName(RelationGetRelationName(analysis->source), analysis->column, "bm25");
	Oid        schema = RelationGetNamespace(analysis->source);
	Oid        table = get_relname_relid(name, schema);
	bool       exists = OidIsValid(table);
	Statistics statistics;

	if (!exists)
	{
		advise_storage(analysis);
		create_table(analysis, name);
		CommandCounterIncrement();
		table = get_relname_relid(name, schema);
	}
	if (statistics_owner(table) != analysis->source->rd_rel->relowner)
		reject_table(name);
	/* Another call may change the rows, such as the configuration, until this one has the lock. */
	LockRelationOid(table, ShareRowExclusiveLock);
	PopActiveSnapshot();
	PushActiveSnapshot(GetTransactionSnapshot());
	statistics = statistics_open(table, ShareRowExclusiveLock);
	if (statistics.table->rd_rel->relowner != analysis->source->rd_rel->relowner ||
		(exists && statistics.valid &&
		 (strcmp(statistics.source, RelationGetRelationName(analysis->source)) != 0 ||
		  strcmp(statistics.source_column, analysis->column) != 0)))
		reject_table(name);
	return statistics;
}

/* Return the qualified name of the configuration: given, that of the last call, or the default. */
static char *
config_name(const Analysis *analysis, const Statistics *statistics)
{
	Oid               oid = analysis->config;
	HeapTuple         row;
	Form_pg_ts_config config;
	char             *name;

	if (!OidIsValid(oid) && statistics->valid)
		return statistics->config;
	if (!OidIsValid(oid))
		oid = getTSCurrentConfig(true);
	row = SearchSysCache1(TSCONFIGOID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(row))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("text search configuration with OID %u does not exist", oid)));
	config = (Form_pg_ts_config) GETSTRUCT(row);
	name = quote_qualified_identifier(get_namespace_name(config->cfgnamespace),
									  NameStr(config->cfgname));
	ReleaseSysCache(row);
	return pstrdup(name);
}

static ParamExternData
parameter(Oid type, Datum value)
{
	return (ParamExternData) {.value = value, .pflags = PARAM_FLAG_CONST, .ptype = type};
}

/* Write the row that describes the whole. */
static void
write_whole(const Analysis *analysis, const Statistics *statistics, const char *config)
{
	ParamListInfo params = makeParamList(6);
	Datum         lengths[BM25_SECTIONS];
	double        documents = (double) analysis->documents;

	for (int s = 0; s < BM25_SECTIONS; s++)
		lengths[s] = Float8GetDatum(analysis->lengths[s] / Max(documents, 1));
	params->params[0] = parameter(INT8OID, Int64GetDatum(analysis->documents));
	params->params[1] =
		parameter(TEXTOID, CStringGetTextDatum(RelationGetRelationName(analysis->source)));
	params->params[2] = parameter(TEXTOID, CStringGetTextDatum(analysis->column));
	params->params[3] = parameter(TEXTOID, CStringGetTextDatum(config));
	params->params[4] = parameter(FLOAT8OID, Float8GetDatum(documents / analysis->fraction));
	params->params[5] = parameter(
		FLOAT8ARRAYOID, PointerGetDatum(construct_array(lengths, BM25_SECTIONS, FLOAT8OID,
														sizeof(float8), true, TYPALIGN_DOUBLE)));
	run(psprintf("INSERT INTO %s (lexeme, documents, source, source_column, config, "
				 "table_documents, lengths, analyzed) VALUES ('', $1, $2, $3, $4, $5, $6, now())",
				 name_of(statistics->table)),
		params, NULL, SPI_OK_INSERT);
}

/* Write up to ROWS_PER_INSERT lexemes. Return false if none is left. */
static bool
write_lexemes(Analysis *analysis, const char *sql, Datum *lexemes, Datum *documents)
{
	ParamListInfo params = makeParamList(2);
	int           n = 0;
	int64         count;

	while (n < ROWS_PER_INSERT && counts_next(analysis->counts, &lexemes[n], &count))
		documents[n++] = Int64GetDatum(count);
	if (n == 0)
		return false;
	params->params[0] =
		parameter(TEXTARRAYOID,
				  PointerGetDatum(construct_array(lexemes, n, TEXTOID, -1, false, TYPALIGN_INT)));
	params->params[1] =
		parameter(INT8ARRAYOID, PointerGetDatum(construct_array(documents, n, INT8OID, 8,
																FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)));
	run(sql, params, NULL, SPI_OK_INSERT);
	return true;
}

/* Replace the rows of the table. */
static void
write_statistics(Analysis *analysis, const Statistics *statistics)
{
	char         *config = config_name(analysis, statistics);
	char         *table = name_of(statistics->table);
	Datum        *lexemes = palloc(ROWS_PER_INSERT * sizeof(Datum));
	Datum        *documents = palloc(ROWS_PER_INSERT * sizeof(Datum));
	const char   *sql = psprintf("INSERT INTO %s (lexeme, documents) "
								   "SELECT * FROM unnest($1, $2)",
								 table);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "colbert_pg statistics",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext previous;
	bool          more = true;

	run(psprintf("DELETE FROM %s", table), NULL, NULL, SPI_OK_DELETE);
	write_whole(analysis, statistics, config);
	counts_sort(analysis->counts);
	while (more)
	{
		previous = MemoryContextSwitchTo(context);
		more = write_lexemes(analysis, sql, lexemes, documents);
		MemoryContextSwitchTo(previous);
		MemoryContextReset(context);
	}
}

/* ---- the function ---- */

/* Open the source and check that the caller may analyze the column. */
static void
open_source(Analysis *analysis, Oid oid)
{
	Relation   source = try_relation_open(oid, AccessShareLock);
	AttrNumber column;
	char       kind;

	if (source == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation with OID %u does not exist", oid)));
	kind = source->rd_rel->relkind;
	if (!compat_object_ownercheck(RelationRelationId, oid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(kind),
					   RelationGetRelationName(source));
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE && kind != RELKIND_MATVIEW)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a table or materialized view",
							   RelationGetRelationName(source))));
	if (source->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot make statistics of a temporary table")));
	column = get_attnum(oid, analysis->column);
	if (column <= 0 || get_atttype(oid, column) != TSVECTOROID)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("table \"%s\" has no tsvector column \"%s\"",
							   RelationGetRelationName(source), analysis->column)));
	analysis->source = source;
}

static void
warn_without_positions(const Analysis *analysis)
{
	if (analysis->without_positions > 0)
		ereport(
			WARNING,
			(errmsg(INT64_FORMAT " of " INT64_FORMAT " documents have lexemes without positions",
					analysis->without_positions, analysis->documents),
			 errdetail("bm25f counts such a lexeme as one occurrence in section D, and ranks "
					   "worse than with frequencies and lengths."),
			 errhint("Do not apply strip() to a tsvector that is ranked.")));
}

/* Read the source and write the statistics. Return the table's OID. */
static Oid
analyze_as_owner(Analysis *analysis)
{
	Statistics statistics;
	Oid        table;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PushActiveSnapshot(GetTransactionSnapshot());
	statistics = open_table(analysis);
	analysis->counts = counts_begin((Size) maintenance_work_mem * 1024);
	analysis->context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg document", ALLOCSET_DEFAULT_SIZES);
	read_source(analysis);
	write_statistics(analysis, &statistics);
	counts_end(analysis->counts);
	table = RelationGetRelid(statistics.table);
	statistics_close(&statistics, NoLock);
	PopActiveSnapshot();
	SPI_finish();
	return table;
}

static void
read_arguments(Analysis *analysis, FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(ARGUMENT_SOURCE) || PG_ARGISNULL(ARGUMENT_COLUMN))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("bm25_analyze needs a table and a column")));
	analysis->column = NameStr(*PG_GETARG_NAME(ARGUMENT_COLUMN));
	if (!PG_ARGISNULL(ARGUMENT_CONFIG))
		analysis->config = PG_GETARG_OID(ARGUMENT_CONFIG);
	open_source(analysis, PG_GETARG_OID(ARGUMENT_SOURCE));
	if (PG_ARGISNULL(ARGUMENT_SAMPLE))
		return;
	analysis->sample = PG_GETARG_INT64(ARGUMENT_SAMPLE);
	if (analysis->sample < MIN_SAMPLE)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("expected a sample of at least %d documents, not " INT64_FORMAT,
							   MIN_SAMPLE, analysis->sample)));
}

Datum
bm25_analyze(PG_FUNCTION_ARGS)
{
	Analysis analysis = {.told = GetCurrentTimestamp()};
	Oid      user;
	int      security;
	int      guc_level;
	Oid      table;

	PreventCommandIfReadOnly("bm25_analyze");
	read_arguments(&analysis, fcinfo);
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(analysis.source->rd_rel->relowner,
						   security | SECURITY_RESTRICTED_OPERATION | SECURITY_NOFORCE_RLS);
	guc_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	table = analyze_as_owner(&analysis);
	AtEOXact_GUC(false, guc_level);
	SetUserIdAndSecContext(user, security);
	warn_without_positions(&analysis);
	relation_close(analysis.source, AccessShareLock);
	PG_RETURN_OID(table);
}
