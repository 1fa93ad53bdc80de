/*-------------------------------------------------------------------------
 *
 * runs.c
 *	  Scoring the items of many documents, with the next ones on their way.
 *
 * Up to LOOKAHEAD pages are pinned at a time; one is locked. Any bytes give
 * some estimate, so of a page only what bounds the reading is checked, all
 * of which stands in its header's cache line.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "miscadmin.h"
#include "search/runs.h"

/* Pages pinned ahead, and the bytes of each that are fetched ahead: the rest streams. */
#define LOOKAHEAD		8
#define PREFETCH_BYTES	2048
#define CACHE_LINE		64

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

static inline char *
run_items(const Run *run, size_t item_size)
{
	return PageGetContents(BufferGetPage(run->buffer)) + run->slot * item_size;
}

/* Pin a run's page, and ask for its bytes. */
static inline void
start_run(Relation rel, Run *run, size_t item_size)
{
	const char *items;
	size_t		bytes = Min(run->count * item_size, PREFETCH_BYTES);

	run->buffer = storage_read_buffer(rel, run->block);
	items = run_items(run, item_size);
	__builtin_prefetch(BufferGetPage(run->buffer));
	for (size_t i = 0; i < bytes; i += CACHE_LINE)
		__builtin_prefetch(items + i);
}

void
runs_score(Search *search, RunList *list, RunScorer score, void *arg)
{
	Relation	rel = search->view->index.rel;
	size_t		item_size = search->view->meta.arrays[list->kind].item_size;
	uint32		started = 0;

	for (uint32 i = 0; i < list->count; i++)
	{
		Run		   *run = &list->runs[i];
		PageHeader	header;

		if (i % 256 == 0)
			CHECK_FOR_INTERRUPTS();
		for (; started < list->count && started <= i + LOOKAHEAD; started++)
			start_run(rel, &list->runs[started], item_size);

		LockBuffer(run->buffer, BUFFER_LOCK_SHARE);
		header = (PageHeader) BufferGetPage(run->buffer);
		if (header->pd_lower != header->pd_special || header->pd_upper != header->pd_special)
			page_check(rel, run->block, (Page) header, PAGE_ARRAY, list->kind);
		score(search, run, (const uint8 *) run_items(run, item_size), arg);
		UnlockReleaseBuffer(run->buffer);
	}
	list->count = 0;
}
