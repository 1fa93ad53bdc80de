/*-------------------------------------------------------------------------
 *
 * exact.c
 *	  The exact answers to a sample of queries.
 *
 * One pass over the table, in parallel if the planner has workers, scores each
 * row for all queries. Only the k best scores of each query are kept.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "base/row_receiver.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "tune/tune.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

/* A destination for rows of scores. */
typedef struct ScoreReceiver
{
	DestReceiver receiver;
	Tune        *tune;
	TunePart    *part; /* whose rows come */
	BestScores  *best;
	uint64       rows;
} ScoreReceiver;

static double
all_documents(const Tune *tune)
{
	double documents = 0;

	for (int i = 0; i < tune->nparts; i++)
		documents += tune->parts[i].documents;
	return documents;
}

static bool
receive_scores(TupleTableSlot *slot, DestReceiver *receiver)
{
	ScoreReceiver *state = (ScoreReceiver *) receiver;
	Tune          *tune = state->tune;
	bool           isnull;
	Datum          datum = slot_getattr(slot, 1, &isnull);
	ArrayType     *array;
	const float8  *scores;

	/* The document is NULL, so no search returns it. */
	if (isnull)
		return true;
	array = DatumGetArrayTypeP(datum);
	scores = (const float8 *) ARR_DATA_PTR(array);
	for (int i = 0; i < tune->nqueries; i++)
		tune_best_add(state->best, i, tune->metric == METRIC_L2 ? -scores[i] : scores[i],
					  state->part);
	if (array != (ArrayType *) DatumGetPointer(datum))
		pfree(array);

	state->rows++;
	if (tune_time_to_tell(tune))
		ereport(NOTICE, (errmsg("exact answers: " UINT64_FORMAT " of about %.0f rows", state->rows,
								Max(all_documents(tune), (double) state->rows))));
	return true;
}

/* Return the indexed column or expression as it would be written in a query of the table. */
static char *
indexed_expression(const TunePart *part, List *context)
{
	AttrNumber column = part->index->rd_index->indkey.values[0];

	if (column != 0)
		return pstrdup(quote_identifier(get_attname(RelationGetRelid(part->heap), column, false)));
	return deparse_expression(linitial(RelationGetIndexExpressions(part->index)), context, false,
							  false);
}

static char *
scores_statement(const TunePart *part)
{
	Oid   score = index_getprocid(part->index, 1, SUPPORT_SCORE);
	char *schema = get_namespace_name(get_func_namespace(score));
	List *context =
		deparse_context_for(RelationGetRelationName(part->heap), RelationGetRelid(part->heap));
	List          *predicate = RelationGetIndexPredicate(part->index);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(
		&sql, "SELECT %s(CAST((%s) AS %s), $1, %d) FROM ONLY %s",
		quote_qualified_identifier(schema, "multivector_scores"), indexed_expression(part, context),
		format_type_be_qualified(part->index->rd_opcintype[0]), (int) part->tune->metric,
		quote_qualified_identifier(get_namespace_name(RelationGetNamespace(part->heap)),
								   RelationGetRelationName(part->heap)));
	if (predicate != NIL)
		appendStringInfo(
			&sql, " WHERE %s",
			deparse_expression((Node *) make_ands_explicit(predicate), context, false, false));
	return sql.data;
}

static void
set_parameter(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
}

/*
 * Run the statement as a scan of the table without any index, with as many
 * workers as possible. The planner would start few, because a table with few
 * pages has far larger documents out of line.
 */
static void
run_statement(Tune *tune, const char *sql, DestReceiver *receiver)
{
	ParamListInfo     params = makeParamList(1);
	SPIExecuteOptions options = {.params = params, .read_only = true, .dest = receiver};
	int               guc_level = NewGUCNestLevel();
	int               rc;

	params->params[0].value = tune->sample;
	params->params[0].isnull = false;
	params->params[0].pflags = PARAM_FLAG_CONST;
	params->params[0].ptype = get_array_type(tune->parts[0].index->rd_opcintype[0]);
	set_parameter("enable_indexscan", "off");
	set_parameter("enable_seqscan", "on");
	set_parameter("min_parallel_table_scan_size", "0");
	set_parameter("jit", "off");

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	rc = SPI_execute_extended(sql, &options);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_extended failed: %s", SPI_result_code_string(rc));
	SPI_finish();
	AtEOXact_GUC(false, guc_level);
}

/* Score the rows of a part with the rights of the owner of its table. */
static void
score_part(ScoreReceiver *state, TunePart *part)
{
	Oid user;
	int security;

	state->part = part;
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(part->heap->rd_rel->relowner, security);
	run_statement(state->tune, scores_statement(part), &state->receiver);
	SetUserIdAndSecContext(user, security);
}

void
tune_exact(Tune *tune)
{
	ScoreReceiver state = {.tune = tune};

	state.receiver = row_receiver(receive_scores);
	state.best = tune_best_begin(tune);
	for (int i = 0; i < tune->nparts; i++)
		score_part(&state, &tune->parts[i]);
	tune->wanted = (int) Min(state.rows, (uint64) tune->k);
	tune_best_end(state.best);
}
