/*-------------------------------------------------------------------------
 *
 * last_scan.c
 *	  What searches did: colbert_last_scan, and EXPLAIN (ANALYZE) where the
 *	  server lets extensions add to it.
 *
 * Counts tell of rows that a person may not be allowed to see. They are shown
 * to whom the search ran as, who may read the whole table: neither through a
 * view or a function of somebody else's, nor under row-level security, of the
 * table or of one that it is a part of.
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
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rls.h"

PG_FUNCTION_INFO_V1(colbert_last_scan);

/* Counters of this backend's last search, as they stood when it last gave a row or ended. */
static SearchCounters last;

void
last_scan_keep(const SearchCounters *counters)
{
	last = *counters;
}

/* ---- who may see them ---- */

/* Does row-level security apply to a table, or to one that it is a part of? */
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

static bool
counters_visible(const SearchCounters *counters)
{
	Oid table;

	if (!counters->valid || counters->user != GetUserId())
		return false;
	table = IndexGetRelation(counters->index, true);
	return OidIsValid(table) && colbert_table_is_visible(table);
}

/* ---- colbert_last_scan ---- */

/* The names of the settings that the index chose. */
static Datum
automatic_settings(const SearchCounters *counters)
{
	Datum names[4];
	int   n = 0;

	if (counters->asked.probes == 0)
		names[n++] = CStringGetTextDatum("probes");
	if (counters->asked.ef_search == 0)
		names[n++] = CStringGetTextDatum("ef_search");
	if (counters->asked.candidates == 0)
		names[n++] = CStringGetTextDatum("candidates");
	if (counters->asked.rerank == 0)
		names[n++] = CStringGetTextDatum("rerank");
	return PointerGetDatum(construct_array(names, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* What this backend's last index scan did; NULL before the first, and where its counts are not to be seen. */
Datum
colbert_last_scan(PG_FUNCTION_ARGS)
{
	const SearchCounters *c = &last;
	TupleDesc             desc;
	Datum                 values[64];
	bool                  nulls[64] = {0};
	int                   n = 0;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE ||
		desc->natts > lengthof(values))
		elog(ERROR, "return type must be a row type");
	if (!counters_visible(c))
		PG_RETURN_NULL();

	values[n++] = ObjectIdGetDatum(c->index);
	values[n++] = Int32GetDatum(c->query_tokens);
	values[n++] = Int32GetDatum(c->settings.probes);
	values[n++] = Int32GetDatum(c->settings.ef_search);
	values[n++] = Int32GetDatum(c->settings.candidates);
	values[n++] = Int32GetDatum(c->settings.rerank);
	values[n++] = Int64GetDatum((int64) c->hops);
	values[n++] = Int64GetDatum((int64) c->nodes);
	values[n++] = Int64GetDatum((int64) c->postings);
	values[n++] = Int64GetDatum((int64) c->gathered);
	values[n++] = Int64GetDatum((int64) c->pending);
	values[n++] = Int64GetDatum((int64) c->narrowed);
	values[n++] = Int64GetDatum((int64) c->reranked);
	values[n++] = Int64GetDatum((int64) c->fetched);
	values[n++] = Int64GetDatum((int64) c->scored);
	values[n++] = Int64GetDatum((int64) c->emitted);
	values[n++] = Int64GetDatum((int64) c->late);
	values[n++] = Int32GetDatum(c->widenings);
	values[n++] = BoolGetDatum(c->exhaustive);
	for (int stage = 0; stage < STAGE_COUNT; stage++)
		values[n++] = Float8GetDatum(INSTR_TIME_GET_MILLISEC(c->time[stage]));
	values[n++] = Int64GetDatum((int64) c->tested);
	values[n++] = Int64GetDatum((int64) c->passed);
	values[n++] = Int32GetDatum(c->passes);
	values[n++] = Int64GetDatum((int64) c->batches);
	values[n++] = automatic_settings(c);
	for (int stage = 0; stage < STAGE_COUNT; stage++)
		values[n++] = Int64GetDatum(c->hit[stage]);
	for (int stage = 0; stage < STAGE_COUNT; stage++)
		values[n++] = Int64GetDatum(c->read[stage]);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* ---- EXPLAIN (ANALYZE) ---- */

#ifdef COMPAT_EXPLAIN_PER_NODE

#include "commands/explain.h"
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#include "lib/stringinfo.h"

static explain_per_node_hook_type previous_hook;

/* A count of a stage, as EXPLAIN names it. */
typedef struct Field
{
	const char *name;
	uint64      value;
} Field;

/* One line, or one group of an output for programs; fields end with a name of NULL. */
static void
explain_stage(const SearchCounters *counters, SearchStage stage, const char *label,
			  const Field *fields, ExplainState *es)
{
	double ms = INSTR_TIME_GET_MILLISEC(counters->time[stage]);

	if (es->format == EXPLAIN_FORMAT_TEXT)
	{
		StringInfoData line;

		initStringInfo(&line);
		for (const Field *field = fields; field->name != NULL; field++)
			appendStringInfo(&line, "%s%s=" UINT64_FORMAT, field == fields ? "" : " ", field->name,
							 field->value);
		if (es->timing)
			appendStringInfo(&line, " time=%.3f ms", ms);
		if (es->buffers)
			appendStringInfo(&line, " hit=" INT64_FORMAT " read=" INT64_FORMAT,
							 counters->hit[stage], counters->read[stage]);
		ExplainPropertyText(label, line.data, es);
		return;
	}
	ExplainOpenGroup(label, label, true, es);
	for (const Field *field = fields; field->name != NULL; field++)
		ExplainPropertyUInteger(field->name, NULL, field->value, es);
	if (es->timing)
		ExplainPropertyFloat("time", "ms", ms, 3, es);
	if (es->buffers)
	{
		ExplainPropertyInteger("hit", NULL, counters->hit[stage], es);
		ExplainPropertyInteger("read", NULL, counters->read[stage], es);
	}
	ExplainCloseGroup(label, label, true, es);
}

static void
append_setting(StringInfo line, const char *name, uint32 asked, uint32 used)
{
	appendStringInfo(line, "%s%s=%u%s", line->len > 0 ? " " : "", name, used,
					 asked == 0 ? " (auto)" : "");
}

static void
explain_settings(const SearchCounters *c, ExplainState *es)
{
	StringInfoData line;

	initStringInfo(&line);
	append_setting(&line, "probes", c->asked.probes, c->settings.probes);
	append_setting(&line, "ef_search", c->asked.ef_search, c->settings.ef_search);
	append_setting(&line, "candidates", c->asked.candidates, c->settings.candidates);
	append_setting(&line, "rerank", c->asked.rerank, c->settings.rerank);
	ExplainPropertyText("Search Settings", line.data, es);
}

static void
explain_counters(const SearchCounters *c, ExplainState *es)
{
	const Field find[] = {
		{"searches", c->searches}, {"nodes", c->nodes}, {"hops", c->hops}, {NULL}};
	const Field gather[] = {{"postings", c->postings}, {"documents", c->gathered}, {NULL}};
	const Field narrow[] = {{"documents", c->narrowed},
							{"pending", c->pending},
							{"widenings", c->widenings},
							{"passes", c->passes},
							{NULL}};
	const Field rerank[] = {{"documents", c->reranked}, {"batches", c->batches}, {NULL}};
	const Field exact[] = {{"fetched", c->fetched},
						   {"tested", c->tested},
						   {"passed", c->passed},
						   {"scored", c->scored},
						   {"emitted", c->emitted},
						   {"late", c->late},
						   {NULL}};

	explain_settings(c, es);
	explain_stage(c, STAGE_FIND, "Find", find, es);
	explain_stage(c, STAGE_GATHER, "Gather", gather, es);
	explain_stage(c, STAGE_NARROW, "Narrow", narrow, es);
	explain_stage(c, STAGE_RERANK, "Rerank", rerank, es);
	explain_stage(c, STAGE_EXACT, "Exact", exact, es);
}

static void
explain_node(PlanState *planstate, List *ancestors, const char *relationship, const char *plan_name,
			 ExplainState *es)
{
	if (previous_hook != NULL)
		previous_hook(planstate, ancestors, relationship, plan_name, es);

	if (es->analyze && IsA(planstate, IndexScanState))
	{
		IndexScanDesc  scan = ((IndexScanState *) planstate)->iss_ScanDesc;
		SearchCounters counters;

		if (scan == NULL || scan->indexRelation->rd_indam->amgettuple != colbert_gettuple)
			return;
		counters = colbert_scan_counters(scan);
		if (counters_visible(&counters))
			explain_counters(&counters, es);
	}
}

void
last_scan_init(void)
{
	previous_hook = explain_per_node_hook;
	explain_per_node_hook = explain_node;
}

#else

void
last_scan_init(void)
{
}

#endif /* COMPAT_EXPLAIN_PER_NODE */
