/*-------------------------------------------------------------------------
 *
 * analyze.c
 *	  ANALYZE statistics for a multivector column.
 *
 * The default ANALYZE would look for the most common values, which detoasts
 * and compares the whole sample. Documents are not common values, and no plan
 * depends on one. The planner needs only the fraction of NULLs, the width in
 * the row and the share of documents stored out of line (score_cost.c). They
 * come from the sample's tuples without reading a token.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "commands/vacuum.h"
#include "fmgr.h"
#include "multivector/statistics.h"

/*
 * Rows to sample, whatever the statistics target: as many as ANALYZE takes at
 * the default target.
 */
#define SAMPLE_ROWS 30000

PG_FUNCTION_INFO_V1(multivector_typanalyze);

/* Store the share of documents out of line as the numbers of the first slot. */
static void
put_external_share(VacAttrStats *stats, double share)
{
	stats->stakind[0] = STATISTIC_KIND_EXTERNAL_SHARE;
	stats->stanumbers[0] = MemoryContextAlloc(stats->anl_context, sizeof(float4));
	stats->stanumbers[0][0] = (float4) share;
	stats->numnumbers[0] = 1;
}

static void
compute_stats(VacAttrStats *stats, AnalyzeAttrFetchFunc fetch, int nrows, double total_rows)
{
	int    nulls = 0;
	int    external = 0;
	double width = 0;

	for (int i = 0; i < nrows; i++)
	{
		bool  isnull;
		Datum value;

		compat_analyze_delay_point();
		value = fetch(stats, i, &isnull);
		if (isnull)
		{
			nulls++;
			continue;
		}
		width += VARSIZE_ANY(DatumGetPointer(value));
		external += VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value));
	}
	if (nrows == 0)
		return;
	stats->stats_valid = true;
	stats->stanullfrac = (double) nulls / nrows;
	stats->stawidth = nulls < nrows ? width / (nrows - nulls) : 0;
	stats->stadistinct = 0; /* unknown */
	if (nulls < nrows)
		put_external_share(stats, (double) external / (nrows - nulls));
}

Datum
multivector_typanalyze(PG_FUNCTION_ARGS)
{
	VacAttrStats *stats = (VacAttrStats *) PG_GETARG_POINTER(0);

	stats->compute_stats = compute_stats;
	stats->minrows = SAMPLE_ROWS;
	PG_RETURN_BOOL(true);
}
