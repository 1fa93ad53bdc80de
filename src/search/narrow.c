/*-------------------------------------------------------------------------
 *
 * narrow.c
 *	  Documents scored by their sketches.
 *
 * Documents are taken in the order of their ordinals, so that the directory
 * and the sketches are read page by page. Sketches are scored in place, under
 * a share lock on their page: the kernel neither allocates nor fails.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <float.h>
#include <math.h>

#include "index/docstore.h"
#include "miscadmin.h"
#include "search/search.h"

/* Estimate of a document by its sketches; +inf where they are of another epoch, so that its rows decide. */
static float
sketch_score(Search *search, const DocEntry *entry)
{
	IndexView  *view = search->view;
	SearchQuery *query = &search->query;
	const ArrayMeta *array = &view->meta.arrays[ARRAY_SKETCHES];
	uint32		block = entry->first_block;
	uint32		left = sketch_blocks_for(entry->ntokens);

	if (entry->epoch != view->meta.epoch)
		return FLT_MAX;
	for (uint32 i = 0; i < query->ntokens * SKETCH_BLOCK_TOKENS; i++)
		query->state[i] = -INFINITY;
	while (left > 0)
	{
		uint32		run = Min(parray_run(array, block), left);
		char	   *data;
		Buffer		buffer = parray_read(&view->index, &view->meta, ARRAY_SKETCHES, block, &data);

		if (data != NULL)
			kernels->sketch_blocks(query->sketch, (uint8 *) data, run, query->state);
		UnlockReleaseBuffer(buffer);
		block += run;
		left -= run;
	}
	kernels->sketch_finish(query->sketch, query->state, query->keys);
	return view_score(view, query->keys, query->norms, query->ntokens);
}

static inline bool
is_live(const DocEntry *entry)
{
	return entry->state == DOC_LIVE && entry->ntokens > 0 && entry->ntokens <= entry->capacity;
}

void
search_narrow(Search *search, CandidateList *list)
{
	IndexView  *view = search->view;
	uint32		kept = 0;
	instr_time	start;

	stage_start(&start);
	candidates_sort_by_doc(list->items, list->count);
	for (uint32 i = 0; i < list->count; i++)
	{
		Candidate  *candidate = &list->items[i];
		DocEntry	entry;

		if (i % 64 == 0)
			CHECK_FOR_INTERRUPTS();
		if (!docstore_entry(view, candidate->doc, &entry) || !is_live(&entry))
			continue;
		list->items[kept].score = sketch_score(search, &entry);
		list->items[kept++].doc = candidate->doc;
	}
	list->count = kept;
	search_counters.narrowed += kept;
	stage_stop(STAGE_NARROW, start);
}

typedef struct NarrowAll
{
	Search	   *search;
	CandidateList *list;
} NarrowAll;

static void
narrow_visit(IndexView *view, uint32 doc, const DocEntry *entry, void *arg)
{
	NarrowAll  *all = arg;

	if (is_live(entry) && !search_seen(all->search, doc))
		candidates_add(all->list, doc, sketch_score(all->search, entry));
}

void
search_narrow_all(Search *search, CandidateList *list)
{
	NarrowAll	all = {search, list};
	uint32		before = list->count;
	instr_time	start;

	stage_start(&start);
	docstore_walk(search->view, narrow_visit, &all);
	search_counters.narrowed += list->count - before;
	stage_stop(STAGE_NARROW, start);
}
