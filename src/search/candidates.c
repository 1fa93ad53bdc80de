/*-------------------------------------------------------------------------
 *
 * candidates.c
 *	  Lists of documents with their estimates.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "base/bins.h"
#include "search/candidates.h"
#include "utils/memutils.h"

void
candidates_add(CandidateList *list, uint32 doc, float score)
{
	if (list->count == list->capacity)
	{
		uint32 capacity = Max(list->capacity * 2, 256);
		Size   size = mul_size(capacity, sizeof(Candidate));

		list->items = list->items == NULL ? palloc_extended(size, MCXT_ALLOC_HUGE)
										  : repalloc_huge(list->items, size);
		list->capacity = capacity;
	}
	list->items[list->count].doc = doc;
	list->items[list->count].score = score;
	list->count++;
}

/* Nearer first, the lower ordinal among equals. */
#define SELECT_NAME         select_candidates
#define SELECT_TYPE         Candidate
#define SELECT_NEARER(a, b) ((a).score > (b).score || ((a).score == (b).score && (a).doc < (b).doc))
#include "base/select_template.h"

/* Where so many are to be told apart, a histogram of their scores leaves few to the selection. */
#define BINNED_LEAST 256
#define SELECT_BINS  256

/*
 * Group the items by their bins, as far as it matters: those above the bin
 * that the nth best is in come first, then this bin, then the rest. Returns
 * where that bin begins, and its items in *inside.
 */
static uint32
group_by_bin(Candidate *items, uint32 count, uint32 n, uint32 *inside)
{
	Bins       bins;
	float      lowest = INFINITY;
	float      highest = -INFINITY;
	uint32     counts[SELECT_BINS] = {0};
	uint32     bin = SELECT_BINS;
	uint32     above = 0;
	Candidate *copy = palloc_extended(mul_size(count, sizeof(Candidate)), MCXT_ALLOC_HUGE);
	Candidate *to[3];

	for (uint32 i = 0; i < count; i++)
	{
		lowest = Min(lowest, items[i].score);
		highest = Max(highest, items[i].score);
	}
	bins = bins_of(lowest, highest, SELECT_BINS);
	for (uint32 i = 0; i < count; i++)
		counts[bins_find(&bins, items[i].score)]++;
	while (above + counts[--bin] < n)
		above += counts[bin];

	memcpy(copy, items, count * sizeof(Candidate));
	to[0] = items + above + counts[bin];
	to[1] = items + above;
	to[2] = items;
	for (uint32 i = 0; i < count; i++)
	{
		uint32 b = bins_find(&bins, copy[i].score);

		*to[(b >= bin) + (b > bin)]++ = copy[i];
	}
	pfree(copy);
	*inside = counts[bin];
	return above;
}

void
candidates_select(Candidate *items, uint32 count, uint32 n)
{
	uint32 first = 0;
	uint32 among = count;

	if (n == 0 || n >= count)
		return;
	if (count >= BINNED_LEAST)
		first = group_by_bin(items, count, n, &among);
	select_candidates(items + first, among, n - first);
}

/* A digit of the radix sort. */
#define RADIX_BITS 11

/* Least significant digit first; ordinals are mostly small, so digits that all share are skipped. */
void
candidates_sort_by_doc(CandidateList *list)
{
	Candidate *from = list->items;
	Candidate *to;
	uint32     largest = 0;

	if (list->count < 2)
		return;
	for (uint32 i = 0; i < list->count; i++)
		largest = Max(largest, from[i].doc);
	to = palloc_extended(mul_size(list->capacity, sizeof(Candidate)), MCXT_ALLOC_HUGE);
	for (int shift = 0; shift < 32 && largest >> shift > 0; shift += RADIX_BITS)
	{
		uint32     starts[1 << RADIX_BITS] = {0};
		uint32     sum = 0;
		Candidate *swapped = from;

		for (uint32 i = 0; i < list->count; i++)
			starts[from[i].doc >> shift & ((1 << RADIX_BITS) - 1)]++;
		for (int digit = 0; digit < 1 << RADIX_BITS; digit++)
		{
			uint32 n = starts[digit];

			starts[digit] = sum;
			sum += n;
		}
		for (uint32 i = 0; i < list->count; i++)
			to[starts[from[i].doc >> shift & ((1 << RADIX_BITS) - 1)]++] = from[i];
		from = to;
		to = swapped;
	}
	list->items = from;
	pfree(to);
}
