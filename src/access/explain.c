/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  Show the counters of an index scan's searches in EXPLAIN (ANALYZE), if
 *	  the server lets extensions add to it (PostgreSQL 18).
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"

#ifdef COMPAT_EXPLAIN_PER_NODE

#include "access/relscan.h"
#include "commands/explain.h"
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#include "lib/stringinfo.h"

static explain_per_node_hook_type previous_hook;

/* Return the line of a stage, without its label. */
static char *
stage_line(const SearchCounters *counters, SearchStage stage, const ExplainState *es)
{
	StringInfoData line;

	initStringInfo(&line);
	for (int i = 0; i < search_ncounts; i++)
		if (search_counts[i].stage == stage)
			appendStringInfo(&line, "%s%s=" UINT64_FORMAT, line.len > 0 ? " " : "",
							 search_counts[i].label, count_value(counters, &search_counts[i]));
	if (es->timing)
		appendStringInfo(&line, " time=%.3f ms", INSTR_TIME_GET_MILLISEC(counters->time[stage]));
	if (es->buffers)
		appendStringInfo(&line, " hit=" INT64_FORMAT " read=" INT64_FORMAT " ahead=" INT64_FORMAT,
						 counters->hit[stage], counters->read[stage], counters->ahead[stage]);
	return line.data;
}

/* Show a stage: one line in text format, otherwise one group. */
static void
explain_stage(const SearchCounters *counters, SearchStage stage, ExplainState *es)
{
	const char *label = search_stages[stage].label;
	double      ms = INSTR_TIME_GET_MILLISEC(counters->time[stage]);

	if (es->format == EXPLAIN_FORMAT_TEXT)
	{
		ExplainPropertyText(label, stage_line(counters, stage, es), es);
		return;
	}
	ExplainOpenGroup(label, label, true, es);
	for (int i = 0; i < search_ncounts; i++)
		if (search_counts[i].stage == stage)
			ExplainPropertyUInteger(search_counts[i].label, NULL,
									count_value(counters, &search_counts[i]), es);
	if (es->timing)
		ExplainPropertyFloat("time", "ms", ms, 3, es);
	if (es->buffers)
	{
		ExplainPropertyInteger("hit", NULL, counters->hit[stage], es);
		ExplainPropertyInteger("read", NULL, counters->read[stage], es);
		ExplainPropertyInteger("ahead", NULL, counters->ahead[stage], es);
	}
	ExplainCloseGroup(label, label, true, es);
}

static void
explain_settings(const SearchCounters *c, ExplainState *es)
{
	StringInfoData line;

	initStringInfo(&line);
	for (int i = 0; i < search_nsettings; i++)
	{
		const SearchSettingName *setting = &search_settings[i];

		appendStringInfo(&line, "%s%s=%u%s", i > 0 ? " " : "", setting->name,
						 setting_value(&c->settings, setting),
						 setting_value(&c->asked, setting) == 0 ? " (auto)" : "");
	}
	ExplainPropertyText("Search Settings", line.data, es);
}

/* Show what a search aims at, and its part of the searches of several partitions. */
static void
explain_target(const SearchCounters *c, ExplainState *es)
{
	const char *label = "Search Target";

	if (es->format == EXPLAIN_FORMAT_TEXT)
	{
		ExplainPropertyText(label,
							psprintf("recall=%g expected_misses=%.3f share=%.3g",
									 c->settings.recall, c->expected_misses, c->share),
							es);
		return;
	}
	ExplainOpenGroup(label, label, true, es);
	ExplainPropertyFloat("recall", NULL, c->settings.recall, 4, es);
	ExplainPropertyFloat("expected_misses", NULL, c->expected_misses, 3, es);
	ExplainPropertyFloat("share", NULL, c->share, 4, es);
	ExplainCloseGroup(label, label, true, es);
}

static void
explain_counters(const SearchCounters *c, ExplainState *es)
{
	explain_settings(c, es);
	explain_target(c, es);
	for (SearchStage stage = 0; stage < STAGE_COUNT; stage++)
		explain_stage(c, stage, es);
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
		if (last_scan_visible(&counters))
			explain_counters(&counters, es);
	}
}

void
explain_init(void)
{
	previous_hook = explain_per_node_hook;
	explain_per_node_hook = explain_node;
}

#else

void
explain_init(void)
{
}

#endif /* COMPAT_EXPLAIN_PER_NODE */
