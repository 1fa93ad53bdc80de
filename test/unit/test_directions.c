/*-------------------------------------------------------------------------
 *
 * test_directions.c
 *	  Group query tokens that are copies, or nearly copies, of each other.
 *
 *-------------------------------------------------------------------------
 */
#include "search/directions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

#define MAX_TOKENS 256
#define MAX_DIM    128

static float    elements[MAX_TOKENS * MAX_DIM];
static float    squares[MAX_TOKENS];
static float    weights[MAX_TOKENS];
static float    group_elements[MAX_TOKENS * MAX_DIM];
static float    group_squares[MAX_TOKENS];
static float    group_weights[MAX_TOKENS];
static float    scratch[MAX_TOKENS * MAX_DIM];
static uint32_t slots[4 * MAX_TOKENS];
static float    mean[MAX_DIM];

/* Return an approximately normal random number. */
static float
noise(void)
{
	float sum = 0;

	for (int i = 0; i < 12; i++)
		sum += (float) rand() / RAND_MAX;
	return sum - 6;
}

static void
set_token(uint32_t t, uint32_t dim, const float *token, float offset, float spread)
{
	squares[t] = 0;
	for (uint32_t k = 0; k < dim; k++)
	{
		elements[t * dim + k] =
			(token != NULL ? token[k] : 0) + offset + spread * noise() / sqrtf((float) dim);
		squares[t] += elements[t * dim + k] * elements[t * dim + k];
	}
	weights[t] = squares[t] > 0;
}

static WeightedTokens
tokens_of(uint32_t count)
{
	return (WeightedTokens) {count, elements, squares, weights};
}

static float
sum_of(const float *values, uint32_t n)
{
	float sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += values[i];
	return sum;
}

static void
test_equal(void)
{
	WeightedTokens tokens;
	float          first[8];

	for (uint32_t t = 0; t < 4; t++)
		set_token(t, 8, NULL, 0, 1);
	memcpy(first, elements, sizeof(first));
	for (uint32_t t = 4; t < 12; t++)
		set_token(t, 8, elements + (t % 4) * 8, 0, 0);
	for (uint32_t t = 12; t < 20; t++)
		set_token(t, 8, NULL, 0, 0);
	tokens = tokens_of(20);
	directions_merge_equal(&tokens, 8, slots);
	tap_ok(tokens.count == 4, "4 tokens, each three times, and 8 zeros: %u distinct", tokens.count);
	tap_ok(tokens.weights[0] == 3 && sum_of(tokens.weights, tokens.count) == 12,
		   "weights count copies, and no zeros");
	tap_ok(memcmp(tokens.tokens, first, sizeof(first)) == 0, "the first token remains first");

	for (uint32_t t = 0; t < 5; t++)
		set_token(t, 8, NULL, 0, 0);
	tokens = tokens_of(5);
	directions_merge_equal(&tokens, 8, slots);
	tap_ok(tokens.count == 1 && tokens.weights[0] == 0, "only zero tokens: one token of weight 0");
}

/*
 * Group tokens like those of a query with [MASK] tokens: some distinct tokens,
 * and noisy copies of them.
 */
static uint32_t
group_masked(uint32_t dim, uint32_t distinct, uint32_t count, float offset, float spread,
			 float length)
{
	WeightedTokens tokens;
	WeightedTokens groups = {0, group_elements, group_squares, group_weights};
	DirectionSpace space = {dim, mean, length};

	for (uint32_t k = 0; k < dim; k++)
		mean[k] = offset;
	for (uint32_t t = 0; t < distinct; t++)
		set_token(t, dim, NULL, offset, 1);
	for (uint32_t t = distinct; t < count; t++)
		set_token(t, dim, elements + (t % distinct) * dim, 0, spread);
	tokens = tokens_of(count);
	directions_group(&tokens, &space, scratch, &groups);
	tap_ok(fabsf(sum_of(groups.weights, groups.count) - count) < 1e-3f,
		   "%u tokens, offset %g: weights add up to %g", count, offset,
		   sum_of(groups.weights, groups.count));
	return groups.count;
}

static void
test_groups(void)
{
	uint32_t n;

	n = group_masked(128, 5, 32, 0, .5f, 1);
	tap_ok(n == 5, "27 near copies of 5 tokens: %u directions", n);
	n = group_masked(128, 5, 32, 0, 0, 1);
	tap_ok(n == 5, "copies: %u directions", n);
	n = group_masked(128, 32, 32, 0, 0, 1);
	tap_ok(n == 32, "32 distinct tokens: %u directions", n);
	n = group_masked(128, MAX_TOKENS, MAX_TOKENS, 0, 0, 1);
	tap_ok(n == MAX_TOKENS, "maximum number of tokens: %u directions", n);
	n = group_masked(128, 16, 16, 30, 0, 0);
	tap_ok(n == 16, "a common offset does not make tokens copies: %u directions", n);
	n = group_masked(3, 2, 40, 0, .1f, 0);
	tap_ok(n <= 4, "3 dims: %u directions", n);
}

static void
test_mean(void)
{
	static const float pair[] = {1, 0, .6f, .8f};
	WeightedTokens     tokens = tokens_of(2);
	WeightedTokens     groups = {0, group_elements, group_squares, group_weights};
	DirectionSpace     space = {2, mean, 1};

	memset(mean, 0, sizeof(mean));
	memcpy(elements, pair, sizeof(pair));
	squares[0] = squares[1] = 1;
	weights[0] = 3;
	weights[1] = 1;
	directions_group(&tokens, &space, scratch, &groups);
	tap_ok(groups.count == 2, "tokens with a cosine of .6 are not copies");
	elements[2] = .96f;
	elements[3] = .28f;
	directions_group(&tokens, &space, scratch, &groups);
	tap_ok(groups.count == 1 && groups.weights[0] == 4, "tokens with a cosine of .96 are copies");
	tap_ok(fabsf(groups.tokens[0] - .99f) < 1e-6f && fabsf(groups.tokens[1] - .07f) < 1e-6f,
		   "the mean of copies is weighted");
	tap_ok(fabsf(groups.squares[0] - (.99f * .99f + .07f * .07f)) < 1e-6f,
		   "the squared length is that of the weighted mean");
}

int
main(void)
{
	srand(1);
	test_equal();
	test_groups();
	test_mean();
	return tap_done();
}
