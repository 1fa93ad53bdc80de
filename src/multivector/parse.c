/*-------------------------------------------------------------------------
 *
 * parse.c
 *	  Parse bytes from a client into the elements of a multivector.
 *
 * The text parser makes one pass with a cursor over [[..],[..]], or over the
 * same in the braces of an array. Numbers take a fast path: up to 19 digits as
 * an integer times a power of ten, in double precision. The result is within a
 * few units in the last place of the true value. Rounding it to float4 is
 * therefore correct unless it lies that close to the midpoint of two
 * neighboring float4 values. In that case, and for extreme exponents, strtof
 * decides.
 *
 * Invariant: cursor->at <= cursor->end, and nothing at or after end is read.
 *
 *-------------------------------------------------------------------------
 */
#include "multivector/parse.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * Maximum digits of a number that fit in 64 bits, and digits that suffice to
 * decide a rounding to float4 (112, plus some reserve).
 */
#define FAST_DIGITS 19
#define SLOW_DIGITS 128

/* Characters of a text counted at a time, at most 255. */
#define COUNT_BLOCK 128

/* Tokens between two pauses. One has up to PARSE_MAX_DIM numbers. */
#define TOKENS_PER_PAUSE 64

/* Characters between two pauses in a run of blanks, or in a long number. A power of two. */
#define CHARS_PER_PAUSE 65536

/* Largest power of ten that the fast path uses. */
#define FAST_EXPONENT 64

typedef struct Cursor
{
	const char *at;
	const char *end;
	bool        braces; /* text of an array: {{"0.1","0.2"}}, quotes optional */
	ParsePause *pause;  /* or NULL */
} Cursor;

/*
 * A decimal number as it was read: mantissa * 10^exponent, rounded down to
 * FAST_DIGITS digits, and all of its digits for the slow path.
 */
typedef struct Decimal
{
	bool        negative;
	uint64_t    mantissa; /* the first FAST_DIGITS digits */
	int64_t     exponent; /* mantissa * 10^exponent */
	const char *digits;   /* first significant digit, for the slow path */
	const char *digits_end;
	int64_t     digits_exponent; /* exponent of the first significant digit */
} Decimal;

/*
 * 1e-64 .. 1e64. Those above 1e22 and below 1 are rounded; the bound in
 * decimal_to_float_fast() allows for that.
 */
static const double powers_of_ten[2 * FAST_EXPONENT + 1] = {
	1e-64, 1e-63, 1e-62, 1e-61, 1e-60, 1e-59, 1e-58, 1e-57, 1e-56, 1e-55, 1e-54, 1e-53, 1e-52,
	1e-51, 1e-50, 1e-49, 1e-48, 1e-47, 1e-46, 1e-45, 1e-44, 1e-43, 1e-42, 1e-41, 1e-40, 1e-39,
	1e-38, 1e-37, 1e-36, 1e-35, 1e-34, 1e-33, 1e-32, 1e-31, 1e-30, 1e-29, 1e-28, 1e-27, 1e-26,
	1e-25, 1e-24, 1e-23, 1e-22, 1e-21, 1e-20, 1e-19, 1e-18, 1e-17, 1e-16, 1e-15, 1e-14, 1e-13,
	1e-12, 1e-11, 1e-10, 1e-9,  1e-8,  1e-7,  1e-6,  1e-5,  1e-4,  1e-3,  1e-2,  1e-1,  1e0,
	1e1,   1e2,   1e3,   1e4,   1e5,   1e6,   1e7,   1e8,   1e9,   1e10,  1e11,  1e12,  1e13,
	1e14,  1e15,  1e16,  1e17,  1e18,  1e19,  1e20,  1e21,  1e22,  1e23,  1e24,  1e25,  1e26,
	1e27,  1e28,  1e29,  1e30,  1e31,  1e32,  1e33,  1e34,  1e35,  1e36,  1e37,  1e38,  1e39,
	1e40,  1e41,  1e42,  1e43,  1e44,  1e45,  1e46,  1e47,  1e48,  1e49,  1e50,  1e51,  1e52,
	1e53,  1e54,  1e55,  1e56,  1e57,  1e58,  1e59,  1e60,  1e61,  1e62,  1e63,  1e64};

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Pause if the character at p is one of those at which a long run does. */
static inline void
pause_at(const Cursor *cursor, const char *p)
{
	if (((uintptr_t) p & (CHARS_PER_PAUSE - 1)) == 0 && cursor->pause != NULL)
		cursor->pause();
}

static inline void
skip_space(Cursor *cursor)
{
	while (cursor->at < cursor->end &&
		   (*cursor->at == ' ' || (*cursor->at >= '\t' && *cursor->at <= '\r')))
		pause_at(cursor, cursor->at++);
}

/* Skip white space, then consume the character c if it is next. */
static inline bool
take(Cursor *cursor, char c)
{
	skip_space(cursor);
	if (cursor->at == cursor->end || *cursor->at != c)
		return false;
	cursor->at++;
	return true;
}

static inline bool
take_open(Cursor *cursor)
{
	return take(cursor, cursor->braces ? '{' : '[');
}

static inline bool
take_close(Cursor *cursor)
{
	return take(cursor, cursor->braces ? '}' : ']');
}

/* Return true if p begins with the lower-case word, ignoring case. */
static bool
word_at(const char *p, const char *end, const char *word)
{
	for (; *word; p++, word++)
	{
		if (p == end || (*p | 0x20) != *word)
			return false;
	}
	return true;
}

/*
 * Return true if NaN, inf or infinity follows, with an optional sign. Other
 * programs write these as numbers.
 */
static bool
not_finite_at(const Cursor *cursor)
{
	const char *p = cursor->at;

	if (p < cursor->end && (*p == '-' || *p == '+'))
		p++;
	return word_at(p, cursor->end, "nan") || word_at(p, cursor->end, "inf");
}

/* Read the optional exponent; an 'e' without digits is not consumed. */
static int64_t
read_exponent(Cursor *cursor)
{
	const char *p = cursor->at;
	bool        negative = false;
	int64_t     exponent = 0;

	if (p == cursor->end || (*p | 0x20) != 'e')
		return 0;
	p++;
	if (p < cursor->end && (*p == '-' || *p == '+'))
		negative = *p++ == '-';
	if (p == cursor->end || !is_digit(*p))
		return 0;
	for (; p < cursor->end && is_digit(*p); p++)
	{
		/* No text has enough digits to compensate for an exponent this large. */
		if (exponent < INT64_C(1000000000000))
			exponent = exponent * 10 + (*p - '0');
	}
	cursor->at = p;
	return negative ? -exponent : exponent;
}

/*
 * Append a run of digits to a number, eight at a time as long as possible. The
 * number may overflow; the caller counts the digits.
 */
static inline const char *
read_digits(const char *p, const char *end, uint64_t *number)
{
	while (end - p >= 8)
	{
		uint64_t chunk;

		/* Stop unless all eight bytes are 0x30 .. 0x39. */
		memcpy(&chunk, p, sizeof(chunk));
		if ((chunk & UINT64_C(0xF0F0F0F0F0F0F0F0)) != UINT64_C(0x3030303030303030) ||
			((chunk + UINT64_C(0x0606060606060606)) & UINT64_C(0xF0F0F0F0F0F0F0F0)) !=
				UINT64_C(0x3030303030303030))
			break;

		/* The first digit is in the lowest byte: combine neighbors to pairs, to fours, to eight. */
		chunk -= UINT64_C(0x3030303030303030);
		chunk = (chunk * 10 + (chunk >> 8)) & UINT64_C(0x00FF00FF00FF00FF);
		chunk = (chunk * 100 + (chunk >> 16)) & UINT64_C(0x0000FFFF0000FFFF);
		chunk = (chunk * 10000 + (chunk >> 32)) & UINT64_C(0x00000000FFFFFFFF);
		*number = *number * 100000000 + chunk;
		p += 8;
	}
	for (; p < end && is_digit(*p); p++)
		*number = *number * 10 + (uint64_t) (*p - '0');
	return p;
}

/*
 * Read a number of at most FAST_DIGITS digits, leading zeros included. Returns
 * false, without moving the cursor, if there is no number or it has more
 * digits. Does not set the digits for the slow path.
 */
static inline bool
read_short_decimal(Cursor *cursor, Decimal *decimal)
{
	const char *p = cursor->at;
	const char *end = cursor->end;
	const char *digits;
	uint64_t    mantissa = 0;
	int64_t     fraction = 0;
	ptrdiff_t   ndigits;

	decimal->negative = false;
	if (p < end && (*p == '-' || *p == '+'))
		decimal->negative = *p++ == '-';
	digits = p;
	p = read_digits(p, end, &mantissa);
	ndigits = p - digits;
	if (p < end && *p == '.')
	{
		digits = ++p;
		p = read_digits(p, end, &mantissa);
		fraction = p - digits;
		ndigits += fraction;
	}
	if (ndigits == 0 || ndigits > FAST_DIGITS)
		return false;
	cursor->at = p;
	decimal->mantissa = mantissa;
	decimal->exponent = read_exponent(cursor) - fraction;
	return true;
}

/* Read any number as digits and exponent. Returns false if there is none. */
static bool
read_decimal(Cursor *cursor, Decimal *decimal)
{
	const char *p = cursor->at;
	const char *end = cursor->end;
	const char *point = NULL;
	bool        any_digit = false;
	int         ndigits = 0;
	int64_t     dropped = 0;  /* integer digits that do not fit in the mantissa */
	int64_t     fraction = 0; /* fraction digits in the mantissa */
	int64_t     lead = 0;     /* zeros between the point and the first significant digit */

	memset(decimal, 0, sizeof(*decimal));
	if (p < end && (*p == '-' || *p == '+'))
		decimal->negative = *p++ == '-';
	for (; p < end; p++)
	{
		pause_at(cursor, p);
		if (*p == '.' && point == NULL)
		{
			point = p;
			continue;
		}
		if (!is_digit(*p))
			break;
		any_digit = true;
		if (ndigits == 0 && *p == '0')
		{
			fraction += point != NULL;
			lead += point != NULL;
			continue;
		}
		if (ndigits == 0)
		{
			decimal->digits = p;
			decimal->digits_exponent = point != NULL ? -lead - 1 : 0;
		}
		else if (point == NULL)
			decimal->digits_exponent++;
		if (ndigits < FAST_DIGITS)
		{
			decimal->mantissa = decimal->mantissa * 10 + (uint64_t) (*p - '0');
			fraction += point != NULL;
			ndigits++;
		}
		else
			dropped += point == NULL;
	}
	if (!any_digit)
		return false;
	decimal->digits_end = p;
	cursor->at = p;

	int64_t exponent = read_exponent(cursor);

	decimal->exponent = exponent + dropped - fraction;
	decimal->digits_exponent += exponent;
	return true;
}

/*
 * Slow path: pass strtof a short number that rounds like the long one. 112
 * digits decide on which side of the midpoint of two float4 values a number
 * is; after those it matters only whether any nonzero digit follows.
 */
static float
decimal_to_float_slow(const Decimal *decimal)
{
	char    text[SLOW_DIGITS + 32];
	int     n = 0;
	bool    more = false;
	int64_t exponent = decimal->digits_exponent;

	for (const char *p = decimal->digits; p < decimal->digits_end; p++)
	{
		if (*p == '.')
			continue;
		if (n < SLOW_DIGITS)
		{
			text[n++] = *p;
			if (n == 1)
				text[n++] = '.';
		}
		else if (*p != '0')
			more = true;
	}
	if (more)
		text[n++] = '1';

	/* Beyond these bounds the result is zero or infinity, whatever the digits are. */
	if (exponent > 400)
		exponent = 400;
	if (exponent < -400)
		exponent = -400;

	unsigned magnitude = (unsigned) (exponent < 0 ? -exponent : exponent);

	text[n++] = 'e';
	text[n++] = exponent < 0 ? '-' : '+';
	text[n++] = (char) ('0' + magnitude / 100);
	text[n++] = (char) ('0' + magnitude / 10 % 10);
	text[n++] = (char) ('0' + magnitude % 10);
	text[n] = '\0';
	return strtof(text, NULL);
}

/*
 * Compute the float4 nearest to a decimal, ignoring its sign. Returns false if
 * only the slow path can decide.
 */
static inline bool
decimal_to_float_fast(const Decimal *decimal, float *value)
{
	double   approximate;
	uint64_t bits;
	uint32_t below;

	*value = 0.0f;
	if (decimal->mantissa == 0)
		return true;
	if (decimal->exponent < -FAST_EXPONENT || decimal->exponent > FAST_EXPONENT)
		return false;

	/*
	 * Of the 29 mantissa bits that float4 lacks, 0x10000000 is the midpoint.
	 * After four roundings the value is less than 8 units off.
	 */
	approximate = (double) decimal->mantissa * powers_of_ten[decimal->exponent + FAST_EXPONENT];
	memcpy(&bits, &approximate, sizeof(bits));
	below = (uint32_t) (bits & 0x1FFFFFFF);
	if (approximate < FLT_MIN || approximate >= FLT_MAX ||
		(below >= 0x10000000 - 8 && below <= 0x10000000 + 8))
		return false;
	*value = (float) approximate;
	return true;
}

/* Return the bracket that an array must open with, for a message. */
static const char *
opening(const Cursor *cursor)
{
	return cursor->braces ? "\"{\"" : "\"[\"";
}

static const char *
comma_or_closing(const Cursor *cursor)
{
	return cursor->braces ? "\",\" or \"}\"" : "\",\" or \"]\"";
}

static ParseStatus
fail(ParseResult *result, ParseStatus status, const char *expected)
{
	result->status = status;
	result->expected = expected;
	return status;
}

/* Parse one number. On failure the cursor stays at its start. */
static inline ParseStatus
parse_number(Cursor *cursor, float *value, ParseResult *result)
{
	const char *start;
	Decimal     decimal;

	skip_space(cursor);
	start = cursor->at;
	if (!read_short_decimal(cursor, &decimal) || !decimal_to_float_fast(&decimal, value))
	{
		cursor->at = start;
		if (!read_decimal(cursor, &decimal))
			return fail(result, not_finite_at(cursor) ? PARSE_NOT_FINITE : PARSE_SYNTAX,
						"a number");
		if (!decimal_to_float_fast(&decimal, value))
			*value = decimal_to_float_slow(&decimal);
		if (isinf(*value))
		{
			cursor->at = start;
			return fail(result, PARSE_OUT_OF_RANGE, NULL);
		}
	}
	if (decimal.negative)
		*value = -*value;
	return PARSE_OK;
}

/* Parse one number of an array, which may be quoted. */
static ParseStatus
parse_quoted_number(Cursor *cursor, float *value, ParseResult *result)
{
	if (!take(cursor, '"'))
		return parse_number(cursor, value, result);
	if (parse_number(cursor, value, result) != PARSE_OK)
		return result->status;
	if (!take(cursor, '"'))
		return fail(result, PARSE_SYNTAX, "\"\"\"");
	return PARSE_OK;
}

/* Parse one token, [0.1,0.2], into values; *n becomes its dims. */
static ParseStatus
parse_token(Cursor *cursor, float *values, size_t capacity, uint32_t *n, ParseResult *result)
{
	*n = 0;
	if (!take_open(cursor))
		return fail(result, PARSE_SYNTAX, opening(cursor));
	if (take_close(cursor))
		return fail(result, PARSE_NO_DIMS, NULL);
	do
	{
		if (*n == PARSE_MAX_DIM)
			return fail(result, PARSE_TOO_MANY_DIMS, NULL);
		if (*n == capacity)
			return fail(result, PARSE_TOO_MANY_VALUES, NULL);
		if ((cursor->braces ? parse_quoted_number(cursor, &values[*n], result)
							: parse_number(cursor, &values[*n], result)) != PARSE_OK)
			return result->status;
		(*n)++;
	} while (take(cursor, ','));
	if (!take_close(cursor))
		return fail(result, PARSE_SYNTAX, comma_or_closing(cursor));
	return PARSE_OK;
}

/* Parse the tokens between the outer brackets. */
static ParseStatus
parse_tokens(Cursor *cursor, float *values, size_t capacity, ParseResult *result)
{
	Cursor   start;
	size_t   used = 0;
	uint32_t n;

	do
	{
		if (result->ntokens == UINT32_MAX)
			return fail(result, PARSE_TOO_MANY_VALUES, NULL);
		if (cursor->pause != NULL && result->ntokens % TOKENS_PER_PAUSE == 0)
			cursor->pause();
		skip_space(cursor);
		start = *cursor;
		if (parse_token(cursor, values + used, capacity - used, &n, result) != PARSE_OK)
			return result->status;
		if (result->ntokens > 0 && n != result->dim)
		{
			*cursor = start;
			result->row_dim = n;
			return fail(result, PARSE_RAGGED, NULL);
		}
		result->dim = n;
		result->ntokens++;
		used += n;
	} while (take(cursor, ','));
	return PARSE_OK;
}

/* Return true if a number follows, so that the text is one token without its outer brackets. */
static bool
number_follows(Cursor cursor)
{
	Decimal decimal;

	if (cursor.braces)
		take(&cursor, '"');
	skip_space(&cursor);
	return read_decimal(&cursor, &decimal) || not_finite_at(&cursor);
}

/*
 * Return true if the text of an array follows: of arrays, of numbers, or
 * empty. In a JSON object a key follows the brace.
 */
static bool
array_follows(Cursor cursor)
{
	cursor.braces = true;
	return take(&cursor, '{') &&
		   (take(&cursor, '{') || take(&cursor, '}') || number_follows(cursor));
}

size_t
parse_text_capacity(const char *text, size_t length)
{
	size_t n = 1;
	size_t i = 0;

	/* Blocks whose counts fit in a byte: compilers vectorize the inner loop. */
	for (; length - i >= COUNT_BLOCK; i += COUNT_BLOCK)
	{
		uint8_t commas = 0;

		for (size_t k = 0; k < COUNT_BLOCK; k++)
			commas += text[i + k] == ',';
		n += commas;
	}
	for (; i < length; i++)
		n += text[i] == ',';
	return n;
}

ParseResult
parse_text(const char *text, size_t length, float *values, size_t capacity, ParsePause *pause)
{
	Cursor      cursor = {text, text + length, false, pause};
	ParseResult result = {.status = PARSE_OK};

	result.element = KERNEL_FLOAT4;
	cursor.braces = array_follows(cursor);
	if (!take_open(&cursor))
		fail(&result, PARSE_SYNTAX, opening(&cursor));
	else if (take_close(&cursor))
		fail(&result, PARSE_NO_TOKENS, NULL);
	else if (number_follows(cursor))
		fail(&result, PARSE_NOT_NESTED, NULL);
	else if (parse_tokens(&cursor, values, capacity, &result) == PARSE_OK)
	{
		if (!take_close(&cursor))
			fail(&result, PARSE_SYNTAX, comma_or_closing(&cursor));
		else
		{
			skip_space(&cursor);
			if (cursor.at != cursor.end)
				fail(&result, PARSE_SYNTAX, "the end of the text");
		}
	}
	result.position = (size_t) (cursor.at - text);
	return result;
}

/* Bytes decoded between two tests for a character that is not a hexadecimal digit. */
#define HEX_RUN 64

/*
 * Convert hexadecimal digits to their values. Returns false if a character is
 * not a digit. No table and no branch: compilers vectorize the loop.
 */
static inline bool
hex_values(const uint8_t *digits, size_t n, uint8_t *values)
{
	uint8_t others = 0;

	for (size_t i = 0; i < n; i++)
	{
		uint8_t number = (uint8_t) (digits[i] - '0');
		uint8_t letter = (uint8_t) ((digits[i] | 0x20) - 'a');
		uint8_t is_number = (uint8_t) -(number < 10);
		uint8_t is_letter = (uint8_t) -(letter < 6);

		values[i] = (uint8_t) ((number & is_number) | ((letter + 10) & is_letter));
		others |= (uint8_t) ~(is_number | is_letter);
	}
	return others == 0;
}

bool
parse_hex_digit(char c)
{
	uint8_t digit = (uint8_t) c;
	uint8_t value;

	return hex_values(&digit, 1, &value);
}

size_t
parse_hex(const char *digits, size_t n, uint8_t *bytes)
{
	const uint8_t *at = (const uint8_t *) digits;
	uint8_t        values[2 * HEX_RUN];
	size_t         done = 0;

	while (n - done >= HEX_RUN && hex_values(at + 2 * done, 2 * HEX_RUN, values))
	{
		for (size_t i = 0; i < HEX_RUN; i++)
			bytes[done + i] = (uint8_t) (values[2 * i] << 4 | values[2 * i + 1]);
		done += HEX_RUN;
	}
	/* Then one by one, to the end or to the character at fault. */
	for (; done < n && hex_values(at + 2 * done, 2, values); done++)
		bytes[done] = (uint8_t) (values[0] << 4 | values[1]);
	return done;
}

static uint32_t
read_uint32(const uint8_t *p)
{
	return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 | (uint32_t) p[3] << 24;
}

static ParseResult
binary_fail(ParseResult result, ParseStatus status, size_t position)
{
	result.status = status;
	result.position = position;
	return result;
}

ParseResult
parse_binary_header(const uint8_t *bytes, size_t length)
{
	ParseResult result = {.status = PARSE_OK};
	uint64_t    token_size;

	result.expected_size = PARSE_BINARY_HEADER;
	if (length < PARSE_BINARY_HEADER)
		return binary_fail(result, PARSE_BAD_SIZE, length);
	if (bytes[0] != PARSE_BINARY_VERSION)
		return binary_fail(result, PARSE_BAD_VERSION, 0);
	if (bytes[1] > KERNEL_INT8)
		return binary_fail(result, PARSE_BAD_ELEMENT, 1);
	result.element = (KernelElement) bytes[1];
	result.dim = (uint32_t) bytes[2] | (uint32_t) bytes[3] << 8;
	result.ntokens = read_uint32(bytes + 4);
	if (result.dim == 0)
		return binary_fail(result, PARSE_NO_DIMS, 2);
	if (result.dim > PARSE_MAX_DIM)
		return binary_fail(result, PARSE_TOO_MANY_DIMS, 2);
	if (result.ntokens == 0)
		return binary_fail(result, PARSE_NO_TOKENS, 4);

	/* At most 2^32 x (16,000 x 4 + 4): no overflow in 64 bits. */
	token_size = (uint64_t) result.dim * kernel_element_size(result.element);
	if (result.element == KERNEL_INT8)
		token_size += sizeof(float);
	result.expected_size += token_size * result.ntokens;
	if (result.expected_size != length)
		return binary_fail(result, PARSE_BAD_SIZE, length);
	return result;
}

/* Return true if an int8 token is encoded as quantize_token() would encode it. */
static bool
int8_token_is_canonical(float scale, const int8_t *codes, uint32_t dim)
{
	int largest = 0;

	for (uint32_t k = 0; k < dim; k++)
	{
		int magnitude = codes[k] < 0 ? -codes[k] : codes[k];

		if (magnitude > largest)
			largest = magnitude;
	}
	if (scale == 0.0f)
		return !signbit(scale) && largest == 0;
	return scale >= FLT_MIN && scale <= FLT_MAX && largest == 127;
}

ParseResult
parse_binary_body(const uint8_t *bytes, const ParseResult *header)
{
	size_t         nvalues = (size_t) header->ntokens * header->dim;
	const uint8_t *body = bytes + PARSE_BINARY_HEADER;

	switch (header->element)
	{
		case KERNEL_FLOAT4:
			for (size_t i = 0; i < nvalues; i++)
			{
				if ((read_uint32(body + 4 * i) & 0x7F800000) == 0x7F800000)
					return binary_fail(*header, PARSE_NOT_FINITE, (size_t) (body + 4 * i - bytes));
			}
			break;
		case KERNEL_FLOAT2:
			for (size_t i = 0; i < nvalues; i++)
			{
				if ((body[2 * i + 1] & 0x7C) == 0x7C)
					return binary_fail(*header, PARSE_NOT_FINITE, (size_t) (body + 2 * i - bytes));
			}
			break;
		case KERNEL_INT8:
			for (size_t t = 0; t < header->ntokens; t++)
			{
				const uint8_t *codes = body + sizeof(float) * header->ntokens + t * header->dim;
				uint32_t       bits = read_uint32(body + sizeof(float) * t);
				float          scale;

				memcpy(&scale, &bits, sizeof(scale));
				if (!int8_token_is_canonical(scale, (const int8_t *) codes, header->dim))
					return binary_fail(*header, PARSE_BAD_SCALE, (size_t) (codes - bytes));
			}
			break;
	}
	return *header;
}

void
parse_binary_write_header(uint8_t *bytes, KernelElement element, uint32_t dim, uint32_t ntokens)
{
	bytes[0] = PARSE_BINARY_VERSION;
	bytes[1] = (uint8_t) element;
	bytes[2] = (uint8_t) dim;
	bytes[3] = (uint8_t) (dim >> 8);
	for (int i = 0; i < 4; i++)
		bytes[4 + i] = (uint8_t) (ntokens >> (8 * i));
}
