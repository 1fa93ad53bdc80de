/*-------------------------------------------------------------------------
 *
 * compare.c
 *	  Equality of multivectors, and a hash that agrees with it.
 *
 * Two multivectors are equal if they have the same number of tokens and dims,
 * and all elements are equal numbers: -0 equals 0, and the element format does
 * not matter. Equal multivectors have equal scores, to the last bit.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "multivector/multivector.h"

PG_FUNCTION_INFO_V1(multivector_eq);
PG_FUNCTION_INFO_V1(multivector_ne);
PG_FUNCTION_INFO_V1(multivector_hash);
PG_FUNCTION_INFO_V1(multivector_hash_extended);

/* Compare two multivectors of the same shape. */
static bool
elements_equal(const MultiVector *a, const MultiVector *b)
{
	uint32 dim = a->dim;
	float *token_a;
	float *token_b;
	bool   equal = true;

	if (a->element == b->element &&
		memcmp(a->norms, b->norms, VARSIZE(a) - MULTIVECTOR_HEADER) == 0)
		return true;

	token_a = palloc(dim * sizeof(float));
	token_b = palloc(dim * sizeof(float));
	for (uint32 t = 0; t < a->ntokens && equal; t++)
	{
		CHECK_FOR_INTERRUPTS();
		multivector_tokens(a, t, 1, token_a);
		multivector_tokens(b, t, 1, token_b);
		for (uint32 k = 0; k < dim && equal; k++)
			equal = token_a[k] == token_b[k];
	}
	pfree(token_a);
	pfree(token_b);
	return equal;
}

static bool
arguments_equal(FunctionCallInfo fcinfo)
{
	MultiVector  header_a;
	MultiVector  header_b;
	MultiVector *a;
	MultiVector *b;
	bool         equal;

	/* Most pairs differ in shape, which is visible without detoasting them. */
	multivector_peek(PG_GETARG_DATUM(0), &header_a);
	multivector_peek(PG_GETARG_DATUM(1), &header_b);
	if (header_a.ntokens != header_b.ntokens || header_a.dim != header_b.dim)
		return false;

	a = PG_GETARG_MULTIVECTOR(0);
	b = PG_GETARG_MULTIVECTOR(1);
	equal = elements_equal(a, b);
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return equal;
}

Datum
multivector_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(arguments_equal(fcinfo));
}

Datum
multivector_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!arguments_equal(fcinfo));
}

static uint64
hash_multivector(const MultiVector *mv, uint64 seed)
{
	float *token = palloc(mv->dim * sizeof(float));
	uint64 hash = 0;

	for (uint32 t = 0; t < mv->ntokens; t++)
	{
		CHECK_FOR_INTERRUPTS();
		multivector_tokens(mv, t, 1, token);

		/* Adding 0 turns -0 into 0. */
		for (uint32 k = 0; k < mv->dim; k++)
			token[k] += 0.0f;
		hash = hash_combine64(
			hash, hash_bytes_extended((unsigned char *) token, mv->dim * sizeof(float), seed));
	}
	pfree(token);
	return hash;
}

Datum
multivector_hash(PG_FUNCTION_ARGS)
{
	MultiVector *mv = PG_GETARG_MULTIVECTOR(0);
	uint64       hash = hash_multivector(mv, 0);

	PG_FREE_IF_COPY(mv, 0);

	/* The low half, so that it equals the extended hash with seed 0. */
	PG_RETURN_UINT32((uint32) hash);
}

Datum
multivector_hash_extended(PG_FUNCTION_ARGS)
{
	MultiVector *mv = PG_GETARG_MULTIVECTOR(0);
	uint64       hash = hash_multivector(mv, (uint64) PG_GETARG_INT64(1));

	PG_FREE_IF_COPY(mv, 0);
	PG_RETURN_UINT64(hash);
}
