/*-------------------------------------------------------------------------
 *
 * frozen_value.c
 *	  Text and binary input and output of bm25_frozen.
 *
 * The binary form is the bytes of a value, and the text form is the same in
 * hex, as bytea has it. Both are checked, so that a value from outside is as
 * sound as one of bm25f_freeze.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "fmgr.h"
#include "fulltext/frozen.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

PG_FUNCTION_INFO_V1(bm25_frozen_in);
PG_FUNCTION_INFO_V1(bm25_frozen_out);
PG_FUNCTION_INFO_V1(bm25_frozen_recv);
PG_FUNCTION_INFO_V1(bm25_frozen_send);

/* Return NULL if the bytes of a value keep all invariants, or else the fault. */
static const char *
find_fault(const uint8 *bytes, Size size)
{
	Frozen frozen;

	if (size < FROZEN_HEADER_SIZE || (size - FROZEN_HEADER_SIZE) % FROZEN_WORD_SIZE != 0)
		return "is cut";
	if (bytes[0] != FROZEN_VERSION)
		return "is of another version";
	frozen = frozen_parts(bytes, size);
	for (uint32 i = 0; i < frozen.nwords; i++)
	{
		if (i > 0 && frozen_hash(&frozen, i - 1) >= frozen_hash(&frozen, i))
			return "has words that are not in order";
		if (frozen.weights[i] == 0)
			return "has a word without weight";
	}
	return NULL;
}

/* Return the bytes as a value, which has the layout of a bytea, or raise an error. */
static Datum
checked(bytea *value, int code)
{
	const char *fault = find_fault((const uint8 *) VARDATA(value), VARSIZE(value) - VARHDRSZ);

	if (fault != NULL)
		ereport(ERROR,
				(errcode(code), errmsg("invalid value for type bm25_frozen"),
				 errdetail("The value %s.", fault), errhint("bm25f_freeze() makes a value.")));
	PG_RETURN_POINTER(value);
}

Datum
bm25_frozen_in(PG_FUNCTION_ARGS)
{
	Datum bytes = DirectFunctionCall1(byteain, PG_GETARG_DATUM(0));

	return checked(DatumGetByteaP(bytes), ERRCODE_INVALID_TEXT_REPRESENTATION);
}

Datum
bm25_frozen_out(PG_FUNCTION_ARGS)
{
	bytea *value = PG_GETARG_BYTEA_PP(0);
	Size   size = VARSIZE_ANY_EXHDR(value);
	char  *text = palloc(2 * size + 3);

	strcpy(text, "\\x");
	text[2 + hex_encode(VARDATA_ANY(value), size, text + 2)] = '\0';
	PG_RETURN_CSTRING(text);
}

Datum
bm25_frozen_recv(PG_FUNCTION_ARGS)
{
	Datum bytes = DirectFunctionCall1(bytearecv, PG_GETARG_DATUM(0));

	return checked(DatumGetByteaP(bytes), ERRCODE_INVALID_BINARY_REPRESENTATION);
}

Datum
bm25_frozen_send(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(PG_GETARG_BYTEA_P_COPY(0));
}
