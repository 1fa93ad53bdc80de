/*-------------------------------------------------------------------------
 *
 * value.c
 *	  Values of type bm25_query, their text form and their binary form.
 *
 * The text form is JSON with the keys k1, b, weights, lengths and words.
 * Arrays per section are in the order of ts_rank: D, C, B, A. Both forms are
 * read into terms, and bm25_query_make checks them, so that a value from
 * outside is as sound as one from bm25_query().
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "fulltext/bm25.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "tsearch/ts_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(bm25_query_in);
PG_FUNCTION_INFO_V1(bm25_query_out);
PG_FUNCTION_INFO_V1(bm25_query_recv);
PG_FUNCTION_INFO_V1(bm25_query_send);

/* Minimum bytes of a word in the binary form: idf, sections, candidate, length, one byte. */
#define MIN_WORD_BYTES (8 + 1 + 1 + 2 + 1)

/* ---- making a value ---- */

static void
check_number(const char *name, double value, double most)
{
	if (!(value >= 0 && value <= most))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("expected %s from 0 to %g, not %g", name, most, value)));
}

static void
check_settings(const Bm25Settings *settings)
{
	check_number("k1", settings->k1, BM25_MAX_K1);
	check_number("b", settings->b, 1);
	for (int s = 0; s < BM25_SECTIONS; s++)
	{
		check_number("weights", settings->weights[s], BM25_MAX_WEIGHT);
		check_number("lengths", settings->lengths[s], BM25_MAX_LENGTH);
	}
}

static void
check_term(const Bm25Term *term)
{
	if (term->length < 1 || term->length >= MAXSTRLEN)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("expected a word of 1 to %d bytes, not %d", MAXSTRLEN - 1, term->length)));
	if (term->sections == 0 || term->sections > BM25_ALL_SECTIONS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a word must have sections")));
	if (term->candidate >= BM25_CANDIDATE_COUNT)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid use of a word as a candidate: %d", term->candidate)));
	check_number("idf", term->idf, BM25_MAX_IDF);
}

static int
compare_terms(const void *a, const void *b)
{
	const Bm25Term *x = a;
	const Bm25Term *y = b;

	return bm25_compare(x->lexeme, x->length, y->lexeme, y->length);
}

/* Check and sort the terms. Return the bytes of their lexemes. */
static Size
arrange_terms(Bm25Term *terms, uint32 nterms)
{
	Size bytes = 0;

	if (nterms > BM25_MAX_WORDS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("a bm25_query has at most %d distinct words, not %u", BM25_MAX_WORDS,
							   nterms)));
	for (uint32 i = 0; i < nterms; i++)
	{
		check_term(&terms[i]);
		bytes += terms[i].length;
	}
	if (bytes + nterms > MAXSTRPOS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("the words of a bm25_query have at most %d bytes", MAXSTRPOS)));
	if (nterms > 1)
		qsort(terms, nterms, sizeof(Bm25Term), compare_terms);
	for (uint32 i = 1; i < nterms; i++)
		if (compare_terms(&terms[i - 1], &terms[i]) == 0)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("a bm25_query has the word \"%.*s\" twice", terms[i].length,
								   terms[i].lexeme)));
	return bytes;
}

/* Make a value. The terms are sorted in place. */
Bm25Query *
bm25_query_make(const Bm25Settings *settings, Bm25Term *terms, uint32 nterms)
{
	Size       bytes = arrange_terms(terms, nterms);
	Size       size = offsetof(Bm25Query, words) + nterms * sizeof(Bm25Word) + bytes;
	Bm25Query *query = palloc0(size);
	char      *lexemes = (char *) (query->words + nterms);
	uint32     offset = 0;

	check_settings(settings);
	SET_VARSIZE(query, size);
	query->magic = BM25_MAGIC;
	query->version = BM25_VERSION;
	query->nwords = nterms;
	query->settings = *settings;
	for (uint32 i = 0; i < nterms; i++)
	{
		query->words[i] = (Bm25Word) {.idf = terms[i].idf,
									  .offset = offset,
									  .length = terms[i].length,
									  .sections = terms[i].sections,
									  .candidate = terms[i].candidate};
		memcpy(lexemes + offset, terms[i].lexeme, terms[i].length);
		offset += terms[i].length;
		query->bound += terms[i].idf;
	}
	return query;
}

/* Return a stored value, or raise an error if it is of another version. */
Bm25Query *
bm25_query_check(Bm25Query *query)
{
	if (VARSIZE(query) < offsetof(Bm25Query, words) || query->magic != BM25_MAGIC)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("invalid value of bm25_query")));
	if (query->version != BM25_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("bm25_query has version %u, expected %u", query->version, BM25_VERSION),
				 errhint("Make it again with bm25_query().")));
	return query;
}

/* ---- text ---- */

static const char *const candidate_texts[BM25_CANDIDATE_COUNT] = {"false", "true", "\"required\"",
																  "\"beside\""};

compat_noreturn static void
syntax_error(const char *expected)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
					errmsg("invalid input syntax for type bm25_query"),
					errdetail("Expected %s.", expected),
					errhint("bm25_query(statistics, text) makes a query from its words.")));
}

/* Return the member of a JSON object, which must be of this kind. */
static JsonbValue *
member(JsonbContainer *object, const char *name, enum jbvType kind)
{
	JsonbValue *value = getKeyJsonValueFromContainer(object, name, (int) strlen(name), NULL);

	if (value == NULL || value->type != kind)
		syntax_error(psprintf(kind == jbvNumeric  ? "a number \"%s\""
							  : kind == jbvString ? "a string \"%s\""
							  : kind == jbvBool   ? "a boolean \"%s\""
												  : "an array \"%s\"",
							  name));
	return value;
}

static double
number_of(const JsonbValue *value)
{
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value->val.numeric)));
}

/* Return the array that is a member of an object. */
static JsonbContainer *
array_member(JsonbContainer *object, const char *name)
{
	JsonbContainer *array = member(object, name, jbvBinary)->val.binary.data;

	if (!JsonContainerIsArray(array) || JsonContainerIsScalar(array))
		syntax_error(psprintf("an array \"%s\"", name));
	return array;
}

static void
read_sections(JsonbContainer *object, const char *name, float8 *numbers)
{
	JsonbContainer *array = array_member(object, name);

	if (JsonContainerSize(array) != BM25_SECTIONS)
		syntax_error(psprintf("four numbers in \"%s\"", name));
	for (int s = 0; s < BM25_SECTIONS; s++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(array, s);

		if (value->type != jbvNumeric)
			syntax_error(psprintf("four numbers in \"%s\"", name));
		numbers[s] = number_of(value);
	}
}

/* Return the mask of a string of section letters. */
static uint8
sections_of(const JsonbValue *letters)
{
	uint8 mask = 0;

	for (int i = 0; i < letters->val.string.len; i++)
	{
		char        letter = letters->val.string.val[i];
		const char *found = letter == '\0' ? NULL : strchr(BM25_LETTERS, letter);

		if (found == NULL)
			syntax_error("sections of the letters A to D");
		mask |= 1 << (found - BM25_LETTERS);
	}
	return mask;
}

/* Return the use of a word as a candidate: true or false, or the name of another. */
static uint8
read_candidate(JsonbContainer *word)
{
	JsonbValue *value = getKeyJsonValueFromContainer(word, "candidate", 9, NULL);

	if (value != NULL && value->type == jbvBool)
		return value->val.boolean ? BM25_ALONE : BM25_NO_CANDIDATE;
	for (uint8 c = BM25_REQUIRED; c < BM25_CANDIDATE_COUNT; c++)
		if (value != NULL && value->type == jbvString &&
			strcmp(psprintf("\"%.*s\"", value->val.string.len, value->val.string.val),
				   candidate_texts[c]) == 0)
			return c;
	syntax_error("true, false, \"required\" or \"beside\" in \"candidate\"");
}

static Bm25Term
read_word(JsonbValue *value)
{
	JsonbContainer *object = value->type == jbvBinary ? value->val.binary.data : NULL;
	JsonbValue     *word;

	if (object == NULL || !JsonContainerIsObject(object))
		syntax_error("an object for each word");
	word = member(object, "word", jbvString);
	return (Bm25Term) {.lexeme = word->val.string.val,
					   .length = word->val.string.len,
					   .sections = sections_of(member(object, "sections", jbvString)),
					   .candidate = read_candidate(object),
					   .idf = number_of(member(object, "idf", jbvNumeric))};
}

Datum
bm25_query_in(PG_FUNCTION_ARGS)
{
	Jsonb          *json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, PG_GETARG_DATUM(0)));
	JsonbContainer *words;
	Bm25Settings    settings;
	Bm25Term       *terms;
	uint32          nterms;

	if (!JB_ROOT_IS_OBJECT(json))
		syntax_error("a JSON object");
	settings.k1 = number_of(member(&json->root, "k1", jbvNumeric));
	settings.b = number_of(member(&json->root, "b", jbvNumeric));
	read_sections(&json->root, "weights", settings.weights);
	read_sections(&json->root, "lengths", settings.lengths);
	words = array_member(&json->root, "words");
	nterms = JsonContainerSize(words);
	terms = palloc((nterms + 1) * sizeof(Bm25Term));
	for (uint32 i = 0; i < nterms; i++)
		terms[i] = read_word(getIthJsonbValueFromContainer(words, i));
	PG_RETURN_POINTER(bm25_query_make(&settings, terms, nterms));
}

static void
append_number(StringInfo text, double number)
{
	char digits[DOUBLE_SHORTEST_DECIMAL_LEN];

	double_to_shortest_decimal_buf(number, digits);
	appendStringInfoString(text, digits);
}

static void
append_sections(StringInfo text, const char *name, const float8 *numbers)
{
	appendStringInfo(text, ", \"%s\": [", name);
	for (int s = 0; s < BM25_SECTIONS; s++)
	{
		appendStringInfoString(text, s > 0 ? ", " : "");
		append_number(text, numbers[s]);
	}
	appendStringInfoChar(text, ']');
}

static void
append_word(StringInfo text, const Bm25Query *query, const Bm25Word *word)
{
	appendStringInfoString(text, "{\"word\": ");
	escape_json(text, pnstrdup(bm25_lexeme(query, word), word->length));
	appendStringInfoString(text, ", \"idf\": ");
	append_number(text, word->idf);
	appendStringInfoString(text, ", \"sections\": \"");
	for (int s = BM25_SECTIONS - 1; s >= 0; s--)
		if (word->sections & (1 << s))
			appendStringInfoChar(text, BM25_LETTERS[s]);
	appendStringInfo(text, "\", \"candidate\": %s}",
					 candidate_texts[Min(word->candidate, BM25_BESIDE)]);
}

Datum
bm25_query_out(PG_FUNCTION_ARGS)
{
	Bm25Query     *query = PG_GETARG_BM25_QUERY(0);
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(&text, "{\"k1\": ");
	append_number(&text, query->settings.k1);
	appendStringInfoString(&text, ", \"b\": ");
	append_number(&text, query->settings.b);
	append_sections(&text, "weights", query->settings.weights);
	append_sections(&text, "lengths", query->settings.lengths);
	appendStringInfoString(&text, ", \"words\": [");
	for (uint32 i = 0; i < query->nwords; i++)
	{
		appendStringInfoString(&text, i > 0 ? ", " : "");
		append_word(&text, query, &query->words[i]);
	}
	appendStringInfoString(&text, "]}");
	PG_RETURN_CSTRING(text.data);
}

/* ---- binary: version, number of words, settings, words ---- */

static Bm25Term
receive_word(StringInfo message)
{
	Bm25Term term = {0};

	term.idf = pq_getmsgfloat8(message);
	term.sections = (uint8) pq_getmsgbyte(message);
	term.candidate = (uint8) pq_getmsgbyte(message);
	term.length = (int) pq_getmsgint(message, 2);
	term.lexeme = pq_getmsgbytes(message, term.length);
	if (memchr(term.lexeme, 0, term.length) != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("a word of a bm25_query has a zero byte")));
	(void) pg_verifymbstr(term.lexeme, term.length, false);
	return term;
}

Datum
bm25_query_recv(PG_FUNCTION_ARGS)
{
	StringInfo   message = (StringInfo) PG_GETARG_POINTER(0);
	int          version = (int) pq_getmsgint(message, 2);
	uint32       nterms;
	Bm25Settings settings;
	Bm25Term    *terms;

	if (version != BM25_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("binary bm25_query has version %d, expected %d", version, BM25_VERSION)));
	nterms = pq_getmsgint(message, 4);
	settings.k1 = pq_getmsgfloat8(message);
	settings.b = pq_getmsgfloat8(message);
	for (int s = 0; s < BM25_SECTIONS; s++)
		settings.weights[s] = pq_getmsgfloat8(message);
	for (int s = 0; s < BM25_SECTIONS; s++)
		settings.lengths[s] = pq_getmsgfloat8(message);
	if (nterms > BM25_MAX_WORDS || nterms > (message->len - message->cursor) / MIN_WORD_BYTES)
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("binary bm25_query is too short for %u words", nterms)));
	terms = palloc((nterms + 1) * sizeof(Bm25Term));
	for (uint32 i = 0; i < nterms; i++)
		terms[i] = receive_word(message);
	PG_RETURN_POINTER(bm25_query_make(&settings, terms, nterms));
}

Datum
bm25_query_send(PG_FUNCTION_ARGS)
{
	Bm25Query     *query = PG_GETARG_BM25_QUERY(0);
	StringInfoData message;

	pq_begintypsend(&message);
	pq_sendint16(&message, query->version);
	pq_sendint32(&message, query->nwords);
	pq_sendfloat8(&message, query->settings.k1);
	pq_sendfloat8(&message, query->settings.b);
	for (int s = 0; s < BM25_SECTIONS; s++)
		pq_sendfloat8(&message, query->settings.weights[s]);
	for (int s = 0; s < BM25_SECTIONS; s++)
		pq_sendfloat8(&message, query->settings.lengths[s]);
	for (uint32 i = 0; i < query->nwords; i++)
	{
		const Bm25Word *word = &query->words[i];

		pq_sendfloat8(&message, word->idf);
		pq_sendbyte(&message, word->sections);
		pq_sendbyte(&message, word->candidate);
		pq_sendint16(&message, word->length);
		pq_sendbytes(&message, bm25_lexeme(query, word), word->length);
	}
	PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}
