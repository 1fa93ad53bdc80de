/*-------------------------------------------------------------------------
 *
 * rerank.c
 *	  Documents scored by their code rows, in place, under a share lock on
 *	  their page: the kernel neither allocates nor fails.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <float.h>
#include <math.h>

#include "index/docstore.h"
#include "miscadmin.h"
#include "search/search.h"

static float
row_score(Search *search, const DocEntry *entry)
{
	IndexView  *view = search->view;
	SearchQuery *query = &search->query;
	const ArrayMeta *array = &view->meta.arrays[ARRAY_ROWS];
	uint32		nslots = view->codec->query_slots(query->rows);
	uint32		row = entry->first_row;
	uint32		left = entry->ntokens;

	for (uint32 i = 0; i < nslots; i++)
		query->keys[i] = -INFINITY;
	while (left > 0)
	{
		uint32		run = Min(parray_run(array, row), left);
		char	   *data;
		Buffer		buffer = parray_read(&view->index, &view->meta, ARRAY_ROWS, row, &data);

		if (data != NULL)
			view->codec->score_rows(view->shape, query->rows, (uint8 *) data, run, query->keys);
		UnlockReleaseBuffer(buffer);
		row += run;
		left -= run;
	}
	return view_score(view, query->keys, query->norms, query->ntokens);
}

/* Worse first: documents are given from the end of the list. */
static int
compare_ranked(const void *a, const void *b)
{
	const Candidate *x = &((const RankedDoc *) a)->candidate;
	const Candidate *y = &((const RankedDoc *) b)->candidate;

	if (x->score != y->score)
		return x->score < y->score ? -1 : 1;
	return x->doc > y->doc ? -1 : x->doc < y->doc;
}

static void
reserve_ranked(Search *search, uint32 count)
{
	uint32		needed = search->nranked + count;

	if (needed <= search->ranked_capacity)
		return;
	needed = Max(needed, search->ranked_capacity * 2);
	search->ranked = search->ranked == NULL
		? MemoryContextAllocHuge(search->context, mul_size(needed, sizeof(RankedDoc)))
		: repalloc_huge(search->ranked, mul_size(needed, sizeof(RankedDoc)));
	search->ranked_capacity = needed;
}

void
search_rerank(Search *search, const Candidate *candidates, uint32 count)
{
	IndexView  *view = search->view;
	instr_time	start;

	stage_start(&start);
	reserve_ranked(search, count);
	for (uint32 i = 0; i < count; i++)
	{
		RankedDoc  *ranked = &search->ranked[search->nranked];
		DocEntry	entry;

		if (i % 64 == 0)
			CHECK_FOR_INTERRUPTS();
		if (!docstore_entry(view, candidates[i].doc, &entry) || entry.state != DOC_LIVE ||
			entry.ntokens > entry.capacity)
			continue;
		ranked->candidate = candidates[i];
		ranked->tid = entry.tid;
		if (search->query.rows != NULL)
		{
			ranked->candidate.score = row_score(search, &entry);
			if (candidates[i].score < FLT_MAX)
				errors_learn(&search->sketch_errors, ranked->candidate.score - candidates[i].score);
		}
		search->nranked++;
	}
	search_counters.reranked += search->query.rows != NULL ? count : 0;
	qsort(search->ranked, search->nranked, sizeof(RankedDoc), compare_ranked);
	stage_stop(STAGE_RERANK, start);
}
