/*-------------------------------------------------------------------------
 *
 * candidates.c
 *	  bm25_candidates: the rarest words of a query, for @@.
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

/* Begin an operator. Its right operand follows, and then put_left and its left one. */
static QueryItem *
put_operator(Maker *maker, int8 oper)
{
	QueryItem *item = maker->next++;

	item->qoperator.type = QI_OPR;
	item->qoperator.oper = oper;
	return item;
}

static void
put_left(Maker *maker, QueryItem *item)
{
	item->qoperator.left = (uint32) (maker->next - item);
}

/* Write the OR of n words. */
static void
put_words(Maker *maker, uint32 first, uint32 n)
{
	QueryItem *item;

	if (n == 1)
	{
		put_word(maker, maker->words[first]);
		return;
	}
	item = put_operator(maker, OP_OR);
	put_words(maker, first + n / 2, n - n / 2);
	put_left(maker, item);
	put_words(maker, first, n / 2);
}

/* Write the required words AND those beside them, which follow. Either may be missing. */
static void
put_pairs(Maker *maker, uint32 first, uint32 nrequired, uint32 nbeside)
{
	QueryItem *item;

	if (nrequired == 0 || nbeside == 0)
	{
		put_words(maker, first, nrequired + nbeside);
		return;
	}
	item = put_operator(maker, OP_AND);
	put_words(maker, first + nrequired, nbeside);
	put_left(maker, item);
	put_words(maker, first, nrequired);
}

/* Write all words. counts: number of words by their use. */
static void
put_query(Maker *maker, const uint32 *counts)
{
	uint32     nalone = counts[BM25_ALONE];
	uint32     npaired = counts[BM25_REQUIRED] + counts[BM25_BESIDE];
	QueryItem *item;

	if (npaired == 0)
	{
		put_words(maker, 0, nalone);
		return;
	}
	item = nalone > 0 ? put_operator(maker, OP_OR) : NULL;
	put_pairs(maker, nalone, counts[BM25_REQUIRED], counts[BM25_BESIDE]);
	if (item == NULL)
		return;
	put_left(maker, item);
	put_words(maker, 0, nalone);
}

/* List the candidates in the order of their use. Return the bytes of their operands. */
static Size
list_candidates(const Bm25Query *query, uint32 *words, uint32 *counts)
{
	uint32 n = 0;
	Size   bytes = 0;

	for (uint8 use = BM25_ALONE; use < BM25_CANDIDATE_COUNT; use++)
	{
		for (uint32 i = 0; i < query->nwords; i++)
		{
			if (query->words[i].candidate != use)
				continue;
			words[n++] = i;
			counts[use]++;
			bytes += query->words[i].length + 1;
		}
	}
	return bytes;
}

Datum
bm25_candidates(PG_FUNCTION_ARGS)
{
	Bm25Query *query = PG_GETARG_BM25_QUERY(0);
	uint32    *words = palloc((query->nwords + 1) * sizeof(uint32));
	Maker      maker = {.query = query, .words = words};
	uint32     counts[BM25_CANDIDATE_COUNT] = {0};
	Size       bytes = list_candidates(query, words, counts);
	uint32     nwords = counts[BM25_ALONE] + counts[BM25_REQUIRED] + counts[BM25_BESIDE];
	uint32     nitems = nwords > 0 ? 2 * nwords - 1 : 0;
	Size       size = COMPUTESIZE(nitems, bytes);

	maker.made = palloc0(size);
	SET_VARSIZE(maker.made, size);
	maker.made->size = (int32) nitems;
	maker.next = GETQUERY(maker.made);
	if (nwords > 0)
		put_query(&maker, counts);
	PG_RETURN_TSQUERY(maker.made);
}
