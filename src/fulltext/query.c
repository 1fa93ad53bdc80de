/*-------------------------------------------------------------------------
 *
 * query.c
 *	  bm25_query: prepare a query from statistics and a text or tsquery.
 *
 * A text becomes words by the text search configuration of the statistics. Of
 * a tsquery, the words that are not negated count; operators and the
 * distances of phrases do not. A label such as title:A restricts a word to
 * sections.
 *
 * Candidates are the rarest words, as long as their documents sum up to at
 * most the budget. If the rarest word that any document has exceeds the budget
 * alone, its documents are candidates if they have another word too: those
 * score best, and by far fewer have to be scored.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "base/array.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fulltext/statistics.h"
#include "miscadmin.h"
#include "tsearch/ts_type.h"
#include "tsearch/ts_utils.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(bm25_query_from_text);
PG_FUNCTION_INFO_V1(bm25_query_from_tsquery);

/* Minimum expected documents with two words, for the second to be required. */
#define MIN_EXPECTED 30

enum
{
	ARGUMENT_STATISTICS,
	ARGUMENT_QUERY,
	ARGUMENT_WEIGHTS,
	ARGUMENT_B,
	ARGUMENT_K1,
	ARGUMENT_BUDGET
};

/* The words of a query, which may repeat. */
typedef struct Words
{
	Bm25Term *terms;
	uint32    count;
	uint32    capacity;
} Words;

static void
add_word(Words *words, const char *lexeme, int length, uint8 sections)
{
	words->terms = array_reserve(words->terms, &words->capacity, (Size) words->count + 1,
								 sizeof(Bm25Term), CurrentMemoryContext);
	words->terms[words->count++] =
		(Bm25Term) {.lexeme = lexeme, .length = length, .sections = sections};
}

/* ---- words ---- */

static void
add_operand(Words *words, const QueryOperand *operand, const char *strings)
{
	const char *lexeme = strings + operand->distance;

	if (operand->prefix)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("bm25_query does not support the prefix \"%.*s\":*", (int) operand->length,
						lexeme),
				 errdetail("A prefix has no document frequency."), errhint("Write whole words.")));
	add_word(words, lexeme, operand->length,
			 operand->weight == 0 ? BM25_ALL_SECTIONS : operand->weight);
}

/* Add the words of a tsquery that are not negated. */
static void
walk(Words *words, const QueryItem *item, const char *strings, bool negated)
{
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (item->type == QI_VAL)
	{
		if (!negated)
			add_operand(words, &item->qoperand, strings);
		return;
	}
	if (item->qoperator.oper == OP_NOT)
	{
		walk(words, item + 1, strings, !negated);
		return;
	}
	walk(words, item + item->qoperator.left, strings, negated);
	walk(words, item + 1, strings, negated);
}

static void
add_vector(Words *words, TSVector vector)
{
	for (int i = 0; i < vector->size; i++)
		add_word(words, STRPTR(vector) + ARRPTR(vector)[i].pos, ARRPTR(vector)[i].len,
				 BM25_ALL_SECTIONS);
}

static int
compare_words(const void *a, const void *b)
{
	const Bm25Term *x = a;
	const Bm25Term *y = b;

	return bm25_compare(x->lexeme, x->length, y->lexeme, y->length);
}

/* Merge repeated words. A word counts in all sections that it was written with. */
static void
merge_words(Words *words)
{
	uint32 kept = 0;

	if (words->count == 0)
		return;
	qsort(words->terms, words->count, sizeof(Bm25Term), compare_words);
	for (uint32 i = 1; i < words->count; i++)
	{
		if (compare_words(&words->terms[kept], &words->terms[i]) == 0)
			words->terms[kept].sections |= words->terms[i].sections;
		else
			words->terms[++kept] = words->terms[i];
	}
	words->count = kept + 1;
}

/* ---- statistics ---- */

/* Look up each word. Its idf is that of Lucene, which is never negative. */
static void
weigh_words(Words *words, const Statistics *statistics)
{
	double scale =
		statistics->documents > 0 ? statistics->table_documents / statistics->documents : 1;

	for (uint32 i = 0; i < words->count; i++)
	{
		Bm25Term *term = &words->terms[i];
		double    documents = statistics_find(statistics, term->lexeme, term->length);

		CHECK_FOR_INTERRUPTS();
		term->idf = log(1 + (statistics->documents - documents + 0.5) / (documents + 0.5));
		term->documents = documents * scale;
	}
}

static int
rarest_first(const void *a, const void *b)
{
	const Bm25Term *x = *(Bm25Term *const *) a;
	const Bm25Term *y = *(Bm25Term *const *) b;

	if (x->documents != y->documents)
		return x->documents < y->documents ? -1 : 1;
	return compare_words(x, y);
}

/*
 * Require the first of n words, the rarest, and another one beside it: the
 * rarest again, as long as the documents that have both by chance sum up to at
 * most the budget. Return false if too few documents have both.
 */
static bool
require_first(Bm25Term **order, uint32 n, double budget, double documents)
{
	double sum = 0;
	uint32 end = 1;

	for (; end < n; end++)
	{
		double both = order[0]->documents * order[end]->documents / documents;

		if (sum > 0 && sum + both > budget)
			break;
		sum += both;
	}
	if (sum < MIN_EXPECTED)
		return false;
	order[0]->candidate = BM25_REQUIRED;
	for (uint32 i = 1; i < end; i++)
		order[i]->candidate = BM25_BESIDE;
	return true;
}

/*
 * Choose the candidates among the words, for a table of this many documents.
 * Words that no document had cost nothing, and newer documents may have them.
 */
static void
choose_candidates(Words *words, double budget, double documents)
{
	Bm25Term **order = palloc((words->count + 1) * sizeof(Bm25Term *));
	double     sum = 0;

	for (uint32 i = 0; i < words->count; i++)
		order[i] = &words->terms[i];
	qsort(order, words->count, sizeof(Bm25Term *), rarest_first);
	for (uint32 i = 0; i < words->count; i++)
	{
		if (sum > 0 && sum + order[i]->documents > budget)
			break;
		if (order[i]->documents > budget &&
			require_first(order + i, words->count - i, budget, documents))
			break;
		sum += order[i]->documents;
		order[i]->candidate = BM25_ALONE;
	}
	pfree(order);
}

/* ---- arguments ---- */

static void
read_weights(ArrayType *array, float8 *weights)
{
	if (ARR_NDIM(array) != 1 || ARR_DIMS(array)[0] != BM25_SECTIONS || ARR_HASNULL(array))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("expected four weights, of the sections D, C, B and A")));
	for (int s = 0; s < BM25_SECTIONS; s++)
		weights[s] = ((const float4 *) ARR_DATA_PTR(array))[s];
}

/* Make the query of its words and of the other arguments. */
static Datum
make_query(FunctionCallInfo fcinfo, Words *words, Statistics *statistics)
{
	int32        budget = PG_GETARG_INT32(ARGUMENT_BUDGET);
	Bm25Settings settings = {.b = PG_GETARG_FLOAT8(ARGUMENT_B),
							 .k1 = PG_GETARG_FLOAT8(ARGUMENT_K1)};

	if (budget < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("expected a budget of at least 1 document, not %d", budget)));
	read_weights(PG_GETARG_ARRAYTYPE_P(ARGUMENT_WEIGHTS), settings.weights);
	memcpy(settings.lengths, statistics->lengths, sizeof(settings.lengths));
	merge_words(words);
	if (words->count > BM25_MAX_WORDS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("a bm25_query has at most %d distinct words, not %u", BM25_MAX_WORDS,
							   words->count)));
	weigh_words(words, statistics);
	choose_candidates(words, budget, statistics->table_documents);
	statistics_close(statistics, AccessShareLock);
	PG_RETURN_POINTER(bm25_query_make(&settings, words->terms, words->count));
}

static Statistics
open_statistics(FunctionCallInfo fcinfo)
{
	Statistics statistics = statistics_open(PG_GETARG_OID(ARGUMENT_STATISTICS), AccessShareLock);

	statistics_check_rights(&statistics);
	return statistics;
}

/* bm25_query(statistics, text, ...) */
Datum
bm25_query_from_text(PG_FUNCTION_ARGS)
{
	Statistics statistics = open_statistics(fcinfo);
	List      *name = textToQualifiedNameList(cstring_to_text(statistics.config));
	Datum      config = ObjectIdGetDatum(get_ts_config_oid(name, false));
	Datum vector = DirectFunctionCall2(to_tsvector_byid, config, PG_GETARG_DATUM(ARGUMENT_QUERY));
	Words words = {0};

	add_vector(&words, DatumGetTSVector(vector));
	return make_query(fcinfo, &words, &statistics);
}

/* bm25_query(statistics, tsquery, ...) */
Datum
bm25_query_from_tsquery(PG_FUNCTION_ARGS)
{
	Statistics statistics = open_statistics(fcinfo);
	TSQuery    query = PG_GETARG_TSQUERY(ARGUMENT_QUERY);
	Words      words = {0};

	if (query->size > 0)
		walk(&words, GETQUERY(query), GETOPERAND(query), false);
	return make_query(fcinfo, &words, &statistics);
}
