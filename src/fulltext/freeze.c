/*-------------------------------------------------------------------------
 *
 * freeze.c
 *	  bm25f_freeze: weigh the words of a tsvector once, and bm25f_frozen: the
 *	  score of such a document.
 *
 * The settings are those of a bm25_query, whose words do not matter: the
 * weights of the sections, b, k1 and the mean lengths. A score takes the idf
 * from the query, so new document frequencies count at once.
 *
 * Fingerprints of the settings identify documents that were frozen with other
 * settings. Weights, b or k1 that differ from those of the query would give
 * another ranking than the query asks for, and are an error. Mean lengths
 * differ after any refresh of the statistics, and are no error.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "base/prefetch.h"
#include "fulltext/bm25.h"
#include "fulltext/frozen.h"
#include "port/pg_crc32c.h"

PG_FUNCTION_INFO_V1(bm25f_freeze);
PG_FUNCTION_INFO_V1(bm25f_frozen);
PG_FUNCTION_INFO_V1(bm25f_is_stale);

/* The start and the factor of FNV-1a. */
#define FINGERPRINT_START  UINT64CONST(0xcbf29ce484222325)
#define FINGERPRINT_FACTOR UINT64CONST(0x100000001b3)

/* Bytes of a value to request from memory before they are read. */
#define PREFETCHED 1024

/* ---- fingerprints ---- */

/* Continue a fingerprint with numbers. It is the same on all machines. */
static uint32
fingerprint(uint32 before, const float8 *numbers, int n)
{
	uint64 hash = FINGERPRINT_START ^ before;

	for (int i = 0; i < n; i++)
	{
		float8 number = numbers[i] + 0.0; /* -0 is 0 */
		uint64 bits;

		memcpy(&bits, &number, sizeof(bits));
		hash = (hash ^ bits) * FINGERPRINT_FACTOR;
		hash ^= hash >> 32;
	}
	return (uint32) hash;
}

static uint32
fingerprint_of_parameters(const Bm25Settings *settings)
{
	float8 saturation[] = {settings->b, settings->k1};

	return fingerprint(fingerprint(0, settings->weights, BM25_SECTIONS), saturation, 2);
}

static uint32
fingerprint_of_lengths(const Bm25Settings *settings)
{
	return fingerprint(0, settings->lengths, BM25_SECTIONS);
}

/* ---- freezing ---- */

static void
reject_without_positions(TSVector vector)
{
	for (int i = 0; i < vector->size; i++)
		if (!ARRPTR(vector)[i].haspos)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("cannot freeze a tsvector that has lexemes without positions"),
							errhint("Do not apply strip() to a tsvector that is ranked.")));
}

static uint32
hash_of(const char *lexeme, int length)
{
	pg_crc32c crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, lexeme, length);
	FIN_CRC32C(crc);
	return crc;
}

static int
compare_keys(const void *a, const void *b)
{
	uint64 x = *(const uint64 *) a;
	uint64 y = *(const uint64 *) b;

	return x < y ? -1 : x > y;
}

/*
 * Write the words of a document, hash above weight, in order. Return their
 * number. Of words with one hash the largest weight is kept.
 */
static uint32
weigh_words(TSVector vector, const Bm25Settings *settings, uint64 *keys)
{
	double *shares = bm25_shares(vector, settings);
	uint32  n = 0;
	uint32  kept = 0;

	for (int i = 0; i < vector->size; i++)
	{
		const WordEntry *entry = &ARRPTR(vector)[i];
		uint64           hash = hash_of(STRPTR(vector) + entry->pos, entry->len);

		/* A word whose sections all have the weight 0 earns nothing; any other one does. */
		if (shares[i] > 0)
			keys[n++] = hash << 8 | (uint8) Max(rint(shares[i] * FROZEN_MAX_WEIGHT), 1);
	}
	qsort(keys, n, sizeof(uint64), compare_keys);
	for (uint32 i = 0; i < n; i++)
	{
		if (kept > 0 && keys[kept - 1] >> 8 == keys[i] >> 8)
			kept--;
		keys[kept++] = keys[i];
	}
	pfree(shares);
	return kept;
}

static void
put_number(uint8 *bytes, uint32 number)
{
	number = pg_hton32(number);
	memcpy(bytes, &number, sizeof(number));
}

Datum
bm25f_freeze(PG_FUNCTION_ARGS)
{
	TSVector            vector = PG_GETARG_TSVECTOR(0);
	const Bm25Settings *settings = &PG_GETARG_BM25_QUERY(1)->settings;
	uint64             *keys = palloc(Max(vector->size, 1) * sizeof(uint64));
	uint32              n;
	Size                size;
	struct varlena     *value;
	uint8              *bytes;

	reject_without_positions(vector);
	n = weigh_words(vector, settings, keys);
	size = VARHDRSZ + FROZEN_HEADER_SIZE + (Size) n * FROZEN_WORD_SIZE;
	value = palloc(size);
	SET_VARSIZE(value, size);
	bytes = (uint8 *) VARDATA(value);
	bytes[0] = FROZEN_VERSION;
	put_number(bytes + FROZEN_PARAMETERS, fingerprint_of_parameters(settings));
	put_number(bytes + FROZEN_LENGTHS, fingerprint_of_lengths(settings));
	bytes += FROZEN_HEADER_SIZE;
	for (uint32 i = 0; i < n; i++)
	{
		put_number(bytes + i * sizeof(uint32), (uint32) (keys[i] >> 8));
		bytes[n * sizeof(uint32) + i] = (uint8) keys[i];
	}
	PG_RETURN_POINTER(value);
}

/* ---- scores ---- */

compat_noreturn static void
reject_parameters(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the document was frozen with other weights, b or k1 than those of the query"),
			 errhint("Prepare the query with the arguments that made the settings, or freeze the "
					 "document again.")));
}

/* Return the parts of a value, or raise an error if it is of another version. */
static Frozen
open_frozen(const struct varlena *value)
{
	const uint8 *bytes = (const uint8 *) VARDATA_ANY(value);

	if (VARSIZE_ANY_EXHDR(value) < FROZEN_HEADER_SIZE)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("invalid value of bm25_frozen")));
	if (bytes[0] != FROZEN_VERSION)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("bm25_frozen has version %u, expected %u", bytes[0], FROZEN_VERSION),
						errhint("Make it again with bm25f_freeze().")));
	prefetch_bytes(bytes, Min(VARSIZE_ANY_EXHDR(value), PREFETCHED));
	return frozen_parts(bytes, VARSIZE_ANY_EXHDR(value));
}

/* Return the weight of a word in 255ths, 0 if the document lacks it. */
static uint8
find_weight(const Frozen *frozen, uint32 hash)
{
	uint32 first = 0;
	uint32 n = frozen->nwords;

	if (n == 0)
		return 0;
	/* the last word whose hash is not greater; without branches, which would be mispredicted */
	while (n > 1)
	{
		uint32 half = n / 2;

		first = frozen_hash(frozen, first + half) <= hash ? first + half : first;
		n -= half;
	}
	return frozen_hash(frozen, first) == hash ? frozen->weights[first] : 0;
}

static void
reject_labels(const Bm25Query *query)
{
	for (uint32 i = 0; i < query->nwords; i++)
		if (query->words[i].sections != BM25_ALL_SECTIONS)
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("a frozen document has no sections, and the query has the label "
								   "of one"),
							errhint("Write the words without labels, or use bm25f().")));
}

Datum
bm25f_frozen(PG_FUNCTION_ARGS)
{
	struct varlena *value = PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(0));
	Bm25Query      *query = PG_GETARG_BM25_QUERY(1);
	Frozen          frozen = open_frozen(value);
	double          score = 0;

	reject_labels(query);
	if (frozen.parameters != fingerprint_of_parameters(&query->settings))
		reject_parameters();
	for (uint32 i = 0; i < query->nwords; i++)
	{
		const Bm25Word *word = &query->words[i];

		score +=
			word->idf * (find_weight(&frozen, hash_of(bm25_lexeme(query, word), word->length)) /
						 (double) FROZEN_MAX_WEIGHT);
	}
	PG_RETURN_FLOAT8(score);
}

/* Return true if a document was frozen with other settings, mean lengths included. */
Datum
bm25f_is_stale(PG_FUNCTION_ARGS)
{
	struct varlena     *value = PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(0));
	const Bm25Settings *settings = &PG_GETARG_BM25_QUERY(1)->settings;
	Frozen              frozen = open_frozen(value);

	PG_RETURN_BOOL(frozen.parameters != fingerprint_of_parameters(settings) ||
				   frozen.lengths != fingerprint_of_lengths(settings));
}
