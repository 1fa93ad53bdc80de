/*-------------------------------------------------------------------------
 *
 * bm25.h
 *	  The type bm25_query: a full-text query with the statistics that a score
 *	  needs.
 *
 * A value is self-contained, so that scoring a row reads no table and bm25f
 * is immutable. Its words are sorted in the order of a tsvector's lexemes.
 *
 * The four sections are the labels of tsvector positions. They are numbered
 * as tsvector numbers them: D is 0, C is 1, B is 2, A is 3.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_BM25_H
#define COLBERT_BM25_H

#include "compat/pg_compat.h"

#include "fmgr.h"
#include "tsearch/ts_type.h"

#define BM25_SECTIONS     4
#define BM25_ALL_SECTIONS ((1 << BM25_SECTIONS) - 1)
#define BM25_MAGIC        0x25B3
#define BM25_VERSION      1

/*
 * Maximum number of words. Documents are scored in time linear in it, and all
 * words must fit into one tsquery.
 */
#define BM25_MAX_WORDS 20000

/* Maxima that keep every sum and product finite. Minima are 0. */
#define BM25_MAX_K1     1e6
#define BM25_MAX_WEIGHT 1e6
#define BM25_MAX_LENGTH 1e9
#define BM25_MAX_IDF    100

/* Letters of the sections, by number. */
#define BM25_LETTERS "DCBA"

/* Use of a word in bm25_candidates: (the OR of those alone) OR (required AND beside). */
typedef enum Bm25Candidate
{
	BM25_NO_CANDIDATE,
	BM25_ALONE,
	BM25_REQUIRED,
	BM25_BESIDE, /* one of those must occur with a required word */
	BM25_CANDIDATE_COUNT
} Bm25Candidate;

typedef struct Bm25Settings
{
	float8 k1;                     /* saturation: the frequency that earns half of a word's idf */
	float8 b;                      /* share of a section's length that frequencies are divided by */
	float8 weights[BM25_SECTIONS]; /* factors of frequencies */
	float8 lengths[BM25_SECTIONS]; /* mean positions per document */
} Bm25Settings;

typedef struct Bm25Word
{
	float8 idf;
	uint32 offset;    /* of the lexeme, in bytes after the last word */
	uint16 length;    /* of the lexeme, in bytes; it is not terminated */
	uint8  sections;  /* bit s is set if occurrences in section s count */
	uint8  candidate; /* Bm25Candidate */
} Bm25Word;

typedef struct Bm25Query
{
	int32        vl_len_; /* varlena header, not to be accessed directly */
	uint16       magic;
	uint16       version;
	uint32       nwords;
	uint32       unused; /* 0 */
	float8       bound;  /* sum of the words' idf */
	Bm25Settings settings;
	Bm25Word     words[FLEXIBLE_ARRAY_MEMBER];
} Bm25Query;

StaticAssertDecl(sizeof(Bm25Word) == 16, "words are stored without padding");
StaticAssertDecl(offsetof(Bm25Query, words) == 104, "the header is stored without padding");

/* A word before it is part of a query. */
typedef struct Bm25Term
{
	const char *lexeme;
	int         length;
	uint8       sections;
	uint8       candidate; /* Bm25Candidate */
	double      documents; /* that have the word, in the whole table */
	double      idf;
} Bm25Term;

#define DatumGetBm25Query(datum) bm25_query_check((Bm25Query *) PG_DETOAST_DATUM(datum))
#define PG_GETARG_BM25_QUERY(n)  DatumGetBm25Query(PG_GETARG_DATUM(n))

extern Bm25Query *bm25_query_make(const Bm25Settings *settings, Bm25Term *terms, uint32 nterms);
extern Bm25Query *bm25_query_check(Bm25Query *query);
extern double    *bm25_shares(TSVector vector, const Bm25Settings *settings);

/* Order two lexemes as a tsvector does. */
static inline int
bm25_compare(const char *a, int alength, const char *b, int blength)
{
	int order = memcmp(a, b, Min(alength, blength));

	return order != 0 ? order : alength - blength;
}

static inline const char *
bm25_lexeme(const Bm25Query *query, const Bm25Word *word)
{
	return (const char *) (query->words + query->nwords) + word->offset;
}

#endif /* COLBERT_BM25_H */
