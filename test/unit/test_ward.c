/*-------------------------------------------------------------------------
 *
 * test_ward.c
 *	  Cluster tokens whose distances tie.
 *
 *-------------------------------------------------------------------------
 */
#include "tap.h"
#include "sample.h"
#include "ward_check.h"

#define MAX_DIM    256
#define MAX_TOKENS 512

static float tokens[MAX_TOKENS * MAX_DIM];

typedef enum TieKind
{
	TIE_EQUAL,
	TIE_ONE_HOT,
	TIE_HADAMARD,
	TIE_SIGNS,
	TIE_INTEGERS,
	TIE_ZEROS,
	TIE_HUGE,
	TIE_KINDS
} TieKind;

static const char *const tie_names[] = {"equal",        "one-hot",       "Hadamard", "+-1",
										"tiny integer", "zero or equal", "huge"};

static float
tie_number(TieKind kind, uint32_t token, uint32_t k, uint32_t dim)
{
	switch (kind)
	{
		case TIE_ONE_HOT:
			return k == token % dim ? (token / dim % 2 ? -1.0f : 1.0f) : 0.0f;
		case TIE_HADAMARD:
			return (__builtin_popcount(token % dim & k) + token / dim) % 2 ? -1.0f : 1.0f;
		case TIE_SIGNS:
			return sample_range(0, 1) ? 1.0f : -1.0f;
		case TIE_INTEGERS:
			return (float) sample_range(0, 4) - 2;
		case TIE_ZEROS:
			return token % 3 == 0 ? 0.0f : 1.0f;
		case TIE_HUGE:
			return sample_range(0, 1) ? 3e38f : -3e38f;
		default:
			return 1.0f;
	}
}

/*
 * Fill in tokens in random order, normalized as pool_tokens() does. Huge ones
 * are not normalized; their distances are infinite or NaN.
 */
static void
fill(TieKind kind, uint32_t ntokens, uint32_t dim)
{
	uint32_t order[MAX_TOKENS];

	for (uint32_t t = 0; t < ntokens; t++)
	{
		uint32_t at = sample_range(0, t);

		order[t] = order[at];
		order[at] = t;
	}
	for (uint32_t t = 0; t < ntokens; t++)
	{
		float *token = tokens + (size_t) t * dim;
		double squares = 0;

		for (uint32_t k = 0; k < dim; k++)
		{
			token[k] = tie_number(kind, order[t], k, dim);
			squares += (double) token[k] * token[k];
		}
		for (uint32_t k = 0; k < dim && squares > 0 && kind != TIE_HUGE; k++)
			token[k] /= (float) sqrt(squares);
	}
}

/* Check that documents of many lengths and dims get the required number of clusters. */
static void
test_ties(TieKind kind)
{
	uint32_t documents = 0;
	uint32_t sound = 0;

	for (uint32_t dim = 1; dim <= MAX_DIM; dim *= 4)
		for (int i = 0; i < 12; i++)
		{
			uint32_t ntokens = sample_range(1, i < 10 ? 120 : MAX_TOKENS);

			fill(kind, ntokens, dim);
			sound += ward_is_sound(tokens, ntokens, dim, 7);
			documents++;
		}
	tap_ok(sound == documents, "%s tokens: %u of %u documents are clustered soundly",
		   tie_names[kind], sound, documents);
}

int
main(void)
{
	for (TieKind kind = 0; kind < TIE_KINDS; kind++)
		test_ties(kind);
	return tap_done();
}
