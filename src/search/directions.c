/*-------------------------------------------------------------------------
 *
 * directions.c
 *	  Merge query tokens that are equal or near copies of each other.
 *
 *-------------------------------------------------------------------------
 */
#include "search/directions.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/vec.h"

/* ---- equal tokens ---- */

#define EMPTY_SLOT UINT32_MAX

uint32_t
directions_slots(uint32_t count)
{
	uint32_t slots = 16;

	while (slots < count * 2)
		slots *= 2;
	return slots;
}

/* FNV-1a over the 32-bit words of a token. */
static uint32_t
hash_token(const float *token, uint32_t dim)
{
	uint32_t hash = 2166136261U;

	for (uint32_t k = 0; k < dim; k++)
	{
		uint32_t word;

		memcpy(&word, &token[k], sizeof(word));
		hash = (hash ^ word) * 16777619U;
	}
	return hash ^ hash >> 15;
}

/* Return the slot of an equal token among those kept so far, or the empty slot for this token. */
static uint32_t *
find_slot(const WeightedTokens *kept, uint32_t dim, const float *token, uint32_t *slots,
		  uint32_t nslots)
{
	uint32_t at = hash_token(token, dim) & (nslots - 1);

	while (slots[at] != EMPTY_SLOT &&
		   memcmp(kept->tokens + (size_t) slots[at] * dim, token, dim * sizeof(float)) != 0)
		at = (at + 1) & (nslots - 1);
	return &slots[at];
}

void
directions_merge_equal(WeightedTokens *tokens, uint32_t dim, uint32_t *slots)
{
	uint32_t given = tokens->count;
	uint32_t nslots = directions_slots(given);

	memset(slots, 0xFF, nslots * sizeof(uint32_t));
	tokens->count = 0;
	for (uint32_t t = 0; t < given; t++)
	{
		const float *token = tokens->tokens + (size_t) t * dim;
		uint32_t    *slot;

		if (tokens->weights[t] == 0)
			continue;
		slot = find_slot(tokens, dim, token, slots, nslots);
		if (*slot != EMPTY_SLOT)
		{
			tokens->weights[*slot] += tokens->weights[t];
			continue;
		}
		*slot = tokens->count;
		memmove(tokens->tokens + (size_t) tokens->count * dim, token, dim * sizeof(float));
		tokens->squares[tokens->count] = tokens->squares[t];
		tokens->weights[tokens->count] = tokens->weights[t];
		tokens->count++;
	}
	if (tokens->count == 0)
		tokens->count = 1;
}

/* ---- near copies ---- */

/*
 * Two tokens are near copies if their squared distance is at most this share of
 * either one's squared distance to the mean. Two tokens of a text are rarely
 * this near to each other; [MASK] tokens mostly are. For unit tokens and a mean
 * of length .5, this is a cosine above .81.
 */
#define NEAR_SHARE 0.5f

/* Set centred to the token minus the mean. */
static void
centre(const DirectionSpace *space, const float *token, float square, float *centred)
{
	float scale = space->length > 0 && square > 0 ? space->length / sqrtf(square) : 1;

	for (uint32_t k = 0; k < space->dim; k++)
		centred[k] = token[k] * scale - space->mean[k];
}

/*
 * Return the group whose first token is nearest, among the groups whose first
 * token is a near copy of this one. Returns ngroups if there is none.
 */
static uint32_t
nearest_group(const float *centred, const float *leaders, const float *leader_squares,
			  uint32_t ngroups, uint32_t dim)
{
	float    square = vec_squared(centred, dim);
	float    best = FLT_MAX;
	uint32_t found = ngroups;

	for (uint32_t g = 0; g < ngroups; g++)
	{
		float distance =
			square + leader_squares[g] - 2 * vec_dot(centred, leaders + (size_t) g * dim, dim);
		float shorter = square < leader_squares[g] ? square : leader_squares[g];

		if (distance <= NEAR_SHARE * shorter && distance < best)
		{
			best = distance;
			found = g;
		}
	}
	return found;
}

void
directions_group(const WeightedTokens *tokens, const DirectionSpace *space, float *scratch,
				 WeightedTokens *groups)
{
	uint32_t dim = space->dim;
	float    leader_squares[DIRECTIONS_MAX_TOKENS];

	groups->count = 0;
	for (uint32_t t = 0; t < tokens->count; t++)
	{
		const float *token = tokens->tokens + (size_t) t * dim;
		float       *leader = scratch + (size_t) groups->count * dim;
		uint32_t     g;
		float       *sum;

		centre(space, token, tokens->squares[t], leader);
		g = nearest_group(leader, scratch, leader_squares, groups->count, dim);
		sum = groups->tokens + (size_t) g * dim;
		if (g == groups->count)
		{
			leader_squares[g] = vec_squared(leader, dim);
			memset(sum, 0, dim * sizeof(float));
			groups->weights[g] = 0;
			groups->count++;
		}
		for (uint32_t k = 0; k < dim; k++)
			sum[k] += tokens->weights[t] * token[k];
		groups->weights[g] += tokens->weights[t];
	}
	for (uint32_t g = 0; g < groups->count; g++)
	{
		float *mean = groups->tokens + (size_t) g * dim;

		for (uint32_t k = 0; k < dim; k++)
			mean[k] /= groups->weights[g];
		groups->squares[g] = vec_squared(mean, dim);
	}
}
