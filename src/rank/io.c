/*-------------------------------------------------------------------------
 *
 * io.c
 *	  Text and binary input and output of rank_model, and what a model says
 *	  about itself.
 *
 * The input is a model file of LightGBM or XGBoost, or a linear model. The
 * output is the bytes of the model in hex, as bytea has it, and is also input.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <ctype.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "rank/json.h"
#include "rank/readers.h"
#include "storage/shmem.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

PG_FUNCTION_INFO_V1(rank_model_in);
PG_FUNCTION_INFO_V1(rank_model_out);
PG_FUNCTION_INFO_V1(rank_model_recv);
PG_FUNCTION_INFO_V1(rank_model_send);
PG_FUNCTION_INFO_V1(rank_model_info);
PG_FUNCTION_INFO_V1(rank_model_features);

/* Return a model of the bytes that rank_model_send writes: a model without its length. */
static RankModel *
from_bytes(const char *bytes, size_t length)
{
	size_t      size = add_size(length, VARHDRSZ);
	RankModel  *model = palloc(Max(size, sizeof(RankModel)));
	const char *wrong;

	memcpy((char *) model + VARHDRSZ, bytes, length);
	SET_VARSIZE(model, size);
	wrong = rank_model_check(model, size);
	if (wrong == NULL)
		for (uint32 i = 0; i < model->names_size; i += strlen(rank_names(model) + i) + 1)
			if (!pg_verifymbstr(rank_names(model) + i, (int) strlen(rank_names(model) + i), true))
				wrong = "has a name that is not valid in the encoding of the database";
	if (wrong != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("invalid binary form of type rank_model"),
						errdetail_internal("The model %s.", wrong)));
	return model;
}

static RankModel *
from_hex(const char *text)
{
	Datum           bytes = DirectFunctionCall1(byteain, CStringGetDatum(text));
	struct varlena *value = (struct varlena *) DatumGetPointer(bytes);

	return from_bytes(VARDATA(value), VARSIZE(value) - VARHDRSZ);
}

static RankModel *
from_json(const char *text)
{
	Jsonb     *json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	JsonbValue value;

	if (find_member(&json->root, "learner", &value))
		return read_xgboost(&json->root);
	if (find_member(&json->root, "weights", &value))
		return read_linear(&json->root);
	ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
					errmsg("invalid input syntax for type rank_model"),
					errdetail("The JSON object has neither \"learner\", as XGBoost's models, nor "
							  "\"weights\", as linear ones.")));
}

Datum
rank_model_in(PG_FUNCTION_ARGS)
{
	const char *text = PG_GETARG_CSTRING(0);

	for (; isspace((unsigned char) *text); text++)
		CHECK_FOR_INTERRUPTS();
	if (strncmp(text, "\\x", 2) == 0)
		PG_RETURN_POINTER(from_hex(text));
	if (*text == '{')
		PG_RETURN_POINTER(from_json(text));
	if (strncmp(text, "tree", 4) == 0)
		PG_RETURN_POINTER(read_lightgbm(text));
	ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
					errmsg("invalid input syntax for type rank_model"),
					errhint("Give the text of LightGBM's save_model, XGBoost's save_model as JSON, "
							"or a linear model such as {\"weights\": [0.5, 2]}.")));
}

Datum
rank_model_out(PG_FUNCTION_ARGS)
{
	RankModel *model = (RankModel *) PG_DETOAST_DATUM(PG_GETARG_DATUM(0));
	size_t     size = VARSIZE(model) - VARHDRSZ;
	char      *text;

	if (size > (MaxAllocSize - 3) / 2)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("rank_model of %zu bytes is too large for its text form", size)));
	text = palloc(2 * size + 3);
	text[0] = '\\';
	text[1] = 'x';
	text[2 + hex_encode((const char *) model + VARHDRSZ, size, text + 2)] = '\0';
	PG_RETURN_CSTRING(text);
}

Datum
rank_model_recv(PG_FUNCTION_ARGS)
{
	StringInfo  buffer = (StringInfo) PG_GETARG_POINTER(0);
	int         length = buffer->len - buffer->cursor;
	const char *bytes = pq_getmsgbytes(buffer, length);

	PG_RETURN_POINTER(from_bytes(bytes, length));
}

Datum
rank_model_send(PG_FUNCTION_ARGS)
{
	RankModel     *model = (RankModel *) PG_DETOAST_DATUM(PG_GETARG_DATUM(0));
	StringInfoData buffer;

	pq_begintypsend(&buffer);
	pq_sendbytes(&buffer, (const char *) model + VARHDRSZ, (int) (VARSIZE(model) - VARHDRSZ));
	PG_RETURN_BYTEA_P(pq_endtypsend(&buffer));
}

/* ---- what a model says about itself ---- */

Datum
rank_model_info(PG_FUNCTION_ARGS)
{
	const RankModel *model = rank_model_checked(PG_GETARG_DATUM(0));
	Datum            values[4];
	bool             nulls[4] = {false};
	TupleDesc        desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = CStringGetTextDatum(rank_kind_name(model->kind));
	values[1] = Int32GetDatum((int32) model->nfeatures);
	values[2] = Int64GetDatum(model->ntrees);
	values[3] = Int64GetDatum(model->kind == RANK_LINEAR ? 0 : model->nleaves);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

Datum
rank_model_features(PG_FUNCTION_ARGS)
{
	const RankModel *model = rank_model_checked(PG_GETARG_DATUM(0));
	Datum           *names = palloc(model->nfeatures * sizeof(Datum));
	const char      *name = rank_names(model);

	for (uint32 i = 0; i < model->nfeatures; i++, name += strlen(name) + 1)
		names[i] = CStringGetTextDatum(name);
	PG_RETURN_ARRAYTYPE_P(
		construct_array(names, (int) model->nfeatures, TEXTOID, -1, false, TYPALIGN_INT));
}
