/*-------------------------------------------------------------------------
 *
 * io.c
 *	  Text and binary input and output of multivectors, and their typmod.
 *
 * parse.c interprets the bytes. This file gives it memory and turns its
 * results into errors.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <ctype.h>

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "multivector/io.h"
#include "multivector/parse.h"
#include "settings.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* Characters of the offending text shown in a message. */
#define CONTEXT_CHARACTERS 20

/* Beginning of the hex form, and its digits, or bytes, between two checks for interrupts. */
#define HEX_PREFIX "\\x"
#define HEX_STEP   ((size_t) 1 << 20)

PG_FUNCTION_INFO_V1(multivector_in);
PG_FUNCTION_INFO_V1(multivector_out);
PG_FUNCTION_INFO_V1(multivector_recv);
PG_FUNCTION_INFO_V1(multivector_send);
PG_FUNCTION_INFO_V1(multivector_from_binary_bytea);
PG_FUNCTION_INFO_V1(multivector_typmod_in);
PG_FUNCTION_INFO_V1(multivector_typmod_out);
PG_FUNCTION_INFO_V1(multivector_enforce_typmod);

/* Return the next few characters of a text, for a message. */
static char *
text_near(const char *text, size_t length, size_t position)
{
	int available = (int) Min(length - position, CONTEXT_CHARACTERS * MAX_MULTIBYTE_CHAR_LEN);

	if (available == 0)
		return "the end of the text";
	return psprintf("\"%s\"", pnstrdup(text + position, pg_mbcharcliplen(text + position, available,
																		 CONTEXT_CHARACTERS)));
}

/* Report a number of tokens or dims that no multivector has, in text or in binary format. */
static void
shape_error(Node *context, ParseStatus status)
{
	switch (status)
	{
		case PARSE_NO_TOKENS:
			errsave(context, (errcode(ERRCODE_DATA_EXCEPTION),
							  errmsg("a multivector must have at least one token"),
							  errhint("Store NULL if there is no embedding.")));
			break;
		case PARSE_NO_DIMS:
			errsave(context, (errcode(ERRCODE_DATA_EXCEPTION),
							  errmsg("a token must have at least one dimension")));
			break;
		case PARSE_TOO_MANY_DIMS:
			errsave(context,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("a token cannot have more than %d dimensions", MULTIVECTOR_MAX_DIM)));
			break;
		default:
			elog(ERROR, "unexpected status %d of the parser", (int) status);
	}
}

/* Report a parse failure: a soft error if the context asks for one. */
static void
text_error(Node *context, const char *text, size_t length, const ParseResult *result)
{
	int         character = pg_mbstrlen_with_len(text, (int) result->position) + 1;
	const char *near = text_near(text, length, result->position);

	switch (result->status)
	{
		case PARSE_NOT_NESTED:
			errsave(context,
					(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
					 errmsg("invalid input syntax for type multivector"),
					 errdetail("A multivector is a list of tokens, but this is a list of numbers."),
					 errhint("Write a single token with two pairs of brackets: [[0.1,0.2]].")));
			break;
		case PARSE_RAGGED:
			errsave(context, (errcode(ERRCODE_DATA_EXCEPTION),
							  MULTIVECTOR_DIM_MESSAGE(result->dim, result->row_dim),
							  errdetail("Token %u, at character %d, differs from those before it.",
										result->ntokens + 1, character)));
			break;
		case PARSE_NOT_FINITE:
		case PARSE_OUT_OF_RANGE:
			errsave(context,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 result->status == PARSE_NOT_FINITE
						 ? errmsg("elements of a multivector must be finite numbers")
						 : errmsg("number is out of range for an element of a multivector"),
					 errdetail("Found %s at character %d.", near, character)));
			break;
		case PARSE_SYNTAX:
			errsave(context, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
							  errmsg("invalid input syntax for type multivector"),
							  errdetail("Expected %s at character %d, found %s.", result->expected,
										character, near)));
			break;
		default:
			shape_error(context, result->status);
	}
}

static void
check_for_interrupts(void)
{
	CHECK_FOR_INTERRUPTS();
}

MultiVector *
multivector_from_text(Node *context, const char *text, size_t length)
{
	size_t       capacity = parse_text_capacity(text, length);
	float       *values;
	ParseResult  result;
	MultiVector *mv;

	if (capacity > MaxAllocSize / sizeof(float))
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("multivector of more than %zu numbers is too large",
							   MaxAllocSize / sizeof(float))));

	values = palloc(capacity * sizeof(float));
	result = parse_text(text, length, values, capacity, check_for_interrupts);
	if (result.status != PARSE_OK)
	{
		text_error(context, text, length, &result);
		return NULL;
	}
	mv = multivector_from_floats(values, result.ntokens, result.dim, KERNEL_FLOAT4);
	pfree(values);
	return mv;
}

/* Return the bytes after the header of the binary format: a datum's, after its norms. */
static const char *
binary_body(const MultiVector *mv, size_t *size)
{
	const char *body = (const char *) (mv->norms + mv->ntokens);

	*size = (const char *) mv + VARSIZE(mv) - body;
	return body;
}

/* Append bytes as hexadecimal digits to a text that has room for them. */
static void
append_hex(StringInfo text, const char *bytes, size_t size)
{
	for (size_t done = 0; done < size; done += HEX_STEP)
	{
		CHECK_FOR_INTERRUPTS();
		text->len +=
			(int) hex_encode(bytes + done, Min(size - done, HEX_STEP), text->data + text->len);
	}
	text->data[text->len] = '\0';
}

/* Append one token, [0.1,0.2]. Each number is the shortest that reads back as the same float4. */
static void
append_token(StringInfo text, const float *token, uint32 dim)
{
	char *at;

	enlargeStringInfo(text, dim * FLOAT_SHORTEST_DECIMAL_LEN + 2);
	at = text->data + text->len;
	for (uint32 k = 0; k < dim; k++)
	{
		*at++ = k == 0 ? '[' : ',';
		at += float_to_shortest_decimal_bufn(token[k], at);
	}
	*at++ = ']';
	*at = '\0';
	text->len = (int) (at - text->data);
}

char *
multivector_json(const MultiVector *mv)
{
	float         *token = palloc(mv->dim * sizeof(float));
	StringInfoData text;

	initStringInfo(&text);
	for (uint32 t = 0; t < mv->ntokens; t++)
	{
		CHECK_FOR_INTERRUPTS();
		appendStringInfoChar(&text, t == 0 ? '[' : ',');
		multivector_tokens(mv, t, 1, token);
		append_token(&text, token, mv->dim);
	}
	appendStringInfoChar(&text, ']');
	pfree(token);
	return text.data;
}

/* Return the binary format as \x and hexadecimal digits. */
static char *
hex_text(const MultiVector *mv)
{
	uint8          header[PARSE_BINARY_HEADER];
	size_t         size;
	const char    *body = binary_body(mv, &size);
	StringInfoData text;

	if (size > MaxAllocSize / 2 - sizeof(header) - sizeof(HEX_PREFIX))
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("multivector of %u x %u elements is too large for the hex form",
							   mv->ntokens, mv->dim),
						errhint("Use COPY with FORMAT binary.")));
	parse_binary_write_header(header, mv->element, mv->dim, mv->ntokens);
	initStringInfo(&text);
	enlargeStringInfo(&text, strlen(HEX_PREFIX) + 2 * (sizeof(header) + size));
	appendStringInfoString(&text, HEX_PREFIX);
	append_hex(&text, (const char *) header, sizeof(header));
	append_hex(&text, body, size);
	return text.data;
}

Datum
multivector_out(PG_FUNCTION_ARGS)
{
	MultiVector *mv = PG_GETARG_MULTIVECTOR(0);

	PG_RETURN_CSTRING(colbert_multivector_output == MULTIVECTOR_OUTPUT_HEX ? hex_text(mv)
																		   : multivector_json(mv));
}

/* Return true if bytes begin like the text of a multivector, or of a bytea. */
static bool
begin_as_text(const uint8 *bytes, size_t length)
{
	for (size_t i = 0; i < Min(length, PARSE_BINARY_HEADER); i++)
	{
		if (!isprint(bytes[i]) && !isspace(bytes[i]))
			return false;
	}
	return length > 0 && (isspace(bytes[0]) || strchr("[{\\", bytes[0]) != NULL);
}

/* Return true if bytes begin like an array in binary format: dimensions, flags, element type. */
static bool
begin_as_array(const uint8 *bytes, size_t length)
{
	static const uint8 zeros[3] = {0};

	return length >= 3 * sizeof(uint32) && memcmp(bytes, zeros, 3) == 0 && bytes[3] <= MAXDIM &&
		   memcmp(bytes + 4, zeros, 3) == 0 && bytes[7] <= 1;
}

/* Report an unknown version, which most likely means that the value is in another format. */
static void
version_error(Node *context, const uint8 *bytes, size_t length)
{
	if (begin_as_text(bytes, length))
		errsave(context,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("expected a multivector in binary format, not text"),
				 errdetail("The value begins with byte %d, \"%c\", instead of version %d.",
						   bytes[0], isprint(bytes[0]) ? bytes[0] : ' ', PARSE_BINARY_VERSION),
				 errhint("Use COPY without FORMAT binary, pass the value as a text parameter, "
						 "or send the binary format.")));
	else if (begin_as_array(bytes, length))
		errsave(context,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("expected a multivector in binary format, not an array"),
				 errhint("Pass the value as an array and cast it, as in $1::real[]::multivector, "
						 "or send the binary format.")));
	else
		errsave(
			context,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("binary multivector has version %d, expected %d", bytes[0],
					PARSE_BINARY_VERSION),
			 errhint(
				 "A header of %d bytes (version, element format, dims, number of tokens) "
				 "precedes the numbers. multivector(bytes, dims) reads numbers without a header.",
				 PARSE_BINARY_HEADER)));
}

/* Report a failure to parse a binary value: a soft error if the context asks for one. */
static void
binary_error(Node *context, const uint8 *bytes, size_t length, const ParseResult *result)
{
	switch (result->status)
	{
		case PARSE_BAD_VERSION:
			version_error(context, bytes, length);
			break;
		case PARSE_BAD_ELEMENT:
			/* jsonb in binary format is text after a version byte, which is 1 too. */
			if (begin_as_text(bytes + 1, length - 1))
				errsave(
					context,
					(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
					 errmsg("expected a multivector in binary format, not jsonb"),
					 errhint("Pass the value as jsonb and cast it, as in $1::jsonb::multivector, "
							 "or send the binary format.")));
			else
				errsave(context, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
								  errmsg("binary multivector has unrecognized element format %d",
										 bytes[1])));
			break;
		case PARSE_BAD_SIZE:
			if (length > 0 && bytes[0] != PARSE_BINARY_VERSION)
				version_error(context, bytes, length);
			else
				errsave(context, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
								  errmsg("binary multivector has %zu bytes, expected %llu", length,
										 (unsigned long long) result->expected_size)));
			break;
		case PARSE_NOT_FINITE:
			errsave(
				context,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("elements of a multivector must be finite numbers"),
				 errdetail("The element at byte %zu of the binary multivector is NaN or infinite.",
						   result->position)));
			break;
		case PARSE_BAD_SCALE:
			errsave(context,
					(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
					 errmsg("binary multivector has an int8 token that is not normalized"),
					 errdetail(
						 "The largest absolute code of a token must be 127 and its scale a normal "
						 "positive number, or all codes and the scale must be 0."),
					 errhint("Send float4 elements and let the column's type convert them.")));
			break;
		default:
			shape_error(context, result->status);
	}
}

/* A multivector from its binary format, or NULL if the context took a soft error. */
static MultiVector *
from_binary(Node *context, const uint8 *bytes, size_t length)
{
	ParseResult  result = parse_binary_header(bytes, length);
	MultiVector *mv;
	size_t       scales_size;

	if (result.status == PARSE_OK)
		result = parse_binary_body(bytes, &result);
	if (result.status != PARSE_OK)
	{
		binary_error(context, bytes, length, &result);
		return NULL;
	}

	/* The bytes after the header are those of a datum after its norms. */
	mv = multivector_alloc(result.ntokens, result.dim, result.element);
	scales_size = (char *) multivector_elements(mv) - (char *) (mv->norms + mv->ntokens);
	memcpy((char *) multivector_elements(mv) - scales_size, bytes + PARSE_BINARY_HEADER,
		   length - PARSE_BINARY_HEADER);
	multivector_set_norms(mv);
	return mv;
}

/*
 * Decode hexadecimal digits, with checks for interrupts. Returns false if a
 * character is not a digit or the last byte is incomplete; *position is then
 * the character at fault.
 */
static bool
decode_digits(const char *digits, size_t ndigits, uint8 *bytes, size_t *position)
{
	for (size_t done = 0; done < ndigits; done += HEX_STEP)
	{
		size_t n = Min(ndigits - done, HEX_STEP) / 2;
		size_t decoded = parse_hex(digits + done, n, bytes + done / 2);

		CHECK_FOR_INTERRUPTS();
		if (decoded == n)
			continue;
		*position = done + decoded * 2;
		if (parse_hex_digit(digits[*position]))
			(*position)++;
		return false;
	}
	*position = ndigits;
	if (ndigits % 2 == 0)
		return true;
	if (!parse_hex_digit(digits[ndigits - 1]))
		*position = ndigits - 1;
	return false;
}

/* A multivector from its hex form, or NULL if the context took a soft error. */
static MultiVector *
from_hex(Node *context, const char *text, size_t length)
{
	const char  *digits = text + strlen(HEX_PREFIX);
	size_t       ndigits = length - strlen(HEX_PREFIX);
	uint8       *bytes = palloc(ndigits / 2 + 1);
	size_t       position;
	MultiVector *mv;

	if (!decode_digits(digits, ndigits, bytes, &position))
	{
		position += strlen(HEX_PREFIX);
		errsave(context, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
						  errmsg("invalid input syntax for type multivector"),
						  errdetail("Expected a hexadecimal digit at character %zu, found %s.",
									position + 1, text_near(text, length, position))));
		return NULL;
	}
	mv = from_binary(context, bytes, ndigits / 2);
	pfree(bytes);
	return mv;
}

Datum
multivector_in(PG_FUNCTION_ARGS)
{
	char        *text = PG_GETARG_CSTRING(0);
	int32        typmod = PG_GETARG_INT32(2);
	size_t       length = strlen(text);
	MultiVector *mv = strncmp(text, HEX_PREFIX, strlen(HEX_PREFIX)) == 0
						  ? from_hex(fcinfo->context, text, length)
						  : multivector_from_text(fcinfo->context, text, length);

	if (mv == NULL)
		PG_RETURN_NULL();
	if (typmod >= 0 && mv->dim != MULTIVECTOR_TYPMOD_DIM(typmod))
	{
		errsave(fcinfo->context,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 MULTIVECTOR_DIM_MESSAGE(MULTIVECTOR_TYPMOD_DIM(typmod), mv->dim)));
		PG_RETURN_NULL();
	}
	PG_RETURN_POINTER(multivector_apply_typmod(mv, typmod));
}

Datum
multivector_recv(PG_FUNCTION_ARGS)
{
	StringInfo   message = (StringInfo) PG_GETARG_POINTER(0);
	MultiVector *mv = from_binary(NULL, (const uint8 *) message->data + message->cursor,
								  message->len - message->cursor);

	message->cursor = message->len;
	PG_RETURN_POINTER(multivector_apply_typmod(mv, PG_GETARG_INT32(2)));
}

/* multivector(bytea): the binary format as a value, for clients that send no binary parameters. */
Datum
multivector_from_binary_bytea(PG_FUNCTION_ARGS)
{
	bytea *bytes = PG_GETARG_BYTEA_PP(0);

	PG_RETURN_POINTER(
		from_binary(NULL, (const uint8 *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)));
}

Datum
multivector_send(PG_FUNCTION_ARGS)
{
	MultiVector   *mv = PG_GETARG_MULTIVECTOR(0);
	size_t         size;
	const char    *body = binary_body(mv, &size);
	uint8          header[PARSE_BINARY_HEADER];
	StringInfoData message;

	parse_binary_write_header(header, mv->element, mv->dim, mv->ntokens);
	pq_begintypsend(&message);
	pq_sendbytes(&message, (const char *) header, sizeof(header));
	pq_sendbytes(&message, body, (int) size);
	PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}

Datum
multivector_typmod_in(PG_FUNCTION_ARGS)
{
	ArrayType    *array = PG_GETARG_ARRAYTYPE_P(0);
	Datum        *modifiers;
	int           n;
	KernelElement element = KERNEL_FLOAT4;
	char         *end;
	long          dim;

	deconstruct_array(array, CSTRINGOID, -2, false, TYPALIGN_CHAR, &modifiers, NULL, &n);
	if (n < 1 || n > 2)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("multivector takes one or two modifiers, not %d", n),
						errhint("Write multivector(128) or multivector(128, float2).")));

	errno = 0;
	dim = strtol(DatumGetCString(modifiers[0]), &end, 10);
	if (*end != '\0' || end == DatumGetCString(modifiers[0]))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("number of dimensions of multivector must be an integer, not \"%s\"",
							   DatumGetCString(modifiers[0])),
						errhint("Write multivector(128) or multivector(128, float2).")));
	if (errno != 0 || dim < 1 || dim > MULTIVECTOR_MAX_DIM)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of dimensions of multivector must be between 1 and %d, not %s",
						MULTIVECTOR_MAX_DIM, DatumGetCString(modifiers[0]))));
	if (n == 2)
		element = multivector_element_from_name(DatumGetCString(modifiers[1]));
	PG_RETURN_INT32(MULTIVECTOR_TYPMOD((int32) dim, element));
}

Datum
multivector_typmod_out(PG_FUNCTION_ARGS)
{
	int32 typmod = PG_GETARG_INT32(0);
	int   element = MULTIVECTOR_TYPMOD_ELEMENT(typmod) - 1;

	if (typmod < 0)
		PG_RETURN_CSTRING(pstrdup(""));
	if (element <= KERNEL_FLOAT4 || element > KERNEL_INT8)
		PG_RETURN_CSTRING(psprintf("(%d)", MULTIVECTOR_TYPMOD_DIM(typmod)));
	PG_RETURN_CSTRING(
		psprintf("(%d,%s)", MULTIVECTOR_TYPMOD_DIM(typmod), multivector_element_name(element)));
}

/* Length coercion. A value that already fits is returned as is; only its header is detoasted. */
Datum
multivector_enforce_typmod(PG_FUNCTION_ARGS)
{
	int32       typmod = PG_GETARG_INT32(1);
	MultiVector header;

	if (typmod < 0)
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	multivector_peek(PG_GETARG_DATUM(0), &header);
	if (header.dim == MULTIVECTOR_TYPMOD_DIM(typmod) &&
		header.element + 1 == MULTIVECTOR_TYPMOD_ELEMENT(typmod))
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	PG_RETURN_POINTER(multivector_apply_typmod(PG_GETARG_MULTIVECTOR(0), typmod));
}
