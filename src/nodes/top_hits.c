/*-------------------------------------------------------------------------
 *
 * top_hits.c
 *	  Thin an array of hits to the best ones.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "base/bins.h"
#include "nodes/top_hits.h"

#define THIN_BINS 64

/* Return the highest bin such that it and the bins above hold at least the wanted hits. */
static uint32
lowest_wanted_bin(const TopHits *top, const Bins *bins)
{
	uint32 counts[THIN_BINS] = {0};
	uint32 bin = THIN_BINS;
	uint32 above = 0;

	for (uint32 i = 0; i < top->count; i++)
		counts[bins_find(bins, top->hits[i].key)]++;
	while (above < top->wanted)
		above += counts[--bin];
	return bin;
}

void
top_thin(TopHits *top)
{
	float  lowest = INFINITY;
	float  highest = -INFINITY;
	Bins   bins;
	uint32 bin;
	uint32 kept = 0;

	if (top->count <= top->wanted)
		return;
	for (uint32 i = 0; i < top->count; i++)
	{
		lowest = Min(lowest, top->hits[i].key);
		highest = Max(highest, top->hits[i].key);
	}
	bins = bins_of(lowest, highest, THIN_BINS);
	bin = lowest_wanted_bin(top, &bins);
	for (uint32 i = 0; i < top->count; i++)
	{
		NodeHit hit = top->hits[i];

		top->hits[kept] = hit;
		kept += bins_find(&bins, hit.key) >= bin;
	}
	top->count = kept;
	/*
	 * The histogram fails if an outlier crowds the other keys into one bin, or
	 * if keys are equal or not finite.
	 */
	if (kept > top->room / 2)
	{
		top_cut(top);
		return;
	}
	top->worst = INFINITY;
	for (uint32 i = 0; i < kept; i++)
		top->worst = Min(top->worst, top->hits[i].key);
}
