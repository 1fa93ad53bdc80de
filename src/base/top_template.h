/*-------------------------------------------------------------------------
 *
 * top_template.h
 *	  Template: find the best n items of an array.
 *
 * A histogram of the keys separates most items, and Hoare's selection
 * algorithm (1961) with a median-of-three pivot the others. Before including
 * this file, define
 *
 *	TOP_PREFIX				prefix of the static functions to generate
 *	TOP_TYPE				item type
 *	TOP_KEY(item)			key of an item, a number; larger is better
 *	TOP_NEARER(a, b)		true if item a is better than item b
 *
 * The names are undefined again at the end of this file. The functions:
 *
 *	PREFIX_quickselect(items, count, n)
 *		Move the best n items to the front, unordered, in place.
 *	PREFIX_select(items, count, n, copy)
 *		The same, faster for TOP_MIN_BINNED items or more. copy has room for
 *		count items; it may be NULL for fewer than TOP_MIN_BINNED.
 *	PREFIX_thin(items, count, n)
 *		Drop most items that are not among the best n, in place. Return the
 *		number of items left.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/bins.h"
#include "base/minmax.h"

#ifndef COLBERT_TOP_BIN
#define COLBERT_TOP_BIN

/* With fewer items, a histogram costs more than it saves. */
#define TOP_MIN_BINNED 256

#define TOP_MAX_BINS  256
#define TOP_THIN_BINS 64

/* The bin of the nth best item. */
typedef struct TopBin
{
	Bins     bins;
	uint32_t bin;
	uint32_t above;  /* items in higher bins */
	uint32_t inside; /* items in this bin */
} TopBin;

#endif /* COLBERT_TOP_BIN */

#define TOP_MAKE_NAME_(a, b) a##_##b
#define TOP_MAKE_NAME(a, b)  TOP_MAKE_NAME_(a, b)
#define TOP_MEDIAN           TOP_MAKE_NAME(TOP_PREFIX, median)
#define TOP_QUICKSELECT      TOP_MAKE_NAME(TOP_PREFIX, quickselect)
#define TOP_SURVEY           TOP_MAKE_NAME(TOP_PREFIX, survey)
#define TOP_GROUP            TOP_MAKE_NAME(TOP_PREFIX, group)
#define TOP_SELECT           TOP_MAKE_NAME(TOP_PREFIX, select)
#define TOP_THIN             TOP_MAKE_NAME(TOP_PREFIX, thin)

static inline TOP_TYPE
TOP_MEDIAN(TOP_TYPE a, TOP_TYPE b, TOP_TYPE c)
{
	if (TOP_NEARER(a, b))
		return TOP_NEARER(b, c) ? b : TOP_NEARER(a, c) ? c : a;
	return TOP_NEARER(a, c) ? a : TOP_NEARER(b, c) ? c : b;
}

static inline void
TOP_QUICKSELECT(TOP_TYPE *items, uint32_t count, uint32_t n)
{
	int64_t low = 0;
	int64_t high = (int64_t) count - 1;

	if (n >= count || n == 0)
		return;
	while (low < high)
	{
		TOP_TYPE pivot = TOP_MEDIAN(items[low], items[low + (high - low) / 2], items[high]);
		int64_t  i = low;
		int64_t  j = high;

		while (i <= j)
		{
			while (TOP_NEARER(items[i], pivot))
				i++;
			while (TOP_NEARER(pivot, items[j]))
				j--;
			if (i <= j)
			{
				TOP_TYPE swapped = items[i];

				items[i++] = items[j];
				items[j--] = swapped;
			}
		}
		if ((int64_t) n - 1 <= j)
			high = j;
		else if ((int64_t) n - 1 >= i)
			low = i;
		else
			return;
	}
}

/* Find the bin of the nth best of items, 1 <= n <= count. */
static inline TopBin
TOP_SURVEY(const TOP_TYPE *items, uint32_t count, uint32_t n, uint32_t nbins)
{
	float    lowest = INFINITY;
	float    highest = -INFINITY;
	uint32_t counts[TOP_MAX_BINS] = {0};
	TopBin   top = {.bin = nbins};

	for (uint32_t i = 0; i < count; i++)
	{
		float key = (float) TOP_KEY(items[i]);

		lowest = MIN(lowest, key);
		highest = MAX(highest, key);
	}
	top.bins = bins_of(lowest, highest, nbins);
	for (uint32_t i = 0; i < count; i++)
		counts[bins_find(&top.bins, (float) TOP_KEY(items[i]))]++;
	while (top.above + counts[--top.bin] < n)
		top.above += counts[top.bin];
	top.inside = counts[top.bin];
	return top;
}

/* Reorder items: those of higher bins first, then those of the bin, then the others. */
static inline void
TOP_GROUP(TOP_TYPE *items, uint32_t count, const TopBin *top, TOP_TYPE *copy)
{
	TOP_TYPE *to[3] = {items + top->above + top->inside, items + top->above, items};

	memcpy(copy, items, count * sizeof(TOP_TYPE));
	for (uint32_t i = 0; i < count; i++)
	{
		uint32_t bin = bins_find(&top->bins, (float) TOP_KEY(copy[i]));

		*to[(bin >= top->bin) + (bin > top->bin)]++ = copy[i];
	}
}

static inline void
TOP_SELECT(TOP_TYPE *items, uint32_t count, uint32_t n, TOP_TYPE *copy)
{
	TopBin top = {.inside = count};

	if (n == 0 || n >= count)
		return;
	if (count >= TOP_MIN_BINNED)
	{
		top = TOP_SURVEY(items, count, n, TOP_MAX_BINS);
		TOP_GROUP(items, count, &top, copy);
	}
	TOP_QUICKSELECT(items + top.above, top.inside, n - top.above);
}

/* If an outlier, equal keys or infinite keys leave all items in one bin, none is dropped. */
static inline uint32_t
TOP_THIN(TOP_TYPE *items, uint32_t count, uint32_t n)
{
	TopBin   top;
	uint32_t kept = 0;

	if (n == 0 || n >= count)
		return count;
	top = TOP_SURVEY(items, count, n, TOP_THIN_BINS);
	for (uint32_t i = 0; i < count; i++)
	{
		TOP_TYPE item = items[i];

		items[kept] = item;
		kept += bins_find(&top.bins, (float) TOP_KEY(item)) >= top.bin;
	}
	return kept;
}

#undef TOP_MEDIAN
#undef TOP_QUICKSELECT
#undef TOP_SURVEY
#undef TOP_GROUP
#undef TOP_SELECT
#undef TOP_THIN
#undef TOP_MAKE_NAME
#undef TOP_MAKE_NAME_
#undef TOP_PREFIX
#undef TOP_TYPE
#undef TOP_KEY
#undef TOP_NEARER
