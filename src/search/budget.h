/*-------------------------------------------------------------------------
 *
 * budget.h
 *	  The width of a search if the settings leave it to the index: with which it
 *	  begins, which it reaches on average, and its costs.
 *
 * Widths depend on the number of directions among the query's tokens, because
 * near copies of a token ([MASK] augmentation, padding) find nothing new. A
 * short query has fewer chances to meet a document, so it probes more nodes per
 * token. Its estimates are coarser, so it also narrows more documents.
 *
 * Pure functions, plain C without PostgreSQL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_BUDGET_H
#define COLBERT_BUDGET_H

#include <stdint.h>

/* The width of a search. 0 leaves a value to the index; resolved settings contain no 0. */
typedef struct SearchSettings
{
	uint32_t probes;
	uint32_t ef_search;
	uint32_t candidates;
	uint32_t rerank;
	double   recall; /* share of the wanted rows to find */
	uint32_t shards; /* number of indexes among which the documents are divided */
} SearchSettings;

/* Costs of a search on this index, in microseconds. */
typedef struct WorkCosts
{
	double sketches; /* to narrow a document */
	double rows;     /* to rerank a document */
	double list;     /* to read a list and sum its postings */
	double find;     /* to find the lists of all directions */
} WorkCosts;

/* Sizes on which costs depend. */
typedef struct WorkSizes
{
	double   doc_tokens; /* mean tokens per document */
	double   postings;   /* mean postings per list */
	uint32_t dim;
	uint32_t tokens; /* distinct query tokens */
	uint32_t directions;
} WorkSizes;

extern WorkCosts budget_costs(const WorkSizes *sizes);

/*
 * Replace settings of 0 by the first width of a search: it goes on from there
 * until it has found enough. rows: number of rows that are probably wanted.
 * share: share of all documents that the index has.
 */
extern SearchSettings budget_first(double ndirections, uint64_t rows, double share,
								   const SearchSettings *asked);

/*
 * Return the number of equally weighted directions that n directions with these
 * weights count for: (sum w)^2 / sum w^2, at most n.
 *
 * If a few directions outweigh the others, the query is nearly as hard to
 * answer as a query of those few. The result is at least three quarters of n,
 * because a heavy direction may be padding, which every document matches.
 */
extern double budget_directions(const float *weights, uint32_t n);

/*
 * Return the width that a search with a recall of 0.97 reaches on average, for
 * settings of 0. The planner's costs and the first trial of colbert_tune are
 * based on it. A search itself begins with budget_first.
 */
extern SearchSettings budget_expected(double ndirections, double share,
									  const SearchSettings *asked);

#endif /* COLBERT_BUDGET_H */
