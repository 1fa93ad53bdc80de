/*-------------------------------------------------------------------------
 *
 * runs.c
 *	  Scoring the items of many documents, with the next ones on their way.
 *
 * One page is pinned at a time: more than eight pins would leave the array in
 * which a backend counts them. Any bytes give some estimate, so that a page
 * is of its array is looked up in its header alone, whose cache line is
 * there, and not in its trailer.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "miscadmin.h"
#include "search/runs.h"

/* How many runs ahead, and how many bytes of each, are fetched: the rest streams. */
#define LOOKAHEAD		3
#define PREFETCH_BYTES	4096

void
runs_add(Search *search, RunList *list, uint32 which, uint32 first, uint32 n)
{
	IndexView  *view = search->view;
	const ArrayMeta *array = &view->meta.arrays[list->kind];
	bool		is_first = true;

	while (n > 0)
	{
		Run		   *run;

		if (list->count == list->capacity)
		{
			list->capacity = Max(list->capacity * 2, 512);
			list->runs = list->runs == NULL
				? palloc_extended(mul_size(list->capacity, sizeof(Run)), MCXT_ALLOC_HUGE)
				: repalloc_huge(list->runs, mul_size(list->capacity, sizeof(Run)));
		}
		run = &list->runs[list->count++];
		run->which = which;
		run->block = parray_block(view->index.rel, &view->meta, list->kind, first, &run->slot);
		run->count = Min(parray_per_page(array) - run->slot, n);
		run->first = is_first;
		run->last = run->count == n;
		is_first = false;
		first += run->count;
		n -= run->count;
	}
}

/* Where a run's items begin on its page. */
static inline size_t
run_offset(const Run *run, size_t item_size)
{
	return MAXALIGN(SizeOfPageHeaderData) + run->slot * item_size;
}

void
runs_score(Search *search, RunList *list, RunScorer score, void *arg)
{
	Relation	rel = search->view->index.rel;
	size_t		item_size = search->view->meta.arrays[list->kind].item_size;

	for (uint32 i = 0; i < list->count; i++)
	{
		const Run  *run = &list->runs[i];
		const Run  *ahead = &list->runs[Min(i + LOOKAHEAD, list->count - 1)];
		Buffer		buffer;
		Page		page;

		/* Each time: a query of very many tokens takes long on one page. */
		CHECK_FOR_INTERRUPTS();
		storage_prefetch(rel, ahead->block, run_offset(ahead, item_size),
						 Min(ahead->count * item_size, PREFETCH_BYTES));

		buffer = storage_read_buffer(rel, run->block);
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		page = BufferGetPage(buffer);
		if (((PageHeader) page)->pd_lower != ((PageHeader) page)->pd_special)
			page_check(rel, run->block, page, PAGE_ARRAY, list->kind);
		score(search, run, (const uint8 *) page + run_offset(run, item_size), arg);
		UnlockReleaseBuffer(buffer);
	}
	list->count = 0;
}
