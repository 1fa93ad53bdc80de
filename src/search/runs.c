/*-------------------------------------------------------------------------
 *
 * runs.c
 *	  Score the items of many documents while prefetching the next ones.
 *
 * Pages that may be on disk are requested early (storage/readahead.h), and the
 * bytes of the next runs are prefetched into the CPU's cache.
 *
 * Only one page is pinned at a time, for all runs on it, because a backend
 * tracks no more than eight pins in its fast array. Any bytes give some
 * estimate, so a page needs little checking. Its header alone, whose cache line
 * is loaded anyway, shows whether the page may belong to the array; the trailer
 * is read only if the header disagrees.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "base/array.h"
#include "base/prefetch.h"
#include "miscadmin.h"
#include "search/runs.h"

/* Number of runs to prefetch ahead. */
#define LOOKAHEAD 3

typedef struct RunScoring
{
	Search   *search;
	RunScorer score;
	void     *arg;
	size_t    item_size;
	uint32    part;
} RunScoring;

void
runs_add(Search *search, RunList *list, uint32 which, const DocEntry *entry)
{
	bool                sketches = list->kind == ARRAY_SKETCHES;
	uint32              first = sketches ? entry->first_block : entry->first_row;
	uint32              n = sketches ? sketch_blocks_for(entry->ntokens) : entry->ntokens;
	const ColbertIndex *index = search->view->index;
	uint32              per_page = parray_per_page(index, list->kind);
	bool                is_first = true;

	while (n > 0)
	{
		Run *run;

		list->runs = array_reserve(list->runs, &list->capacity, (Size) list->count + 1, sizeof(Run),
								   CurrentMemoryContext);
		run = &list->runs[list->count++];
		run->which = which;
		run->block = parray_block(index, list->kind, first, &run->slot);
		run->count = Min(per_page - run->slot, n);
		run->first = is_first;
		run->last = run->count == n;
		run->zero = (entry->flags & DOC_ZERO) != 0;
		is_first = false;
		first += run->count;
		n -= run->count;
	}
}

/* Return the offset of a run's items on its page. */
static inline size_t
run_offset(const Run *run, size_t item_size)
{
	return MAXALIGN(SizeOfPageHeaderData) + run->slot * item_size;
}

/* Return items from .. from + count - 1 of a run as a run of its own. */
static inline Run
run_part(const Run *run, uint32 from, uint32 count)
{
	Run part = *run;

	part.slot += from;
	part.count = Min(count, run->count - from);
	part.first = run->first && from == 0;
	part.last = run->last && from + part.count == run->count;
	return part;
}

/*
 * Score a run part by part. With each part, prefetch a part of the same size of
 * the run ahead. Prefetching all of it at once would stall on the CPU's few
 * fill buffers.
 */
static void
score_run(const RunScoring *scoring, const Run *run, const uint8 *page, const Run *ahead,
		  const char *ahead_page)
{
	size_t      item_size = scoring->item_size;
	const char *fetch = ahead_page == NULL ? NULL : ahead_page + run_offset(ahead, item_size);
	size_t      fetched = 0;

	for (uint32 from = 0; from < run->count; from += scoring->part)
	{
		Run    part = run_part(run, from, scoring->part);
		size_t end = (from + part.count == run->count ? ahead->count
													  : Min(from + part.count, ahead->count)) *
					 item_size;

		if (fetch != NULL)
			for (; fetched < end; fetched += CACHE_LINE)
				__builtin_prefetch(fetch + fetched);
		scoring->score(scoring->search, &part, page + run_offset(&part, item_size), scoring->arg);
	}
}

/* Return the block of a run, for readahead.h. */
static BlockNumber
run_block(const void *runs, uint32 i)
{
	return ((const Run *) runs)[i].block;
}

void
runs_score(Search *search, RunList *list, RunScorer score, void *arg)
{
	ColbertIndex *index = search->view->index;
	Relation      rel = index->rel;
	SearchStage   stage = list->kind == ARRAY_SKETCHES ? STAGE_NARROW : STAGE_RERANK;
	PageSequence  pages = {&search->ahead[stage], rel, run_block, list->runs, list->count};
	RunScoring    scoring = {search, score, arg, parray_item_size(index, list->kind), list->part};
	BufferAccessStrategy ring = list->kind == ARRAY_ROWS ? index->ring : NULL;
	Buffer               buffer = InvalidBuffer;
	Page                 page = NULL;

	readahead_resume(&search->ahead[stage]);
	for (uint32 i = 0; i < list->count; i++)
	{
		const Run  *run = &list->runs[i];
		const Run  *ahead = &list->runs[Min(i + LOOKAHEAD, list->count - 1)];
		const char *ahead_page = storage_prefetch(rel, ahead->block);

		storage_prefetch_hint(rel, list->runs[Min(i + 2 * LOOKAHEAD, list->count - 1)].block);
		if (i == 0 || run->block != run[-1].block)
		{
			readahead_step(&pages, i);
			buffer = storage_read_by_ring(rel, run->block, ring);
			LockBuffer(buffer, BUFFER_LOCK_SHARE);
			page = BufferGetPage(buffer);
			storage_check_snapshot(search->view->index, page);
			if (((PageHeader) page)->pd_lower != ((PageHeader) page)->pd_special)
				page_check(rel, run->block, page, PAGE_ARRAY, list->kind);
		}
		score_run(&scoring, run, (const uint8 *) page, ahead, ahead_page);
		if (i + 1 == list->count || run[1].block != run->block)
		{
			UnlockReleaseBuffer(buffer);
			/* Check after each page, because a query of many tokens takes long on one page. */
			CHECK_FOR_INTERRUPTS();
		}
	}
	list->count = 0;
}
