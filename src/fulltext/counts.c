/*-------------------------------------------------------------------------
 *
 * counts.c
 *	  Count the documents that have each lexeme, in bounded memory.
 *
 * A hash table counts. When it has used its memory, its counts go to a sort,
 * and it starts again. In the end the sort brings the counts of a lexeme
 * together, which counts_next adds up.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/tupdesc.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "fulltext/counts.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"

typedef struct LexemeKey
{
	const char *lexeme;
	int         length;
} LexemeKey;

typedef struct LexemeCount
{
	LexemeKey key;
	int64     documents;
	uint32    hash;
	char      status; /* of the entry, for simplehash.h */
} LexemeCount;

static inline bool
equal_keys(LexemeKey a, LexemeKey b)
{
	return a.length == b.length && memcmp(a.lexeme, b.lexeme, a.length) == 0;
}

#define SH_PREFIX       lexemes
#define SH_ELEMENT_TYPE LexemeCount
#define SH_KEY_TYPE     LexemeKey
#define SH_KEY          key
#define SH_HASH_KEY(table, lookup) \
	hash_bytes((const unsigned char *) (lookup).lexeme, (lookup).length)
#define SH_EQUAL(table, a, b) equal_keys(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(table, entry) ((entry)->hash)
#define SH_SCOPE                  static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct LexemeCounts
{
	MemoryContext   context; /* of the hash table and its lexemes */
	Size            memory;  /* maximum bytes in it */
	lexemes_hash   *table;
	Tuplesortstate *sort;
	TupleTableSlot *row;  /* lexeme, documents */
	TupleTableSlot *next; /* the row that follows the lexeme returned last; empty at the end */
};

/* Number of entries for which a new table has room. */
#define FIRST_LEXEMES 1024

LexemeCounts *
counts_begin(Size memory)
{
	LexemeCounts *counts = palloc0(sizeof(LexemeCounts));
	TupleDesc     desc = CreateTemplateTupleDesc(2);
	AttrNumber    column = 1;
	Oid           operator= TextLessOperator;
	Oid           collation = C_COLLATION_OID;
	bool          nulls_first = false;

	TupleDescInitEntry(desc, 1, "lexeme", TEXTOID, -1, 0);
	TupleDescInitEntry(desc, 2, "documents", INT8OID, -1, 0);
	compat_finish_desc(desc);
	counts->memory = memory / 2;
	counts->context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg lexemes", ALLOCSET_DEFAULT_SIZES);
	counts->table = lexemes_create(counts->context, FIRST_LEXEMES, NULL);
	counts->sort = tuplesort_begin_heap(desc, 1, &column, &operator, & collation, &nulls_first,
										(int) (memory / 2 / 1024), NULL, TUPLESORT_NONE);
	counts->row = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	counts->next = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	return counts;
}

/* Move all counts to the sort. */
static void
spill(LexemeCounts *counts)
{
	lexemes_iterator iterator;
	LexemeCount     *count;

	lexemes_start_iterate(counts->table, &iterator);
	while ((count = lexemes_iterate(counts->table, &iterator)) != NULL)
	{
		text *lexeme = cstring_to_text_with_len(count->key.lexeme, count->key.length);

		CHECK_FOR_INTERRUPTS();
		ExecClearTuple(counts->row);
		counts->row->tts_values[0] = PointerGetDatum(lexeme);
		counts->row->tts_values[1] = Int64GetDatum(count->documents);
		memset(counts->row->tts_isnull, 0, 2 * sizeof(bool));
		ExecStoreVirtualTuple(counts->row);
		tuplesort_puttupleslot(counts->sort, counts->row);
		pfree(lexeme);
	}
	ExecClearTuple(counts->row);
	MemoryContextReset(counts->context);
	counts->table = lexemes_create(counts->context, FIRST_LEXEMES, NULL);
}

/* Count one more document that has the lexeme. */
void
counts_add(LexemeCounts *counts, const char *lexeme, int length)
{
	bool         found;
	LexemeCount *count = lexemes_insert(counts->table, (LexemeKey) {lexeme, length}, &found);

	if (!found)
	{
		char *copy = MemoryContextAlloc(counts->context, length);

		memcpy(copy, lexeme, length);
		count->key.lexeme = copy;
		count->documents = 0;
	}
	count->documents++;
	if (!found && MemoryContextMemAllocated(counts->context, true) > counts->memory)
		spill(counts);
}

static bool
fetch_next(LexemeCounts *counts)
{
	return tuplesort_gettupleslot(counts->sort, true, false, counts->next, NULL);
}

/* End counting. counts_next then returns the counts in the order of the lexemes. */
void
counts_sort(LexemeCounts *counts)
{
	spill(counts);
	tuplesort_performsort(counts->sort);
	(void) fetch_next(counts);
}

/* Return the next lexeme, allocated, and its documents; false at the end. */
bool
counts_next(LexemeCounts *counts, Datum *lexeme, int64 *documents)
{
	text *current;
	bool  isnull;

	if (TupIsNull(counts->next))
		return false;
	current = DatumGetTextPCopy(slot_getattr(counts->next, 1, &isnull));
	*lexeme = PointerGetDatum(current);
	*documents = 0;
	do
	{
		text *following = DatumGetTextPP(slot_getattr(counts->next, 1, &isnull));

		if (!equal_keys((LexemeKey) {VARDATA_ANY(current), VARSIZE_ANY_EXHDR(current)},
						(LexemeKey) {VARDATA_ANY(following), VARSIZE_ANY_EXHDR(following)}))
			break;
		*documents += DatumGetInt64(slot_getattr(counts->next, 2, &isnull));
	} while (fetch_next(counts));
	return true;
}

void
counts_end(LexemeCounts *counts)
{
	ExecDropSingleTupleTableSlot(counts->row);
	ExecDropSingleTupleTableSlot(counts->next);
	tuplesort_end(counts->sort);
	MemoryContextDelete(counts->context);
	pfree(counts);
}
