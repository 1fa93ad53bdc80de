/*-------------------------------------------------------------------------
 *
 * last_scan.c
 *	  The counters of the last search, colbert_last_scan(), and who may see
 *	  counters.
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
#include "access/genam.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rls.h"

PG_FUNCTION_INFO_V1(colbert_last_scan);

/* Counters of this backend's last search, as of its last row or its end. */
static SearchCounters last;

void
last_scan_keep(const SearchCounters *counters)
{
	last = *counters;
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

bool
colbert_table_is_visible(Oid table)
{
	return pg_class_aclcheck(table, GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
		   !is_under_policy(table);
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

/* A row whose columns are set by name. */
typedef struct NamedRow
{
	TupleDesc desc;
	Datum    *values;
	bool     *nulls;
} NamedRow;

/* Set a column. Does nothing if the installed extension version does not declare it. */
static void
set_column(NamedRow *row, const char *name, Datum value)
{
	int number = SPI_fnumber(row->desc, name);

	if (number <= 0)
		return;
	row->values[number - 1] = value;
	row->nulls[number - 1] = false;
}

/* Set a column that is declared as integer or bigint. */
static void
set_count(NamedRow *row, const char *name, int64 value)
{
	int number = SPI_fnumber(row->desc, name);

	if (number > 0 && SPI_gettypeid(row->desc, number) == INT4OID)
		set_column(row, name, Int32GetDatum((int32) value));
	else
		set_column(row, name, Int64GetDatum(value));
}

static void
set_settings(NamedRow *row, const SearchCounters *c)
{
	Datum *chosen = palloc(search_nsettings * sizeof(Datum));
	int    nchosen = 0;

	for (int i = 0; i < search_nsettings; i++)
	{
		const SearchSettingName *setting = &search_settings[i];

		set_count(row, setting->name, setting_value(&c->settings, setting));
		if (setting_value(&c->asked, setting) == 0)
			chosen[nchosen++] = CStringGetTextDatum(setting->name);
	}
	set_column(row, "automatic",
			   PointerGetDatum(construct_array(chosen, nchosen, TEXTOID, -1, false, TYPALIGN_INT)));
}

static void
set_stages(NamedRow *row, const SearchCounters *c)
{
	for (int stage = 0; stage < STAGE_COUNT; stage++)
	{
		const char *prefix = search_stages[stage].prefix;

		set_column(row, psprintf("%s_ms", prefix),
				   Float8GetDatum(INSTR_TIME_GET_MILLISEC(c->time[stage])));
		set_count(row, psprintf("%s_hit", prefix), c->hit[stage]);
		set_count(row, psprintf("%s_read", prefix), c->read[stage]);
	}
}

/*
 * Return the counters of this backend's last index scan: NULL before the first
 * scan, and if the user may not see them.
 */
Datum
colbert_last_scan(PG_FUNCTION_ARGS)
{
	const SearchCounters *c = &last;
	NamedRow              row;

	if (get_call_result_type(fcinfo, NULL, &row.desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (!last_scan_visible(c))
		PG_RETURN_NULL();

	row.values = palloc0(row.desc->natts * sizeof(Datum));
	row.nulls = palloc(row.desc->natts * sizeof(bool));
	memset(row.nulls, true, row.desc->natts * sizeof(bool));
	set_column(&row, "index", ObjectIdGetDatum(c->index));
	set_count(&row, "query_tokens", c->query_tokens);
	set_column(&row, "exhaustive", BoolGetDatum(c->exhaustive));
	set_column(&row, "recall", Float8GetDatum(c->settings.recall));
	set_column(&row, "expected_misses", Float8GetDatum(c->expected_misses));
	for (int i = 0; i < search_ncounts; i++)
		set_count(&row, search_counts[i].name, (int64) count_value(c, &search_counts[i]));
	set_settings(&row, c);
	set_stages(&row, c);
	PG_RETURN_DATUM(
		HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row.desc), row.values, row.nulls)));
}
