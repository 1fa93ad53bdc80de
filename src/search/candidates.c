/*-------------------------------------------------------------------------
 *
 * candidates.c
 *	  Lists of documents with their estimates.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "base/array.h"
#include "search/candidates.h"
#include "utils/memutils.h"

void
candidates_add(CandidateList *list, uint32 doc, float score)
{
	list->items = array_reserve(list->items, &list->capacity, (Size) list->count + 1,
								sizeof(Candidate), CurrentMemoryContext);
	list->items[list->count].doc = doc;
	list->items[list->count].score = score;
	list->count++;
}

/* Nearer documents come first; among equals, the lower ordinal. */
#define TOP_PREFIX       estimates
#define TOP_TYPE         Candidate
#define TOP_KEY(item)    ((item).score)
#define TOP_NEARER(a, b) ((a).score > (b).score || ((a).score == (b).score && (a).doc < (b).doc))
#include "base/top_template.h"

void
candidates_select(Candidate *items, uint32 count, uint32 n)
{
	Candidate *copy = NULL;

	if (count >= TOP_MIN_BINNED)
		copy = palloc_extended(mul_size(count, sizeof(Candidate)), MCXT_ALLOC_HUGE);
	estimates_select(items, count, n, copy);
	if (copy != NULL)
		pfree(copy);
}

double
candidates_nth(CandidateList *list, uint32 n)
{
	float last = INFINITY;

	if (list->count < n)
		return -INFINITY;
	candidates_select(list->items, list->count, n);
	for (uint32 i = 0; i < n; i++)
		last = Min(last, list->items[i].score);
	return last;
}

/* Bits per digit of the radix sort. */
#define RADIX_BITS 11

/*
 * Sort by ordinal: radix sort, least significant digit first. It stops at the
 * highest digit of the largest ordinal, since ordinals are mostly small.
 */
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
