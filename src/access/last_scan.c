/*-------------------------------------------------------------------------
 *
 * last_scan.c
 *	  The counters of the last search, colbert_last_scan(), those of the last
 *	  statement's searches, colbert_last_scans(), and who may see counters.
 *
 * Counters reveal facts about rows that a user may not be allowed to see. They
 * are shown only to the user that the search ran as, and only if that user may
 * read the whole table. A user who reads the table only through a view, or
 * through a function that runs as another user, does not see them. They are
 * also hidden if row-level security applies to the table or to one of its
 * parents.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "access/counter_row.h"
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/partition.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(colbert_last_scan);
PG_FUNCTION_INFO_V1(colbert_last_scans);

/* Maximum searches of a statement that are kept: the last ones. */
#define MAX_SEARCHES 1024

/* The counters of a search, as of its last row or its end. */
typedef struct KeptSearch
{
	const SearchCounters *source; /* of a search that goes on; NULL if another one took its place */
	SearchCounters        counters;
} KeptSearch;

/* The searches of this backend's last statement that had any: a ring of MAX_SEARCHES. */
static KeptSearch *kept = NULL;
static int         kept_allocated = 0;
static uint64      nkept = 0;      /* searches of the statement */
static int         last_kept = -1; /* slot of the search that returned a row or ended last */
static TimestampTz kept_statement = 0;

/* Return the slot of a search that goes on, or -1. */
static int
find_kept(const SearchCounters *counters)
{
	int n = (int) Min(nkept, MAX_SEARCHES);

	if (n > 0 && kept[last_kept].source == counters)
		return last_kept;
	for (int i = 0; i < n; i++)
	{
		if (kept[i].source == counters)
			return i;
	}
	return -1;
}

/* Return a slot for one more search. */
static int
add_kept(void)
{
	if (nkept >= kept_allocated && kept_allocated < MAX_SEARCHES)
	{
		int more = kept_allocated == 0 ? 1 : kept_allocated * 2;

		if (kept == NULL)
			kept = MemoryContextAlloc(TopMemoryContext, more * sizeof(KeptSearch));
		else
			kept = repalloc(kept, more * sizeof(KeptSearch));
		kept_allocated = more;
	}
	return (int) (nkept++ % MAX_SEARCHES);
}

void
last_scan_keep(const SearchCounters *counters)
{
	int slot;

	if (kept_statement != GetCurrentStatementStartTimestamp())
	{
		kept_statement = GetCurrentStatementStartTimestamp();
		nkept = 0;
	}
	slot = find_kept(counters);
	if (slot < 0)
		slot = add_kept();
	kept[slot].source = counters;
	kept[slot].counters = *counters;
	last_kept = slot;
}

void
last_scan_begin(const SearchCounters *counters)
{
	int slot = find_kept(counters);

	/* An earlier search that has ended had its counters in the same place. */
	if (slot >= 0)
		kept[slot].source = NULL;
	last_scan_keep(counters);
}

/* ---- who may see counters ---- */

/* Return true if row-level security applies to a table or to one of its parents. */
static bool
is_under_policy(Oid table)
{
	Relation    inherits;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple   tuple;
	bool        found;

	check_stack_depth();
	found = check_enable_rls(table, InvalidOid, true) == RLS_ENABLED;
	inherits = table_open(InheritsRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(table));
	scan = systable_beginscan(inherits, InheritsRelidSeqnoIndexId, true, NULL, 1, &key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
		found = is_under_policy(((Form_pg_inherits) GETSTRUCT(tuple))->inhparent);
	systable_endscan(scan);
	table_close(inherits, AccessShareLock);
	return found;
}

/* Return true if the current user has SELECT on a table; false if it was dropped meanwhile. */
static bool
may_select(Oid table)
{
	bool missing = false;

	return pg_class_aclcheck_ext(table, GetUserId(), ACL_SELECT, &missing) == ACLCHECK_OK;
}

/*
 * Return true if the current user may read a table, or a partitioned table that
 * contains it.
 */
static bool
may_read(Oid table)
{
	ListCell *cell;

	if (may_select(table))
		return true;
	if (!get_rel_relispartition(table))
		return false;
	foreach (cell, get_partition_ancestors(table))
	{
		if (may_select(lfirst_oid(cell)))
			return true;
	}
	return false;
}

bool
colbert_table_is_visible(Oid table)
{
	return may_read(table) && !is_under_policy(table);
}

bool
last_scan_visible(const SearchCounters *counters)
{
	Oid table;

	if (!counters->valid || counters->user != GetUserId())
		return false;
	table = IndexGetRelation(counters->index, true);
	return OidIsValid(table) && colbert_table_is_visible(table);
}

/* ---- colbert_last_scan ---- */

static void
set_settings(CounterRow *row, const SearchCounters *c)
{
	Datum *chosen = palloc(search_nsettings * sizeof(Datum));
	int    nchosen = 0;

	for (int i = 0; i < search_nsettings; i++)
	{
		const SearchSettingName *setting = &search_settings[i];

		counter_row_set_count(row, setting->name, setting_value(&c->settings, setting));
		if (setting_value(&c->asked, setting) == 0)
			chosen[nchosen++] = CStringGetTextDatum(setting->name);
	}
	counter_row_set(
		row, "automatic",
		PointerGetDatum(construct_array(chosen, nchosen, TEXTOID, -1, false, TYPALIGN_INT)));
}

/* Set all columns of a row whose arrays are allocated. */
static void
set_row(CounterRow *row, const SearchCounters *c)
{
	counter_row_clear(row);
	counter_row_set(row, "index", ObjectIdGetDatum(c->index));
	counter_row_set_count(row, "query_tokens", c->query_tokens);
	counter_row_set(row, "exhaustive", BoolGetDatum(c->exhaustive));
	counter_row_set(row, "recall", Float8GetDatum(c->settings.recall));
	counter_row_set(row, "expected_misses", Float8GetDatum(c->expected_misses));
	counter_row_set(row, "share", Float8GetDatum(c->share));
	counter_row_set_counts(row, c);
	counter_row_set_stages(row, c);
	set_settings(row, c);
}

/*
 * Return the counters of this backend's last index scan: NULL before the first
 * scan, and if the user may not see them.
 */
Datum
colbert_last_scan(PG_FUNCTION_ARGS)
{
	TupleDesc  desc;
	CounterRow row;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (last_kept < 0 || !last_scan_visible(&kept[last_kept].counters))
		PG_RETURN_NULL();

	row = counter_row_new(BlessTupleDesc(desc));
	set_row(&row, &kept[last_kept].counters);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(row.desc, row.values, row.nulls)));
}

/*
 * Return the counters of the searches of this backend's last statement that
 * had any, in the order in which they began: one per partition and rescan.
 */
Datum
colbert_last_scans(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	CounterRow     row;

	InitMaterializedSRF(fcinfo, 0);
	row = counter_row_new(result->setDesc);
	for (uint64 i = nkept > MAX_SEARCHES ? nkept - MAX_SEARCHES : 0; i < nkept; i++)
	{
		const SearchCounters *c = &kept[i % MAX_SEARCHES].counters;

		CHECK_FOR_INTERRUPTS();
		if (!last_scan_visible(c))
			continue;
		set_row(&row, c);
		tuplestore_putvalues(result->setResult, result->setDesc, row.values, row.nulls);
	}
	PG_RETURN_NULL();
}
