/*-------------------------------------------------------------------------
 *
 * top_hits.c
 *	  Thinning hits to the best.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "nodes/top_hits.h"

#define THIN_BINS 64

/* A range of keys, cut into bins. */
typedef struct ThinBins
{
	float lowest;
	float per_key;
} ThinBins;

static inline uint32
bin_of(const ThinBins *bins, float key)
{
	return (uint32) ((key - bins->lowest) * bins->per_key);
}

/* The fewest best bins that hold what is wanted: the lowest of them. */
static uint32
lowest_wanted_bin(const TopHits *top, const ThinBins *bins)
{
	uint32 counts[THIN_BINS + 1] = {0};
	uint32 bin = THIN_BINS + 1;
	uint32 above = 0;

	for (uint32 i = 0; i < top->count; i++)
		counts[bin_of(bins, top->hits[i].key)]++;
	while (above < top->wanted)
		above += counts[--bin];
	return bin;
}

void
top_thin(TopHits *top)
{
	float    lowest = INFINITY;
	float    highest = -INFINITY;
	ThinBins bins;
	uint32   bin;
	uint32   kept = 0;

	if (top->count <= top->wanted)
		return;
	for (uint32 i = 0; i < top->count; i++)
	{
		lowest = Min(lowest, top->hits[i].key);
		highest = Max(highest, top->hits[i].key);
	}
	bins = (ThinBins) {lowest, (THIN_BINS - 1) / (highest - lowest)};
	/* Where keys are (nearly) equal, or not finite, there are no bins. */
	if (!isfinite(bins.per_key * highest) || !isfinite(lowest) || bins.per_key <= 0)
	{
		top_cut(top);
		return;
	}
	bin = lowest_wanted_bin(top, &bins);
	for (uint32 i = 0; i < top->count; i++)
	{
		NodeHit hit = top->hits[i];

		top->hits[kept] = hit;
		kept += bin_of(&bins, hit.key) >= bin;
	}
	top->count = kept;
	/* One far from the others crowds these into a bin. */
	if (kept > top->room / 2)
	{
		top_cut(top);
		return;
	}
	top->worst = INFINITY;
	for (uint32 i = 0; i < kept; i++)
		top->worst = Min(top->worst, top->hits[i].key);
}
