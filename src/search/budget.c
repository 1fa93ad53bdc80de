/*-------------------------------------------------------------------------
 *
 * budget.c
 *	  Choose the initial width of a search if the settings leave it to the
 *	  index.
 *
 * The constants were measured with bench/lengths on MedQuAD with two encoders,
 * on its passages joined into long documents, and on Cranfield (doc/tuning.md).
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

/*
 * Probes per direction: 320 / n^1.5, at least 8. In an index of more than
 * PROBES_NODES nodes, more nodes are near a token, so the number grows.
 */
#define PROBES_ONE_TOKEN 320.0
#define PROBES_FALL      -1.5
#define MIN_PROBES       8.0
#define PROBES_NODES     16384
#define PROBES_GROWTH    0.25

uint32_t
budget_probes(double ndirections, uint32_t nodes)
{
	double probes = PROBES_ONE_TOKEN * pow(MAX(ndirections, 1), PROBES_FALL);
	double growth = pow((double) MAX(nodes, PROBES_NODES) / PROBES_NODES, PROBES_GROWTH);

	return (uint32_t) (MAX(probes, MIN_PROBES) * growth);
}

/* Candidates: 9,600 / n, between these limits. */
#define CANDIDATES_ALL_TOKENS 9600.0
#define MIN_CANDIDATES        400
#define MAX_CANDIDATES        1700

uint32_t
budget_candidates(double ndirections)
{
	double candidates = CANDIDATES_ALL_TOKENS / MAX(ndirections, 1);

	return (uint32_t) MIN(MAX(candidates, MIN_CANDIDATES), MAX_CANDIDATES);
}

/* Number of documents in the first reranked batch. */
#define AUTO_RERANK 64

SearchSettings
budget_resolve(double ndirections, uint32_t nodes, const SearchSettings *asked)
{
	SearchSettings settings = *asked;

	/* If only ef_search is set, probe all nodes that it finds, as in a plain HNSW search. */
	if (settings.probes == 0)
		settings.probes =
			settings.ef_search > 0 ? settings.ef_search : budget_probes(ndirections, nodes);
	if (settings.ef_search == 0)
		settings.ef_search = settings.probes;
	settings.ef_search = MAX(settings.ef_search, settings.probes);
	if (settings.candidates == 0)
		settings.candidates = budget_candidates(ndirections);
	if (settings.rerank == 0)
		settings.rerank = AUTO_RERANK;
	settings.candidates = MAX(settings.candidates, settings.rerank);
	return settings;
}
