/*-------------------------------------------------------------------------
 *
 * score_sample.c
 *	  Estimate the share of an index's documents that score above a threshold
 *	  from a sample.
 *
 * The sample is scored like the documents of a search with a threshold: all by
 * their sketches, and those that reach the threshold by their codes. It
 * consists of short runs of neighbours in the directory, whose sketches share a
 * page, at equal distances.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <float.h>

#include "search/funnel.h"
#include "search/score_sample.h"
#include "utils/memutils.h"

#define SAMPLE_RUNS     64
#define SAMPLE_RUN_DOCS 4

/* Planning must be fast, so fewer documents are sampled if they or the query are long. */
#define SAMPLE_MAX_WORK (4 * 1024 * 1024) /* document tokens times query tokens */
#define SAMPLE_MIN_DOCS 32

static void
choose_documents(const IndexView *view, uint32 query_tokens, CandidateList *list)
{
	uint32 ndocs = parray_nitems(view->index, ARRAY_DOCS);
	double doc_tokens =
		(double) view->index->meta.documents.live_tokens / view->index->meta.documents.live_docs;
	double affordable = SAMPLE_MAX_WORK / Max(doc_tokens * query_tokens, 1);
	uint32 runs = (uint32) (Max(Min(affordable, SAMPLE_RUNS * SAMPLE_RUN_DOCS), SAMPLE_MIN_DOCS) /
							SAMPLE_RUN_DOCS);

	if (ndocs <= runs * SAMPLE_RUN_DOCS)
	{
		for (uint32 doc = 0; doc < ndocs; doc++)
			candidates_add(list, doc, 0);
		return;
	}
	for (uint32 run = 0; run < runs; run++)
	{
		uint32 first = (uint32) ((uint64) run * ndocs / runs);

		for (uint32 i = 0; i < SAMPLE_RUN_DOCS; i++)
			candidates_add(list, first + i, 0);
	}
}

/*
 * Remove the documents whose estimates miss the threshold. Returns the number
 * of documents that had an estimate.
 */
static uint32
keep_above(CandidateList *list, double threshold)
{
	uint32 known = 0;
	uint32 above = 0;

	for (uint32 i = 0; i < list->count; i++)
	{
		/* A document whose sketches are of another epoch has no estimate. */
		if (list->items[i].score == FLT_MAX)
			continue;
		known++;
		if (list->items[i].score >= threshold)
			list->items[above++] = list->items[i];
	}
	list->count = above;
	return known;
}

/*
 * Return the share of a sample that reaches the threshold by its sketches and
 * then by its codes, which are more accurate. Adds half a document, since
 * finding none in a sample proves nothing. Returns -1 if no document has an
 * estimate.
 */
static double
share_above(Search *search, CandidateList *list, double threshold)
{
	uint32 known = keep_above(list, threshold);
	uint32 above = 0;

	if (known == 0)
		return -1;
	rerank_list(search, list->items, list->count, false);
	for (uint32 i = 0; i < search->ranked.count; i++)
		above += search->ranked.items[i].candidate.score >= threshold;
	return (above + 0.5) / (known + 1);
}

static double
sample(Relation index, const MultiVector *query, double threshold)
{
	IndexView    *view = view_open(index, false, VIEW_WITHOUT_PENDING);
	SearchRequest request = {.query = query, .order = SEARCH_UNORDERED, .threshold = threshold};
	CandidateList list = {0};
	Search       *search;
	double        share;

	if (query->dim != view->dim || query->ntokens > SEARCH_MAX_QUERY_TOKENS ||
		view->index->meta.documents.live_docs == 0)
		return -1;
	search = search_begin(view, &request);
	choose_documents(view, query->ntokens, &list);
	narrow_list(search, &list, NULL);
	share = share_above(search, &list, threshold);
	search_end(search);
	return share;
}

double
score_sample_share(Relation index, const MultiVector *query, double threshold)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "colbert_pg score sample",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	double        share = sample(index, query, threshold);

	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return share;
}
