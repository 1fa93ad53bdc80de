/*-------------------------------------------------------------------------
 *
 * analyze.c
 *	  ANALYZE statistics for a multivector column.
 *
 * The default ANALYZE would look for the most common values, which detoasts
 * and compares the whole sample. Documents are not common values, and no plan
 * depends on one. The planner needs only the fraction of NULLs and the width
 * in the row (score_cost.c). Both come from the sample's tuples without
 * reading a token.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "commands/vacuum.h"
#include "fmgr.h"

/*
 * Rows to sample, whatever the statistics target: as many as ANALYZE takes at
 * the default target.
 */
#define SAMPLE_ROWS 30000

PG_FUNCTION_INFO_V1(multivector_typanalyze);

static void
compute_stats(VacAttrStats *stats, AnalyzeAttrFetchFunc fetch, int nrows, double total_rows)
{
	int    nulls = 0;
	double width = 0;

	for (int i = 0; i < nrows; i++)
	{
		bool  isnull;
		Datum value;

		compat_analyze_delay_point();
		value = fetch(stats, i, &isnull);
		if (isnull)
			nulls++;
		else
			width += VARSIZE_ANY(DatumGetPointer(value));
	}
	if (nrows == 0)
		return;
	stats->stats_valid = true;
	stats->stanullfrac = (double) nulls / nrows;
	stats->stawidth = nulls < nrows ? width / (nrows - nulls) : 0;
	stats->stadistinct = 0; /* unknown */
}

Datum
multivector_typanalyze(PG_FUNCTION_ARGS)
{
	VacAttrStats *stats = (VacAttrStats *) PG_GETARG_POINTER(0);

	stats->compute_stats = compute_stats;
	stats->minrows = SAMPLE_ROWS;
	PG_RETURN_BOOL(true);
}
