/*-------------------------------------------------------------------------
 *
 * read_exact.c
 *	  The exact answers to a sample of queries, from a table of them.
 *
 * Another program has computed them, such as FlatMaxSim of clients/python on a
 * GPU. The table has the columns query, the place of the query in the sample
 * counted from 1, and score, and it has k rows for each query; other columns
 * are ignored. The statement runs as the current user, before tuning switches
 * to the owner of the indexed table, so rights and policies apply as in a
 * SELECT.
 *
 * Scores of another program differ by rounding. A row counts as found if its
 * score falls short of the k-th best by at most ROUNDING of it.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "base/row_receiver.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "tune/tune.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* Share of a score that float32 sums of another program may miss. */
#define ROUNDING 1e-5

/* A destination for rows of the table. */
typedef struct AnswerReceiver
{
	DestReceiver receiver;
	Tune        *tune;
	BestScores  *best;
} AnswerReceiver;

static bool
receive_answer(TupleTableSlot *slot, DestReceiver *receiver)
{
	AnswerReceiver *state = (AnswerReceiver *) receiver;
	bool            no_query;
	bool            no_score;
	Datum           query = slot_getattr(slot, 1, &no_query);
	Datum           score = slot_getattr(slot, 2, &no_score);

	CHECK_FOR_INTERRUPTS();
	if (no_query || no_score || !isfinite(DatumGetFloat8(score)))
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("expected a query and a finite score in each exact answer")));
	if (DatumGetInt64(query) < 1 || DatumGetInt64(query) > state->tune->nqueries)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("expected exact answers to the queries 1 to %d, not to query %lld",
							   state->tune->nqueries, (long long) DatumGetInt64(query))));
	tune_best_add(state->best, (int) DatumGetInt64(query) - 1,
				  state->tune->metric == METRIC_L2 ? -DatumGetFloat8(score) : DatumGetFloat8(score),
				  NULL);
	return true;
}

static void
read_table(Oid table, DestReceiver *receiver)
{
	SPIExecuteOptions options = {.read_only = true, .dest = receiver};
	char             *name = get_rel_name(table);
	char             *sql;

	if (name == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("the table of exact answers does not exist")));
	sql = psprintf("SELECT query::pg_catalog.int8, score::pg_catalog.float8 FROM %s",
				   quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)), name));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_extended(sql, &options) != SPI_OK_SELECT)
		elog(ERROR, "could not run \"%s\"", sql);
	SPI_finish();
}

/* Return the number of answers to each query: k, or that of all documents if there are fewer. */
static int
count_answers(const Tune *tune, const BestScores *best)
{
	int    count = tune_best_count(best, 0);
	double documents = 0;
	int    least;

	for (int i = 0; i < tune->nparts; i++)
		documents += tune->parts[i].documents;
	least = (int) Min(documents, (double) tune->k);

	for (int i = 0; i < tune->nqueries; i++)
	{
		int found = tune_best_count(best, i);

		if (found == 0 || found != count || found < least)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("expected %d exact answers to query %d, not %d", least, i + 1, found),
					 errhint("Compute the k best documents of each query. If the table has fewer "
							 "than k rows, VACUUM it, because deleted rows count until then.")));
	}
	return count;
}

void
tune_read_exact(Tune *tune, Oid table)
{
	AnswerReceiver state = {.tune = tune};

	state.receiver = row_receiver(receive_answer);
	state.best = tune_best_begin(tune);
	read_table(table, &state.receiver);
	tune->wanted = count_answers(tune, state.best);
	tune_best_end(state.best);
	for (int i = 0; i < tune->nqueries; i++)
		tune->queries[i].least -= ROUNDING * fabs(tune->queries[i].least);
	for (int i = 0; i < tune->nparts; i++)
		tune->parts[i].answers = -1;
}
