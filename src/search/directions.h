/*-------------------------------------------------------------------------
 *
 * directions.h
 *	  Merge query tokens that are equal or near copies of each other.
 *
 * Encoders pad and augment queries: ColBERT fills each query to 32 tokens with
 * [MASK], whose vectors lie near the query's own, and batches are padded with
 * zeros or one constant vector. Equal tokens become one token with a weight,
 * which is exact. Near copies become one direction: their mean, with the sum of
 * their weights. That is good enough to find and narrow documents.
 *
 * Plain C without PostgreSQL; never allocates.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_DIRECTIONS_H
#define COLBERT_DIRECTIONS_H

#include <stdint.h>

typedef struct WeightedTokens
{
	uint32_t count;
	float   *tokens;  /* count x dim */
	float   *squares; /* |token|^2 of each token */
	float   *weights; /* number of query tokens that each stands for */
} WeightedTokens;

/* Queries of more tokens are not grouped, because the work is quadratic. */
#define DIRECTIONS_MAX_TOKENS 256

/*
 * Merge equal tokens in place: the first of them stays, with the sum of their
 * weights. Tokens of weight 0 are dropped, except that the first token stays if
 * all have weight 0.
 *
 * slots: scratch of directions_slots(count) numbers.
 */
extern void     directions_merge_equal(WeightedTokens *tokens, uint32_t dim, uint32_t *slots);
extern uint32_t directions_slots(uint32_t count);

/* The space in which directions are compared: an index's tokens, relative to their mean. */
typedef struct DirectionSpace
{
	uint32_t     dim;
	const float *mean;
	float        length; /* length to which tokens are scaled first; 0: not scaled */
} DirectionSpace;

/*
 * Group near copies.
 *
 * tokens: at most DIRECTIONS_MAX_TOKENS tokens. groups: has room for as many.
 * scratch: count x dim floats.
 */
extern void directions_group(const WeightedTokens *tokens, const DirectionSpace *space,
							 float *scratch, WeightedTokens *groups);

#endif /* COLBERT_DIRECTIONS_H */
