/*-------------------------------------------------------------------------
 *
 * budget.c
 *	  The width of a search if the settings leave it to the index.
 *
 *-------------------------------------------------------------------------
 */
#include "search/budget.h"

#include <math.h>

#include "base/minmax.h"

/* Minimum number of equally weighted directions that n directions count for, as a share of n. */
#define MIN_WORTH 0.75

double
budget_directions(const float *weights, uint32_t n)
{
	double sum = 0;
	double squares = 0;

	for (uint32_t i = 0; i < n; i++)
	{
		sum += weights[i];
		squares += (double) weights[i] * weights[i];
	}
	return squares > 0 ? MAX(sum * sum / squares, MIN_WORTH * n) : 1;
}

/* ---- the first width ---- */

#define DEFAULT_RECALL 0.97

/* Lists of all directions, and minimum lists per direction, that a search reads first. */
#define FIRST_LISTS  80.0
#define FIRST_PROBES 4.0

/*
 * An index with a share of the documents has its share of the lists, which are
 * coarser. It reads this power of its share of those (MedQuAD in 4 and 16
 * partitions: the fewest instructions for a recall).
 */
#define SHARE_LISTS_POWER 0.4

/* Documents that a search reranks first: per wanted row, and at least. */
#define FIRST_RERANKED_PER_ROW 1.6
#define FIRST_RERANKED         16

/* An index of twice this number of documents is narrowed as a whole. */
#define FEW_DOCUMENTS 256

/* The least of these if the index has a share of the documents. */
#define MIN_FIRST_PROBES   1
#define MIN_FIRST_RERANKED 4
#define MIN_FEW_DOCUMENTS  32

SearchSettings
budget_first(double ndirections, uint64_t rows, double share, const SearchSettings *asked)
{
	SearchSettings settings = *asked;
	double         lists = MAX(FIRST_LISTS / MAX(ndirections, 1), FIRST_PROBES);
	double         reranked = MAX(FIRST_RERANKED_PER_ROW * rows, FIRST_RERANKED);

	if (settings.probes == 0)
		settings.probes =
			settings.ef_search > 0
				? settings.ef_search
				: (uint32_t) MAX(lists * pow(share, SHARE_LISTS_POWER), MIN_FIRST_PROBES);
	settings.ef_search = MAX(settings.ef_search, settings.probes);
	if (settings.rerank == 0)
		settings.rerank = (uint32_t) MAX(MIN(reranked * share, UINT32_MAX / 2), MIN_FIRST_RERANKED);
	if (settings.candidates == 0)
		settings.candidates = (uint32_t) MAX(FEW_DOCUMENTS * share, MIN_FEW_DOCUMENTS);
	settings.candidates = MAX(settings.candidates, settings.rerank);
	if (!(settings.recall > 0))
		settings.recall = DEFAULT_RECALL;
	return settings;
}

/* ---- the expected width ---- */

/*
 * The widths that searches with a recall of 0.97 reached on MedQuAD, by the
 * number of query tokens n, for questions with one topic (bench/lengths): lists
 * per direction, documents narrowed, and documents reranked.
 */
#define EXPECTED_LISTS        120.0
#define MIN_EXPECTED_PROBES   8.0
#define EXPECTED_NARROWED     5000.0
#define MIN_EXPECTED_NARROWED 300
#define MAX_EXPECTED_NARROWED 1100
#define EXPECTED_RERANKED     320.0
#define RERANKED_FALL         -0.65

SearchSettings
budget_expected(double ndirections, double share, const SearchSettings *asked)
{
	SearchSettings settings = *asked;
	double         n = MAX(ndirections, 1);
	double         lists = MAX(EXPECTED_LISTS / n, MIN_EXPECTED_PROBES);
	double narrowed = MIN(MAX(EXPECTED_NARROWED / n, MIN_EXPECTED_NARROWED), MAX_EXPECTED_NARROWED);
	double reranked = EXPECTED_RERANKED * pow(n, RERANKED_FALL);

	if (settings.probes == 0)
		settings.probes = settings.ef_search > 0 ? settings.ef_search
												 : (uint32_t) MAX(lists * share, MIN_FIRST_PROBES);
	settings.ef_search = MAX(settings.ef_search, settings.probes);
	if (settings.candidates == 0)
		settings.candidates = (uint32_t) MAX(narrowed * share, MIN_FEW_DOCUMENTS);
	if (settings.rerank == 0)
		settings.rerank = (uint32_t) MAX(reranked * share, MIN(reranked, MIN_FIRST_RERANKED));
	settings.rerank = MAX(settings.rerank, 1);
	settings.candidates = MAX(settings.candidates, settings.rerank);
	return settings;
}

/* ---- costs ---- */

/*
 * Microseconds, measured on MedQuAD (128 dims, sq8): per token of a document and
 * per pair of it with a query token, for 128 dims; per posting; and per direction.
 */
#define US_SKETCH_TOKEN 0.0047
#define US_SKETCH_PAIR  0.0016
#define US_ROW_TOKEN    0.048
#define US_ROW_PAIR     0.0017
#define US_POSTING      0.046
#define US_LIST         0.3
#define US_FIND         50.0
#define COST_DIM        128.0

WorkCosts
budget_costs(const WorkSizes *sizes)
{
	double scale = sizes->doc_tokens * sizes->dim / COST_DIM;

	return (WorkCosts) {
		.sketches = scale * (US_SKETCH_TOKEN + US_SKETCH_PAIR * sizes->directions),
		.rows = scale * (US_ROW_TOKEN + US_ROW_PAIR * sizes->tokens),
		.list = US_LIST + US_POSTING * sizes->postings,
		.find = US_FIND * sizes->directions,
	};
}
