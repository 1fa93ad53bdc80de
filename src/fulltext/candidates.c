/*-------------------------------------------------------------------------
 *
 * candidates.c
 *	  bm25_candidates: the rarest words of a query, as an OR for @@.
 *
 * The tree is balanced, so that recursion over it stays shallow.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "fulltext/bm25.h"
#include "tsearch/ts_type.h"
#include "utils/pg_crc.h"

PG_FUNCTION_INFO_V1(bm25_candidates);

/* Words of a query, and the tsquery that is being made of them. */
typedef struct Maker
{
	const Bm25Query *query;
	const uint32    *words; /* indexes of the candidates */
	TSQuery          made;
	QueryItem       *next;
	uint32           bytes; /* of operands so far, with terminators */
} Maker;

static void
put_word(Maker *maker, uint32 i)
{
	const Bm25Word *word = &maker->query->words[i];
	const char     *lexeme = bm25_lexeme(maker->query, word);
	QueryOperand   *operand = &maker->next++->qoperand;
	pg_crc32        crc;

	INIT_LEGACY_CRC32(crc);
	COMP_LEGACY_CRC32(crc, lexeme, word->length);
	FIN_LEGACY_CRC32(crc);
	operand->type = QI_VAL;
	operand->weight = word->sections == BM25_ALL_SECTIONS ? 0 : word->sections;
	operand->valcrc = (int32) crc;
	operand->length = word->length;
	operand->distance = maker->bytes;
	memcpy(GETOPERAND(maker->made) + maker->bytes, lexeme, word->length);
	maker->bytes += word->length + 1;
}

/* Write the OR of n words. An operator's right operand follows it, and then its left one. */
static void
put_words(Maker *maker, uint32 first, uint32 n)
{
	QueryItem *item = maker->next;

	if (n == 1)
	{
		put_word(maker, maker->words[first]);
		return;
	}
	maker->next++;
	item->qoperator.type = QI_OPR;
	item->qoperator.oper = OP_OR;
	put_words(maker, first + n / 2, n - n / 2);
	item->qoperator.left = (uint32) (maker->next - item);
	put_words(maker, first, n / 2);
}

Datum
bm25_candidates(PG_FUNCTION_ARGS)
{
	Bm25Query *query = PG_GETARG_BM25_QUERY(0);
	uint32    *words = palloc((query->nwords + 1) * sizeof(uint32));
	Maker      maker = {.query = query, .words = words};
	uint32     nwords = 0;
	Size       bytes = 0;
	uint32     nitems;
	Size       size;

	for (uint32 i = 0; i < query->nwords; i++)
	{
		if (!query->words[i].candidate)
			continue;
		words[nwords++] = i;
		bytes += query->words[i].length + 1;
	}
	nitems = nwords > 0 ? 2 * nwords - 1 : 0;
	size = COMPUTESIZE(nitems, bytes);
	maker.made = palloc0(size);
	SET_VARSIZE(maker.made, size);
	maker.made->size = (int32) nitems;
	maker.next = GETQUERY(maker.made);
	if (nwords > 0)
		put_words(&maker, 0, nwords);
	PG_RETURN_TSQUERY(maker.made);
}
