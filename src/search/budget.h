/*-------------------------------------------------------------------------
 *
 * budget.h
 *	  Choose the initial width of a search if the settings leave it to the
 *	  index.
 *
 * Budgets depend on the number of directions among the query's tokens, because
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
} SearchSettings;

/*
 * Return the number of equally weighted directions that n directions with these
 * weights count for: (sum w)^2 / sum w^2, at most n.
 *
 * If a few directions outweigh the others, the query is nearly as hard to
 * answer as a query of those few. The result is at least three quarters of n,
 * because a heavy direction may be padding, which every document matches.
 */
extern double budget_directions(const float *weights, uint32_t n);

/* Return the number of nodes to probe per direction, in an index of this many nodes. */
extern uint32_t budget_probes(double ndirections, uint32_t nodes);

/* Return the number of documents to narrow by their sketches. */
extern uint32_t budget_candidates(double ndirections);

/*
 * Replace settings of 0 by the defaults for a query of n directions in an index
 * of this many nodes.
 */
extern SearchSettings budget_resolve(double ndirections, uint32_t nodes,
									 const SearchSettings *asked);

#endif /* COLBERT_BUDGET_H */
