/*-------------------------------------------------------------------------
 *
 * score.c
 *	  BM25F: the score of a tsvector for a bm25_query.
 *
 * The formula is that of Robertson, Zaragoza and Taylor (2004). For each word,
 * the frequencies in the sections are divided by the normalised length of the
 * section, weighted and added, and the sum is saturated once:
 *
 *	x = sum over sections s of weight[s] * frequency[s] /
 *		(1 - b + b * length[s] / mean_length[s])
 *	score = sum over words of idf * x / (k1 + x)
 *
 * The length of a section is its number of positions. A lexeme without
 * positions counts as one occurrence in section D, as in ts_rank.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "catalog/pg_type.h"
#include "fulltext/bm25.h"
#include "funcapi.h"
#include "tsearch/ts_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(bm25f);
PG_FUNCTION_INFO_V1(bm25f_terms);
PG_FUNCTION_INFO_V1(bm25f_features);
PG_FUNCTION_INFO_V1(bm25_bound);

/* Lexemes counted in one packed number of four lanes of 16 bits: 256 positions each at most. */
#define PACKED_LEXEMES 128
#define LANE_BITS      16

/* A document as the formula needs it. */
typedef struct Document
{
	TSVector vector;
	uint32   lengths[BM25_SECTIONS];
	double   factors[BM25_SECTIONS]; /* weight over normalised length */
} Document;

/* Order of the features (doc/ranking.md). */
enum
{
	FEATURE_SCORE,
	FEATURE_SHARE,
	FEATURE_OWN,                                           /* per section, A first */
	FEATURE_COVERAGE = FEATURE_OWN + BM25_SECTIONS,        /* in any section, then per section */
	FEATURE_LENGTH = FEATURE_COVERAGE + 1 + BM25_SECTIONS, /* per section */
	FEATURE_COUNT = FEATURE_LENGTH + BM25_SECTIONS
};

/* Count the positions of some lexemes, in a lane per section. */
static inline uint64
count_packed(TSVector vector, const WordEntry *entries, int n)
{
	uint64 packed = 0;

	for (int i = 0; i < n; i++)
	{
		const WordEntry *entry = &entries[i];
		int              npositions = POSDATALEN(vector, entry);

		if (!entry->haspos)
			packed++;
		for (int p = 0; p < npositions; p++)
			packed += UINT64CONST(1) << (LANE_BITS * WEP_GETWEIGHT(POSDATAPTR(vector, entry)[p]));
	}
	return packed;
}

static void
measure_sections(TSVector vector, uint32 *lengths)
{
	memset(lengths, 0, BM25_SECTIONS * sizeof(uint32));
	for (int first = 0; first < vector->size; first += PACKED_LEXEMES)
	{
		uint64 packed =
			count_packed(vector, ARRPTR(vector) + first, Min(PACKED_LEXEMES, vector->size - first));

		for (int s = 0; s < BM25_SECTIONS; s++)
			lengths[s] += (uint16) (packed >> (LANE_BITS * s));
	}
}

/* Prepare a document. A section that no document of the statistics has is not normalised. */
static Document
prepare(TSVector vector, const Bm25Settings *settings)
{
	Document doc = {.vector = vector};

	measure_sections(vector, doc.lengths);
	for (int s = 0; s < BM25_SECTIONS; s++)
	{
		double mean = settings->lengths[s];
		double norm = mean > 0 ? 1 - settings->b + settings->b * doc.lengths[s] / mean : 1;

		doc.factors[s] = doc.lengths[s] > 0 ? settings->weights[s] / norm : 0;
	}
	return doc;
}

/* Return the document's lexeme that equals the word, or NULL. */
static const WordEntry *
find_lexeme(TSVector vector, const char *lexeme, int length)
{
	const WordEntry *entries = ARRPTR(vector);
	const char      *strings = STRPTR(vector);
	int              low = 0;
	int              high = vector->size;

	while (low < high)
	{
		const WordEntry *middle = &entries[low + (high - low) / 2];
		int              order = bm25_compare(lexeme, length, strings + middle->pos, middle->len);

		if (order == 0)
			return middle;
		if (order < 0)
			high = (int) (middle - entries);
		else
			low = (int) (middle - entries) + 1;
	}
	return NULL;
}

/* Count a word's occurrences in each section that counts for it. Return false if there are none. */
static bool
count_word(TSVector vector, const Bm25Query *query, const Bm25Word *word, uint32 *frequencies)
{
	const WordEntry *entry = find_lexeme(vector, bm25_lexeme(query, word), word->length);
	uint64           packed = entry != NULL ? count_packed(vector, entry, 1) : 0;
	bool             found = false;

	for (int s = 0; s < BM25_SECTIONS; s++)
	{
		frequencies[s] = word->sections & (1 << s) ? (uint16) (packed >> (LANE_BITS * s)) : 0;
		found |= frequencies[s] > 0;
	}
	return found;
}

/* Return the weighted, normalised frequency of a word. */
static double
normalised_frequency(const Document *doc, const uint32 *frequencies)
{
	double x = 0;

	for (int s = 0; s < BM25_SECTIONS; s++)
		x += frequencies[s] * doc->factors[s];
	return x;
}

static double
saturate(double x, double k1)
{
	return x > 0 ? x / (k1 + x) : 0;
}

/* Return the share of its idf that each lexeme of a document earns. */
double *
bm25_shares(TSVector vector, const Bm25Settings *settings)
{
	Document doc = prepare(vector, settings);
	double  *shares = palloc(Max(vector->size, 1) * sizeof(double));

	for (int i = 0; i < vector->size; i++)
	{
		uint64 packed = count_packed(vector, ARRPTR(vector) + i, 1);
		uint32 frequencies[BM25_SECTIONS];

		for (int s = 0; s < BM25_SECTIONS; s++)
			frequencies[s] = (uint16) (packed >> (LANE_BITS * s));
		shares[i] = saturate(normalised_frequency(&doc, frequencies), settings->k1);
	}
	return shares;
}

Datum
bm25f(PG_FUNCTION_ARGS)
{
	TSVector   vector = PG_GETARG_TSVECTOR(0);
	Bm25Query *query = PG_GETARG_BM25_QUERY(1);
	Document   doc = prepare(vector, &query->settings);
	double     score = 0;

	for (uint32 i = 0; i < query->nwords; i++)
	{
		uint32 frequencies[BM25_SECTIONS];

		if (count_word(vector, query, &query->words[i], frequencies))
			score += query->words[i].idf *
					 saturate(normalised_frequency(&doc, frequencies), query->settings.k1);
	}
	PG_RETURN_FLOAT8(score);
}

/* Add a row per section that has the word. */
static void
put_terms(ReturnSetInfo *result, const Document *doc, const Bm25Query *query, uint32 i)
{
	const Bm25Word *word = &query->words[i];
	uint32          frequencies[BM25_SECTIONS];
	bool            nulls[4] = {0};
	Datum           values[4];
	double          x;

	if (!count_word(doc->vector, query, word, frequencies))
		return;
	x = normalised_frequency(doc, frequencies);
	values[0] = PointerGetDatum(cstring_to_text_with_len(bm25_lexeme(query, word), word->length));
	for (int s = BM25_SECTIONS - 1; s >= 0; s--)
	{
		double part = frequencies[s] * doc->factors[s];

		if (frequencies[s] == 0)
			continue;
		values[1] = PointerGetDatum(cstring_to_text_with_len(&BM25_LETTERS[s], 1));
		values[2] = Int32GetDatum((int32) frequencies[s]);
		values[3] = Float8GetDatum(x > 0 ? word->idf * part / (query->settings.k1 + x) : 0);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

Datum
bm25f_terms(PG_FUNCTION_ARGS)
{
	TSVector   vector = PG_GETARG_TSVECTOR(0);
	Bm25Query *query = PG_GETARG_BM25_QUERY(1);
	Document   doc = prepare(vector, &query->settings);

	InitMaterializedSRF(fcinfo, 0);
	for (uint32 i = 0; i < query->nwords; i++)
		put_terms((ReturnSetInfo *) fcinfo->resultinfo, &doc, query, i);
	return (Datum) 0;
}

/* Add a word to the sums over words. */
static void
add_features(double *features, const Document *doc, const Bm25Query *query, const Bm25Word *word)
{
	uint32 frequencies[BM25_SECTIONS];
	double k1 = query->settings.k1;

	if (!count_word(doc->vector, query, word, frequencies))
		return;
	features[FEATURE_SCORE] += word->idf * saturate(normalised_frequency(doc, frequencies), k1);
	features[FEATURE_COVERAGE]++;
	for (int s = 0; s < BM25_SECTIONS; s++)
	{
		int at = BM25_SECTIONS - 1 - s;

		features[FEATURE_OWN + at] += word->idf * saturate(frequencies[s] * doc->factors[s], k1);
		features[FEATURE_COVERAGE + 1 + at] += frequencies[s] > 0;
	}
}

Datum
bm25f_features(PG_FUNCTION_ARGS)
{
	TSVector   vector = PG_GETARG_TSVECTOR(0);
	Bm25Query *query = PG_GETARG_BM25_QUERY(1);
	Document   doc = prepare(vector, &query->settings);
	double     features[FEATURE_COUNT] = {0};
	Datum      values[FEATURE_COUNT];

	for (uint32 i = 0; i < query->nwords; i++)
		add_features(features, &doc, query, &query->words[i]);
	features[FEATURE_SHARE] = query->bound > 0 ? features[FEATURE_SCORE] / query->bound : 0;
	for (int i = FEATURE_COVERAGE; i < FEATURE_LENGTH; i++)
		features[i] /= Max(query->nwords, 1);
	for (int s = 0; s < BM25_SECTIONS; s++)
		features[FEATURE_LENGTH + BM25_SECTIONS - 1 - s] = doc.lengths[s];
	for (int i = 0; i < FEATURE_COUNT; i++)
		values[i] = Float4GetDatum((float4) features[i]);
	PG_RETURN_POINTER(
		construct_array(values, FEATURE_COUNT, FLOAT4OID, sizeof(float4), true, TYPALIGN_INT));
}

/* Return the sum of idf, or 1 if the query has no words, because statements divide by it. */
Datum
bm25_bound(PG_FUNCTION_ARGS)
{
	Bm25Query *query = PG_GETARG_BM25_QUERY(0);

	PG_RETURN_FLOAT8(query->bound > 0 ? query->bound : 1);
}
