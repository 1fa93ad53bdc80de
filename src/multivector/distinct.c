/*-------------------------------------------------------------------------
 *
 * distinct.c
 *	  Drop tokens that cannot change a maximum.
 *
 * Padding leaves documents with zero tokens, or with many copies of one token.
 * One copy suffices for the best similarity of a query token, and an inner
 * product with a zero token carries no information.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "multivector/multivector.h"
#include "port/pg_bitutils.h"

/* Open-addressing hash table of a multivector's tokens, keyed by their stored bytes. */
typedef struct TokenTable
{
	const MultiVector *mv;
	size_t             size;  /* bytes per token */
	uint32            *slots; /* token number, or EMPTY_SLOT */
	uint32             mask;
} TokenTable;

#define EMPTY_SLOT PG_UINT32_MAX

static size_t
element_size(const MultiVector *mv)
{
	return mv->element == KERNEL_FLOAT4   ? sizeof(float)
		   : mv->element == KERNEL_FLOAT2 ? sizeof(uint16)
										  : sizeof(int8);
}

static const char *
stored_token(const TokenTable *table, uint32 token)
{
	return (const char *) multivector_elements(table->mv) + token * table->size;
}

static bool
tokens_equal(const TokenTable *table, uint32 a, uint32 b)
{
	const float *scales = multivector_scales(table->mv);

	return memcmp(stored_token(table, a), stored_token(table, b), table->size) == 0 &&
		   (scales == NULL || scales[a] == scales[b]);
}

/* Enter a token. Returns false if the table already has an equal one. */
static bool
table_enter(TokenTable *table, uint32 token)
{
	uint32 at = hash_bytes((const unsigned char *) stored_token(table, token), (int) table->size) &
				table->mask;

	while (table->slots[at] != EMPTY_SLOT)
	{
		if (tokens_equal(table, table->slots[at], token))
			return false;
		at = (at + 1) & table->mask;
	}
	table->slots[at] = token;
	return true;
}

/* Copy the kept tokens of a multivector into a new one. */
static MultiVector *
copy_tokens(const TokenTable *table, const uint32 *kept, uint32 nkept)
{
	const MultiVector *mv = table->mv;
	MultiVector       *copy = multivector_alloc(nkept, mv->dim, mv->element);
	char              *elements = multivector_elements(copy);

	for (uint32 i = 0; i < nkept; i++)
	{
		copy->norms[i] = mv->norms[kept[i]];
		if (mv->element == KERNEL_INT8)
			copy->norms[nkept + i] = multivector_scales(mv)[kept[i]];
		memcpy(elements + i * table->size, stored_token(table, kept[i]), table->size);
	}
	return copy;
}

const MultiVector *
multivector_distinct(const MultiVector *mv, bool keep_zeros)
{
	TokenTable table = {.mv = mv, .size = mv->dim * element_size(mv)};
	uint32    *kept = palloc_extended(mul_size(mv->ntokens, sizeof(uint32)), MCXT_ALLOC_HUGE);
	uint64     nslots = pg_nextpower2_64((uint64) mv->ntokens * 2);
	uint32     nkept = 0;
	const MultiVector *result = mv;

	table.mask = (uint32) (nslots - 1);
	table.slots = palloc_extended(mul_size(nslots, sizeof(uint32)), MCXT_ALLOC_HUGE);
	memset(table.slots, 0xFF, nslots * sizeof(uint32));
	for (uint32 t = 0; t < mv->ntokens; t++)
	{
		CHECK_FOR_INTERRUPTS();
		if ((keep_zeros || mv->norms[t] > 0) && table_enter(&table, t))
			kept[nkept++] = t;
	}
	/* A document has at least one token. */
	if (nkept == 0)
		kept[nkept++] = 0;
	if (nkept < mv->ntokens)
		result = copy_tokens(&table, kept, nkept);
	pfree(table.slots);
	pfree(kept);
	return result;
}
