/*-------------------------------------------------------------------------
 *
 * rerank.c
 *	  Score documents by their code rows.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <float.h>
#include <math.h>

#include "index/docstore.h"
#include "miscadmin.h"
#include "search/funnel.h"
#include "search/runs.h"

/* Score a run of code rows. The last run of a document sets its estimate. */
static void
score_rows(Search *search, const Run *run, const uint8 *rows, void *arg)
{
	IndexView   *view = search->view;
	SearchQuery *query = &search->query;
	RankedDoc   *ranked = (RankedDoc *) arg + run->which;
	float        sketched = ranked->candidate.score;

	if (run->first)
		for (uint32 i = coder_query_slots(&view->coder, query->rows); i-- > 0;)
			query->keys[i] = run->zero ? 0 : -INFINITY;
	coder_score_rows(&view->coder, query->rows, rows, run->count, query->keys);
	if (!run->last)
		return;
	ranked->candidate.score = query_score(view, query, &query->tokens);
	if (sketched < FLT_MAX)
	{
		errors_learn(&search->state.sketch_errors, ranked->candidate.score - sketched);
		if (ranked->is_new)
			fit_learn(&search->state.sketch_fit, sketched, ranked->candidate.score);
		else
			ties_learn(&search->state.sketch_fit.ties, sketched, ranked->candidate.score);
	}
}

/* Worse documents come first: documents are taken from the end of the list. */
static int
compare_ranked(const void *a, const void *b)
{
	const Candidate *x = &((const RankedDoc *) a)->candidate;
	const Candidate *y = &((const RankedDoc *) b)->candidate;

	if (x->score != y->score)
		return x->score < y->score ? -1 : 1;
	return x->doc > y->doc ? -1 : x->doc < y->doc;
}

/* Number of runs collected before they are scored. */
#define RERANK_BATCH 4096

/* Number of code rows scored at a time. */
#define PART_ROWS 8

/*
 * Look up a document's entry and heap row. Returns false if it is not live, or
 * if test is set and its row fails the filter.
 */
static bool
find_row(Search *search, const Candidate *candidate, bool test, DocEntry *entry, RankedDoc *ranked)
{
	CHECK_FOR_INTERRUPTS();
	if (!docstore_entry(search->view, candidate->doc, entry) || entry->state != DOC_LIVE ||
		entry->ntokens == 0 || entry->ntokens > entry->capacity)
		return false;
	if (test && !fetch_admits(search, candidate->doc, entry))
		return false;
	ranked->candidate = *candidate;
	ranked->tid = entry->tid;
	ranked->has_versions = (entry->flags & DOC_VERSIONS) != 0;
	ranked->is_new = floats_add(search, &search->reranked, candidate->score);
	ranked->tested = test || search->state.pool_tested;
	return true;
}

/*
 * Return the place of the document that no line is fitted to: the best of the
 * first batch. It is often far ahead of all others and would determine the line
 * alone.
 */
static uint32
find_leader(const Search *search, const Candidate *candidates, uint32 count)
{
	uint32 leader = 0;

	if (search->state.sketch_fit.count > 0)
		return count;
	for (uint32 i = 1; i < count; i++)
		if (candidates[i].score > candidates[leader].score)
			leader = i;
	return leader;
}

void
rerank_list(Search *search, const Candidate *candidates, uint32 count, bool test)
{
	RankedList *ranked = &search->ranked;
	RankedDoc  *added;
	RunList     runs = {ARRAY_ROWS, PART_ROWS};
	uint32      leader = find_leader(search, candidates, count);
	uint32      n = 0;
	instr_time  start;

	stage_start(search, &start);
	fit_begin_batch(&search->state.sketch_fit, candidates, count);
	added = funnel_reserve_ranked(search, count);
	for (uint32 i = 0; i < count; i++)
	{
		DocEntry entry;

		if (!find_row(search, &candidates[i], test, &entry, &added[n]))
			continue;
		added[n].is_new &= i != leader;
		if (search->query.rows != NULL && docstore_has_rows(search->view, &entry))
			runs_add(search, &runs, n, &entry);
		else
			ties_learn(&search->state.sketch_fit.ties, candidates[i].score, candidates[i].score);
		n++;
		if (runs.count >= RERANK_BATCH)
			runs_score(search, &runs, score_rows, added);
	}
	runs_score(search, &runs, score_rows, added);
	if (runs.runs != NULL)
	{
		pfree(runs.runs);
		search->counters.reranked += n;
	}
	funnel_add_codes(search, added, n);
	ranked->count += n;
	qsort(ranked->items, ranked->count, sizeof(RankedDoc), compare_ranked);
	stage_stop(search, STAGE_RERANK, start);
}

void
rerank_pool(Search *search, const Step *step)
{
	uint32 n = funnel_select(search, step->n, step->over_bar ? &step->bar : NULL);

	bands_add(&search->bands, search->pool.items, n);
	rerank_list(search, search->pool.items, n, step->test);
	funnel_remove(search, n);
	search->counters.batches++;
	if (search->counters.asked.rerank == 0)
		search->counters.settings.rerank += n;
}
