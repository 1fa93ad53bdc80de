/*-------------------------------------------------------------------------
 *
 * findings.c
 *	  Collect the findings of an index check.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "storage/findings.h"
#include "lib/stringinfo.h"
#include "utils/memutils.h"

/* Maximum findings listed per part. */
#define MAX_IN_PART 100

Findings *
findings_create(void)
{
	Findings *findings = palloc0(sizeof(Findings));

	findings->context = CurrentMemoryContext;
	return findings;
}

void
findings_begin_part(Findings *findings, const char *part)
{
	findings->part = part;
	findings->in_part = 0;
}

static void
append_finding(Findings *findings, FindingSeverity severity, int64 item, char *message)
{
	MemoryContext old = MemoryContextSwitchTo(findings->context);
	Finding      *finding = palloc(sizeof(Finding));

	finding->severity = severity;
	finding->part = findings->part;
	finding->item = item;
	finding->message = pstrdup(message);
	findings->list = lappend(findings->list, finding);
	MemoryContextSwitchTo(old);
}

void
findings_add(Findings *findings, FindingSeverity severity, int64 item, const char *format, ...)
{
	StringInfoData message;

	if (++findings->in_part > MAX_IN_PART)
		return;
	initStringInfo(&message);
	for (;;)
	{
		va_list args;
		int     needed;

		va_start(args, format);
		needed = appendStringInfoVA(&message, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&message, needed);
	}
	append_finding(findings, severity, item, message.data);
	pfree(message.data);
	if (findings->in_part == MAX_IN_PART)
		append_finding(findings, severity, NO_ITEM, "further findings of this part are not listed");
}

static bool
contains(const Findings *findings, const Finding *wanted)
{
	ListCell *cell;

	foreach (cell, findings->list)
	{
		const Finding *finding = lfirst(cell);

		if (finding->severity == wanted->severity && finding->item == wanted->item &&
			strcmp(finding->part, wanted->part) == 0 &&
			strcmp(finding->message, wanted->message) == 0)
			return true;
	}
	return false;
}

void
findings_intersect(Findings *findings, const Findings *others)
{
	ListCell *cell;

	foreach (cell, findings->list)
		if (!contains(others, lfirst(cell)))
			findings->list = foreach_delete_current(findings->list, cell);
}
