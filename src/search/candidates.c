/*-------------------------------------------------------------------------
 *
 * candidates.c
 *	  Lists of documents with their estimates.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "search/search.h"
#include "utils/memutils.h"

void
candidates_add(CandidateList *list, uint32 doc, float score)
{
	if (list->count == list->capacity)
	{
		uint32		capacity = Max(list->capacity * 2, 256);
		Size		size = mul_size(capacity, sizeof(Candidate));

		list->items = list->items == NULL
			? palloc_extended(size, MCXT_ALLOC_HUGE)
			: repalloc_huge(list->items, size);
		list->capacity = capacity;
	}
	list->items[list->count].doc = doc;
	list->items[list->count].score = score;
	list->count++;
}

/* Nearer first, the lower ordinal among equals. */
static inline bool
nearer(Candidate a, Candidate b)
{
	return a.score > b.score || (a.score == b.score && a.doc < b.doc);
}

static inline void
swap(Candidate *a, Candidate *b)
{
	Candidate	t = *a;

	*a = *b;
	*b = t;
}

static Candidate
median_of_three(Candidate a, Candidate b, Candidate c)
{
	if (nearer(a, b))
		return nearer(b, c) ? b : nearer(a, c) ? c : a;
	return nearer(a, c) ? a : nearer(b, c) ? c : b;
}

/* Hoare's selection (1961), with the median of three as the pivot. */
void
candidates_select(Candidate *items, uint32 count, uint32 n)
{
	int64		low = 0;
	int64		high = (int64) count - 1;

	if (n >= count || n == 0)
		return;
	while (low < high)
	{
		Candidate	pivot = median_of_three(items[low], items[low + (high - low) / 2], items[high]);
		int64		i = low;
		int64		j = high;

		while (i <= j)
		{
			while (nearer(items[i], pivot))
				i++;
			while (nearer(pivot, items[j]))
				j--;
			if (i <= j)
				swap(&items[i++], &items[j--]);
		}
		if ((int64) n - 1 <= j)
			high = j;
		else if ((int64) n - 1 >= i)
			low = i;
		else
			return;
	}
}

static int
compare_docs(const void *a, const void *b)
{
	uint32		x = ((const Candidate *) a)->doc;
	uint32		y = ((const Candidate *) b)->doc;

	return x < y ? -1 : x > y;
}

void
candidates_sort_by_doc(Candidate *items, uint32 count)
{
	qsort(items, count, sizeof(Candidate), compare_docs);
}
