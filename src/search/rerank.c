/*-------------------------------------------------------------------------
 *
 * rerank.c
 *	  Documents scored by their code rows.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <float.h>
#include <math.h>

#include "index/docstore.h"
#include "search/runs.h"
#include "search/search.h"

/* Score a run of code rows; the document's last run makes its estimate. */
static void
score_rows(Search *search, const Run *run, const uint8 *rows, void *arg)
{
	IndexView  *view = search->view;
	SearchQuery *query = &search->query;
	RankedDoc  *ranked = (RankedDoc *) arg + run->which;
	float		sketched = ranked->candidate.score;

	if (run->first)
		for (uint32 i = view->coder.codec->query_slots(query->rows); i-- > 0;)
			query->keys[i] = -INFINITY;
	view->coder.codec->score_rows(&view->coder, query->rows, rows, run->count, query->keys);
	if (!run->last)
		return;
	ranked->candidate.score = view_score(view, query->keys, query->norms, query->ntokens);
	if (sketched < FLT_MAX)
		errors_learn(&search->sketch_errors, ranked->candidate.score - sketched);
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
	RankedDoc  *added;
	RunList		runs = {ARRAY_ROWS};
	uint32		n = 0;
	instr_time	start;

	stage_start(&start);
	reserve_ranked(search, count);
	added = search->ranked + search->nranked;
	for (uint32 i = 0; i < count; i++)
	{
		DocEntry	entry;

		if (!docstore_entry(view, candidates[i].doc, &entry) || entry.state != DOC_LIVE ||
			entry.ntokens > entry.capacity)
			continue;
		added[n].candidate = candidates[i];
		added[n].tid = entry.tid;
		if (search->query.rows != NULL)
			runs_add(search, &runs, n, entry.first_row, entry.ntokens);
		n++;
	}
	runs_score(search, &runs, score_rows, added);
	if (runs.runs != NULL)
	{
		pfree(runs.runs);
		search_counters.reranked += n;
	}
	search->nranked += n;
	qsort(search->ranked, search->nranked, sizeof(RankedDoc), compare_ranked);
	stage_stop(STAGE_RERANK, start);
}
