/*-------------------------------------------------------------------------
 *
 * totals_view.c
 *	  SQL functions of the cumulative counters: colbert_stat_get_indexes,
 *	  colbert_stat_info, colbert_stat_reset.
 *
 * Sums over the searches of all users say little about a row, but a user who
 * searches while nobody else does can take differences. So the counters have
 * the rights of colbert_last_scan: a user sees those of tables of which the
 * user may read all rows. Members of pg_read_all_stats see all.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "access/counter_row.h"
#include "access/htup_details.h"
#include "access/totals.h"
#include "catalog/index.h"
#include "catalog/pg_authid.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "settings.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(colbert_stat_get_indexes);
PG_FUNCTION_INFO_V1(colbert_stat_info);
PG_FUNCTION_INFO_V1(colbert_stat_reset);
PG_FUNCTION_INFO_V1(colbert_stat_reset_index);

/* Return true if the index exists and the current user may see its counters. */
static bool
may_see(Oid index)
{
	Oid table = IndexGetRelation(index, true);

	return OidIsValid(table) && (has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) ||
								 colbert_table_is_visible(table));
}

static void
set_totals(CounterRow *row, const IndexTotals *totals)
{
	counter_row_clear(row);
	counter_row_set(row, "index", ObjectIdGetDatum(totals->key.index));
	counter_row_set_count(row, "aborted", (int64) totals->aborted);
	counter_row_set_count(row, "exhaustive", (int64) totals->exhaustive);
	counter_row_set_count(row, "query_tokens", (int64) totals->query_tokens);
	counter_row_set(row, "expected_misses", Float8GetDatum(totals->expected_misses));
	counter_row_set_counts(row, &totals->sum);
	counter_row_set_stages(row, &totals->sum);
	if (totals->last_search != 0)
		counter_row_set(row, "last_search", TimestampTzGetDatum(totals->last_search));
	counter_row_set(row, "since", TimestampTzGetDatum(totals->since));
}

/* Return the counters of the indexes of this database that the user may see. */
Datum
colbert_stat_get_indexes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	IndexTotals   *totals;
	CounterRow     row;
	int            count;

	InitMaterializedSRF(fcinfo, 0);
	if (!totals_exist())
		PG_RETURN_NULL();
	row = counter_row_new(result->setDesc);
	totals = totals_read(&count);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!may_see(totals[i].key.index))
			continue;
		set_totals(&row, &totals[i]);
		tuplestore_putvalues(result->setResult, result->setDesc, row.values, row.nulls);
	}
	PG_RETURN_NULL();
}

/* Return how the shared memory is used, or NULL if there are no counters. */
Datum
colbert_stat_info(PG_FUNCTION_ARGS)
{
	TupleDesc  desc;
	CounterRow row;
	TotalsUse  use;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (!totals_exist())
		PG_RETURN_NULL();
	use = totals_use();
	row = counter_row_new(BlessTupleDesc(desc));
	counter_row_set_count(&row, "indexes", use.indexes);
	counter_row_set_count(&row, "max_indexes", colbert_stat_indexes);
	counter_row_set_count(&row, "evicted", (int64) use.evicted);
	counter_row_set(&row, "since", TimestampTzGetDatum(use.since));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(row.desc, row.values, row.nulls)));
}

/* Set the counters of all indexes of this database to zero. */
Datum
colbert_stat_reset(PG_FUNCTION_ARGS)
{
	if (totals_exist())
		totals_reset(InvalidOid);
	PG_RETURN_VOID();
}

/* Set the counters of an index to zero, or those of all partitions. */
Datum
colbert_stat_reset_index(PG_FUNCTION_ARGS)
{
	Oid   index = PG_GETARG_OID(0);
	List *leaves = partitions_is_parent(index) ? partitions_leaves(index) : list_make1_oid(index);
	ListCell *cell;

	foreach (cell, leaves)
		if (totals_exist() && OidIsValid(lfirst_oid(cell)))
			totals_reset(lfirst_oid(cell));
	PG_RETURN_VOID();
}
