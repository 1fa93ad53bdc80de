/*-------------------------------------------------------------------------
 *
 * fuzz_recv.c
 *	  Parse arbitrary bytes as a binary multivector.
 *
 * In addition to the sanitizers' checks: an accepted value has exactly the
 * size that its header implies, has only finite elements, and its header is
 * reproduced when it is written. The hex form decodes to the same bytes.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "multivector/parse.h"
#include "fuzz.h"

/* Filled by fill_hex_tables(). */
static bool    hex_tables_filled;
static uint8_t digit_values[256];
static char    upper_digits[256][3];
static char    lower_digits[256][3];

/* Return element i as a number. A binary16 element is only tested for an exponent of all ones. */
static double
element_value(const uint8_t *body, const ParseResult *shape, size_t i)
{
	float    value;
	uint16_t half;

	switch (shape->element)
	{
		case KERNEL_FLOAT4:
			memcpy(&value, body + i * sizeof(float), sizeof(float));
			return value;
		case KERNEL_FLOAT2:
			memcpy(&half, body + i * sizeof(half), sizeof(half));
			return (half >> 10 & 31) == 31 ? NAN : 0;
		case KERNEL_INT8:
			memcpy(&value, body + i / shape->dim * sizeof(float), sizeof(float));
			return (double) value * (int8_t) body[shape->ntokens * sizeof(float) + i];
	}
	abort();
}

static void
check_accepted(const uint8_t *data, size_t size, const ParseResult *shape)
{
	size_t  n = (size_t) shape->ntokens * shape->dim;
	size_t  scales = shape->element == KERNEL_INT8 ? shape->ntokens * sizeof(float) : 0;
	uint8_t header[PARSE_BINARY_HEADER];

	FUZZ_CHECK(shape->ntokens > 0 && shape->dim > 0 && shape->dim <= PARSE_MAX_DIM);
	FUZZ_CHECK(size == PARSE_BINARY_HEADER + scales + n * kernel_element_size(shape->element));
	for (size_t i = 0; i < n; i++)
		FUZZ_CHECK(isfinite(element_value(data + PARSE_BINARY_HEADER, shape, i)));
	parse_binary_write_header(header, shape->element, shape->dim, shape->ntokens);
	FUZZ_CHECK(memcmp(header, data, sizeof(header)) == 0);
}

static bool
is_hex_digit(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/*
 * Fill the tables that check_hex() reads, by functions of libc, which are too
 * slow for each byte of each input: what strtoul makes of a digit, and printf
 * of a byte. The answers of parse_hex_digit() to all characters are checked
 * here, once.
 */
static void
fill_hex_tables(void)
{
	for (int c = 0; c < 256; c++)
	{
		char digit[2] = {(char) c, '\0'};

		FUZZ_CHECK(parse_hex_digit((char) c) == is_hex_digit((uint8_t) c));
		digit_values[c] = (uint8_t) strtoul(digit, NULL, 16);
		snprintf(upper_digits[c], sizeof(upper_digits[c]), "%02X", c);
		snprintf(lower_digits[c], sizeof(lower_digits[c]), "%02x", c);
	}
	hex_tables_filled = true;
}

/* Decode the input as hexadecimal digits, as strtoul would, and the digits of the input. */
static void
check_hex(const uint8_t *data, size_t size)
{
	uint8_t *bytes = malloc(size);
	char    *digits = malloc(2 * size);
	size_t   decoded = parse_hex((const char *) data, size / 2, bytes);

	FUZZ_CHECK(decoded <= size / 2);
	for (size_t i = 0; i < decoded; i++)
	{
		FUZZ_CHECK(is_hex_digit(data[2 * i]) && is_hex_digit(data[2 * i + 1]));
		FUZZ_CHECK(bytes[i] == 16 * digit_values[data[2 * i]] + digit_values[data[2 * i + 1]]);
	}
	FUZZ_CHECK(decoded == size / 2 || !is_hex_digit(data[2 * decoded]) ||
			   !is_hex_digit(data[2 * decoded + 1]));
	for (size_t i = 0; i < size; i++)
		memcpy(digits + 2 * i, (i % 3 == 0 ? upper_digits : lower_digits)[data[i]], 2);
	FUZZ_CHECK(parse_hex(digits, size, bytes) == size && memcmp(bytes, data, size) == 0);
	free(digits);
	free(bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ParseResult result = parse_binary_header(data, size);

	if (!hex_tables_filled)
		fill_hex_tables();
	FUZZ_CHECK(result.position <= size);
	check_hex(data, size);
	if (result.status == PARSE_OK)
	{
		result = parse_binary_body(data, &result);
		FUZZ_CHECK(result.position <= size);
		if (result.status == PARSE_OK)
			check_accepted(data, size, &result);
	}
	return 0;
}
