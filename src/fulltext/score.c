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
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(bm25f);
PG_FUNCTION_INFO_V1(bm25f_terms);
PG_FUNCTION_INFO_V1(bm25f_features);
PG_FUNCTION_INFO_V1(bm25_bound);

/* Positions are read four at a time, each in a lane of 16 bits. */
#define LANES    4
#define LANE_ONE UINT64CONST(0x0001000100010001)

/* Lexemes whose positions the lanes can count: 64 times four positions each at most. */
#define COUNTED_LEXEMES 128

/*
 * Bytes of a vector to request from memory before they are read. Waiting for
 * one line after another takes half of a score's time.
 */
#define PREFETCHED 4096
#define CACHE_LINE 64

/* Counts of positions by the two bits that number their section, in lanes. */
typedef struct SectionBits
{
	uint32 positions;
	uint64 low;
	uint64 high;
	uint64 both;
} SectionBits;

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

/* Return up to four positions in lanes; unused lanes are 0. */
static inline uint64
read_positions(const WordEntryPos *positions, int n, const char *end)
{
	static const uint16 used[LANES][LANES] = {
		{0}, {0xFFFF}, {0xFFFF, 0xFFFF}, {0xFFFF, 0xFFFF, 0xFFFF}};
	uint64 lanes = 0;
	uint64 mask;

	if (unlikely(end - (const char *) positions < (ptrdiff_t) sizeof(lanes)))
	{
		memcpy(&lanes, positions, Min(n, LANES) * sizeof(WordEntryPos));
		return lanes;
	}
	memcpy(&lanes, positions, sizeof(lanes));
	if (n >= LANES)
		return lanes;
	memcpy(&mask, used[n], sizeof(mask));
	return lanes & mask;
}

/*
 * Count the positions of at most COUNTED_LEXEMES lexemes. Most lexemes have
 * one to four, which are counted without a branch on their number.
 */
static inline SectionBits
count_bits(TSVector vector, const WordEntry *entries, int n)
{
	const char *end = (const char *) vector + VARSIZE(vector);
	SectionBits bits = {0};

	for (int i = 0; i < n; i++)
	{
		const WordEntryPos *positions = POSDATAPTR(vector, &entries[i]);
		int                 npositions = POSDATALEN(vector, &entries[i]);

		bits.positions += entries[i].haspos ? npositions : 1;
		for (; npositions > 0; npositions -= LANES, positions += LANES)
		{
			uint64 lanes = read_positions(positions, npositions, end);
			uint64 low = (lanes >> 14) & LANE_ONE;
			uint64 high = (lanes >> 15) & LANE_ONE;

			bits.low += low;
			bits.high += high;
			bits.both += low & high;
		}
	}
	return bits;
}

static inline uint32
sum_lanes(uint64 lanes)
{
	return (uint32) ((lanes * LANE_ONE) >> 48);
}

/* Add the positions of some lexemes to the counts of the sections. */
static inline void
count_positions(TSVector vector, const WordEntry *entries, int n, uint32 *counts)
{
	SectionBits bits = count_bits(vector, entries, n);
	uint32      low = sum_lanes(bits.low);
	uint32      high = sum_lanes(bits.high);
	uint32      both = sum_lanes(bits.both);

	counts[0] += bits.positions + both - low - high;
	counts[1] += low - both;
	counts[2] += high - both;
	counts[3] += both;
}

static void
measure_sections(TSVector vector, uint32 *lengths)
{
	memset(lengths, 0, BM25_SECTIONS * sizeof(uint32));
	for (int first = 0; first < vector->size; first += COUNTED_LEXEMES)
		count_positions(vector, ARRPTR(vector) + first, Min(COUNTED_LEXEMES, vector->size - first),
						lengths);
}

static inline void
prefetch(TSVector vector)
{
	for (Size at = 0; at < Min(VARSIZE(vector), PREFETCHED); at += CACHE_LINE)
		__builtin_prefetch((const char *) vector + at);
}

/* Prepare a document. A section that no document of the statistics has is not normalised. */
static Document
prepare(TSVector vector, const Bm25Settings *settings)
{
	Document doc = {.vector = vector};

	prefetch(vector);
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
	bool             found = false;

	memset(frequencies, 0, BM25_SECTIONS * sizeof(uint32));
	if (entry == NULL)
		return false;
	count_positions(vector, entry, 1, frequencies);
	for (int s = 0; s < BM25_SECTIONS; s++)
	{
		if (!(word->sections & (1 << s)))
			frequencies[s] = 0;
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
		uint32 frequencies[BM25_SECTIONS] = {0};

		count_positions(vector, ARRPTR(vector) + i, 1, frequencies);
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
