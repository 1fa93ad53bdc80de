/*-------------------------------------------------------------------------
 *
 * casts.c
 *	  Cast arrays and JSON to multivectors and back.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "multivector/arrays.h"
#include "multivector/io.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(multivector_from_array);
PG_FUNCTION_INFO_V1(multivector_to_array);
PG_FUNCTION_INFO_V1(multivector_to_float8_array);
PG_FUNCTION_INFO_V1(multivector_to_json);
PG_FUNCTION_INFO_V1(multivector_to_jsonb);
PG_FUNCTION_INFO_V1(multivector_from_json);
PG_FUNCTION_INFO_V1(multivector_from_jsonb);

/*
 * Convert count array elements of a numeric type to float. A value out of
 * float4's range becomes infinite and is rejected later.
 */
static void
read_numbers(Oid type, const Datum *datums, int count, float *out)
{
	for (int i = 0; i < count; i++)
	{
		switch (type)
		{
			case FLOAT8OID:
				out[i] = (float) DatumGetFloat8(datums[i]);
				break;
			case NUMERICOID:
				out[i] = (float) DatumGetFloat8(DirectFunctionCall1(numeric_float8, datums[i]));
				break;
			case INT4OID:
				out[i] = (float) DatumGetInt32(datums[i]);
				break;
		}
	}
}

bool
multivector_array_type_is_numeric(Oid element_type)
{
	return element_type == FLOAT4OID || element_type == FLOAT8OID || element_type == NUMERICOID ||
		   element_type == INT4OID;
}

float *
multivector_array_values(ArrayType *array, int count)
{
	Oid    type = ARR_ELEMTYPE(array);
	Datum *datums;
	float *values;
	int    n;

	if (array_contains_nulls(array))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("elements of a multivector cannot be NULL")));
	if (type == FLOAT4OID)
		return (float *) ARR_DATA_PTR(array);

	values = palloc((Size) count * sizeof(float));
	if (type == FLOAT8OID)
		deconstruct_array(array, type, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &datums,
						  NULL, &n);
	else if (type == INT4OID)
		deconstruct_array(array, type, sizeof(int32), true, TYPALIGN_INT, &datums, NULL, &n);
	else
		deconstruct_array(array, type, -1, false, TYPALIGN_INT, &datums, NULL, &n);
	read_numbers(type, datums, n, values);
	pfree(datums);
	return values;
}

MultiVector *
multivector_from_numbers(ArrayType *array)
{
	int count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

	if (count == 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("a multivector must have at least one token"),
						errhint("Store NULL if there is no embedding.")));
	if (ARR_NDIM(array) != 2)
		ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
						errmsg("expected an array of two dimensions, not %d", ARR_NDIM(array)),
						errhint("Write a single token as ARRAY[[0.1,0.2]].")));
	return multivector_from_floats(multivector_array_values(array, count), ARR_DIMS(array)[0],
								   ARR_DIMS(array)[1], KERNEL_FLOAT4);
}

/* Casts from arrays of numbers: (array, typmod, explicit). */
Datum
multivector_from_array(PG_FUNCTION_ARGS)
{
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(0);

	PG_RETURN_POINTER(
		multivector_apply_typmod(multivector_from_numbers(array), PG_GETARG_INT32(1)));
}

ArrayType *
multivector_float_array(int ndim, const int *dims, float **values)
{
	int        lower_bounds[2] = {1, 1};
	Size       count = ndim == 1 ? (Size) dims[0] : mul_size(dims[0], dims[1]);
	Size       size = add_size(ARR_OVERHEAD_NONULLS(ndim), mul_size(count, sizeof(float)));
	ArrayType *array;

	if (size > MaxAllocSize)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("array of %zu numbers is too large", count)));
	array = palloc0(size);
	SET_VARSIZE(array, size);
	array->ndim = ndim;
	array->dataoffset = 0;
	array->elemtype = FLOAT4OID;
	memcpy(ARR_DIMS(array), dims, ndim * sizeof(int));
	memcpy(ARR_LBOUND(array), lower_bounds, ndim * sizeof(int));
	*values = (float *) ARR_DATA_PTR(array);
	return array;
}

Datum
multivector_to_array(PG_FUNCTION_ARGS)
{
	MultiVector *mv = PG_GETARG_MULTIVECTOR(0);
	int          dims[2] = {(int) mv->ntokens, mv->dim};
	float       *values;
	ArrayType   *array = multivector_float_array(2, dims, &values);

	multivector_tokens(mv, 0, mv->ntokens, values);
	PG_RETURN_ARRAYTYPE_P(array);
}

Datum
multivector_to_float8_array(PG_FUNCTION_ARGS)
{
	MultiVector *mv = PG_GETARG_MULTIVECTOR(0);
	Size         count = mul_size(mv->ntokens, mv->dim);
	Size         size = add_size(ARR_OVERHEAD_NONULLS(2), mul_size(count, sizeof(float8)));
	float       *token = palloc(mv->dim * sizeof(float));
	ArrayType   *array;
	float8      *values;

	if (size > MaxAllocSize)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("array of %zu numbers is too large", count)));
	array = palloc0(size);
	SET_VARSIZE(array, size);
	array->ndim = 2;
	array->elemtype = FLOAT8OID;
	ARR_DIMS(array)[0] = (int) mv->ntokens;
	ARR_DIMS(array)[1] = mv->dim;
	ARR_LBOUND(array)[0] = ARR_LBOUND(array)[1] = 1;
	values = (float8 *) ARR_DATA_PTR(array);
	for (uint32 t = 0; t < mv->ntokens; t++)
	{
		CHECK_FOR_INTERRUPTS();
		multivector_tokens(mv, t, 1, token);
		for (uint32 k = 0; k < mv->dim; k++)
			*values++ = token[k];
	}
	pfree(token);
	PG_RETURN_ARRAYTYPE_P(array);
}

Datum
multivector_to_json(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(multivector_json(PG_GETARG_MULTIVECTOR(0))));
}

Datum
multivector_to_jsonb(PG_FUNCTION_ARGS)
{
	return DirectFunctionCall1(jsonb_in,
							   CStringGetDatum(multivector_json(PG_GETARG_MULTIVECTOR(0))));
}

Datum
multivector_from_json(PG_FUNCTION_ARGS)
{
	text        *json = PG_GETARG_TEXT_PP(0);
	MultiVector *mv = multivector_from_text(NULL, VARDATA_ANY(json), VARSIZE_ANY_EXHDR(json));

	PG_RETURN_POINTER(multivector_apply_typmod(mv, PG_GETARG_INT32(1)));
}

Datum
multivector_from_jsonb(PG_FUNCTION_ARGS)
{
	Jsonb *json = PG_GETARG_JSONB_P(0);
	char  *text = JsonbToCString(NULL, &json->root, VARSIZE(json));

	PG_RETURN_POINTER(multivector_apply_typmod(multivector_from_text(NULL, text, strlen(text)),
											   PG_GETARG_INT32(1)));
}
