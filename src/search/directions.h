/*-------------------------------------------------------------------------
 *
 * directions.h
 *	  Query tokens that stand for several.
 *
 * Encoders pad and augment queries: ColBERT fills each one to 32 tokens with
 * [MASK], whose vectors lie near the query's own, and batches are padded with
 * zeros or one constant vector. Equal tokens become one with a weight, which
 * loses nothing. Near copies become one direction, their mean with the sum of
 * their weights: good enough to find and narrow documents by.
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
	float   *squares; /* |token|^2 of each */
	float   *weights; /* how many query tokens each stands for */
} WeightedTokens;

/* More tokens than this are not grouped: the work grows with their square. */
#define DIRECTIONS_MAX_TOKENS 256

/*
 * Merge equal tokens, in place: the first of them stays, with the sum of their
 * weights. Tokens of weight 0 are left out, except that the first token stays
 * if there are no others. slots: scratch, directions_slots(count) numbers.
 */
extern void     directions_merge_equal(WeightedTokens *tokens, uint32_t dim, uint32_t *slots);
extern uint32_t directions_slots(uint32_t count);

/* Where directions are compared: the tokens of an index, around their mean. */
typedef struct DirectionSpace
{
	uint32_t     dim;
	const float *mean;
	float        length; /* tokens are given this length first; 0: they keep their own */
} DirectionSpace;

/*
 * Group near copies. groups has room for all tokens; scratch holds count x dim
 * floats. Tokens beyond DIRECTIONS_MAX_TOKENS must not be given.
 */
extern void directions_group(const WeightedTokens *tokens, const DirectionSpace *space,
							 float *scratch, WeightedTokens *groups);

#endif /* COLBERT_DIRECTIONS_H */
