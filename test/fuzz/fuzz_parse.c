/*-------------------------------------------------------------------------
 *
 * fuzz_parse.c
 *	  Parse arbitrary bytes as the text of a multivector.
 *
 * In addition to the sanitizers' checks: an accepted text has the reported
 * shape, every number equals the result of strtof, and a capacity that is too
 * small is reported and not exceeded.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "multivector/parse.h"
#include "fuzz.h"

/* Compare each value with the result of strtof. */
static void
check_values(const char *text, const float *values, size_t n)
{
	const char *at = text;

	for (size_t i = 0; i < n; i++)
	{
		char *end;
		float value;

		at += strspn(at, "[]{}\", \t\n\v\f\r");
		value = strtof(at, &end);
		FUZZ_CHECK(end > at);
		FUZZ_CHECK(isfinite(values[i]));
		FUZZ_CHECK(memcmp(&value, &values[i], sizeof(float)) == 0);
		at = end;
	}
	FUZZ_CHECK(at[strspn(at, "]}\" \t\n\v\f\r")] == '\0');
}

/* Parse into memory that has room for exactly this many values. */
static ParseResult
parse_with_capacity(const char *text, size_t length, size_t capacity, float **values)
{
	*values = malloc(capacity * sizeof(float));
	return parse_text(text, length, *values, capacity, NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t      capacity = parse_text_capacity((const char *) data, size);
	float      *values;
	ParseResult result = parse_with_capacity((const char *) data, size, capacity, &values);

	FUZZ_CHECK(result.position <= size);
	if (result.status == PARSE_OK)
	{
		char       *text = malloc(size + 1);
		size_t      n = (size_t) result.ntokens * result.dim;
		float      *fewer;
		ParseResult failure;

		FUZZ_CHECK(result.ntokens > 0 && result.dim > 0 && result.dim <= PARSE_MAX_DIM &&
				   n <= capacity);
		memcpy(text, data, size);
		text[size] = '\0';
		check_values(text, values, n);
		free(text);

		failure = parse_with_capacity((const char *) data, size, n - 1, &fewer);
		FUZZ_CHECK(failure.status == PARSE_TOO_MANY_VALUES);
		free(fewer);
	}
	else
		FUZZ_CHECK(result.status < PARSE_BAD_VERSION && result.status != PARSE_TOO_MANY_VALUES);
	FUZZ_CHECK(result.status != PARSE_SYNTAX || result.expected != NULL);
	free(values);
	return 0;
}
