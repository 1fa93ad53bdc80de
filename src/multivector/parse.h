/*-------------------------------------------------------------------------
 *
 * parse.h
 *	  Parse bytes from a client into the elements of a multivector.
 *
 * Plain C without PostgreSQL: no allocation, no error reporting, no state.
 * Whatever the bytes are, these functions never read beyond the given length
 * and never write beyond the given capacity. test/fuzz checks that without a
 * server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_PARSE_H
#define COLBERT_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

/* A token has 1 .. PARSE_MAX_DIM dimensions. */
#define PARSE_MAX_DIM 16000

typedef enum ParseStatus
{
	PARSE_OK = 0,
	PARSE_SYNTAX,       /* ParseResult.expected says what is missing */
	PARSE_NOT_NESTED,   /* [0.1,0.2]: a token instead of a set of tokens */
	PARSE_NO_TOKENS,    /* [] */
	PARSE_NO_DIMS,      /* [[]] */
	PARSE_RAGGED,       /* a token of row_dim dimensions after tokens of dim */
	PARSE_NOT_FINITE,   /* NaN or infinity */
	PARSE_OUT_OF_RANGE, /* a number too large for float4 */
	PARSE_TOO_MANY_DIMS,
	PARSE_TOO_MANY_VALUES, /* more than the capacity */
	PARSE_BAD_VERSION,     /* binary format only, from here on */
	PARSE_BAD_ELEMENT,
	PARSE_BAD_SIZE,  /* expected_size bytes were expected */
	PARSE_BAD_SCALE, /* an int8 scale or its codes are not canonical */
} ParseStatus;

typedef struct ParseResult
{
	ParseStatus   status;
	size_t        position;      /* byte that the status refers to */
	const char   *expected;      /* PARSE_SYNTAX */
	uint64_t      expected_size; /* PARSE_BAD_SIZE */
	uint32_t      ntokens;
	uint32_t      dim;
	uint32_t      row_dim; /* PARSE_RAGGED */
	KernelElement element; /* binary format only; text is always float4 */
} ParseResult;

/*
 * A function that is called every few tokens, and in long runs of blanks or
 * digits. It may leave the parser by longjmp.
 */
typedef void ParsePause(void);

/* Return an upper bound for the number of values in a text: the capacity to allocate. */
extern size_t parse_text_capacity(const char *text, size_t length);

/*
 * Parse [[0.1,0.2],[0.3,0.4]] into row-major values. Numbers are rounded
 * correctly to float4, as by strtof. White space is allowed around numbers,
 * commas and brackets. The text of an array, {{0.1,0.2},{0.3,0.4}}, is
 * accepted too, with or without quotes around its numbers. pause may be NULL.
 */
extern ParseResult parse_text(const char *text, size_t length, float *values, size_t capacity,
							  ParsePause *pause);

/*
 * The binary format (doc/format-binary.md), all little endian:
 *
 *	0	version			1 byte, PARSE_BINARY_VERSION
 *	1	element			1 byte, a KernelElement
 *	2	dim				2 bytes
 *	4	ntokens			4 bytes
 *	8	scales			int8 only, ntokens float4
 *	..	elements		ntokens x dim, row-major
 */
#define PARSE_BINARY_VERSION 1
#define PARSE_BINARY_HEADER  8

/* Read the header, and check that length matches it. */
extern ParseResult parse_binary_header(const uint8_t *bytes, size_t length);

/*
 * Check the rest: elements are finite. An int8 token has a largest |code| of
 * 127 and a normal positive scale, or is all zeros. header is a PARSE_OK
 * result of parse_binary_header() for the same bytes.
 */
extern ParseResult parse_binary_body(const uint8_t *bytes, const ParseResult *header);

/* Return true if the character is a hexadecimal digit. */
extern bool parse_hex_digit(char c);

/*
 * Decode n pairs of hexadecimal digits. Returns the number of bytes decoded,
 * which is less than n if one of the next two characters is not a digit.
 */
extern size_t parse_hex(const char *digits, size_t n, uint8_t *bytes);

/* Write the header of a multivector. */
extern void parse_binary_write_header(uint8_t *bytes, KernelElement element, uint32_t dim,
									  uint32_t ntokens);

#endif /* COLBERT_PARSE_H */
