/*-------------------------------------------------------------------------
 *
 * budget.h
 *	  How wide a search begins, where the settings leave it to the index.
 *
 * Budgets follow from the number of directions among the query's tokens:
 * near copies of a token ([MASK] augmentation, padding) ask for nothing new.
 * A short query has fewer chances to meet a document, so it probes more nodes
 * per token, and its estimates are coarser, so it narrows more.
 *
 * Pure functions, plain C without PostgreSQL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_BUDGET_H
#define COLBERT_BUDGET_H

#include <stdint.h>

/* How wide a search is. 0 leaves it to the index; settings that are resolved have no 0. */
typedef struct SearchSettings
{
	uint32_t probes;
	uint32_t ef_search;
	uint32_t candidates;
	uint32_t rerank;
} SearchSettings;

/*
 * How many directions of equal weight these are worth, at most n: where a few
 * outweigh the others, a query is nearly as hard to answer as one of those
 * few. But a heavy one may be padding, which every document has.
 */
extern double budget_directions(const float *weights, uint32_t n);

/* Nodes probed per direction, in an index of this many nodes. */
extern uint32_t budget_probes(double ndirections, uint32_t nodes);

/* Documents narrowed by their sketches. */
extern uint32_t budget_candidates(double ndirections);

/* What settings of 0 mean for a query of n directions in an index of this many nodes. */
extern SearchSettings budget_resolve(double ndirections, uint32_t nodes,
									 const SearchSettings *asked);

#endif /* COLBERT_BUDGET_H */
