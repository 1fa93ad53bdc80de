/*-------------------------------------------------------------------------
 *
 * functions.c
 *	  SQL functions that return parts of multivectors, and simple
 *	  transformations.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "multivector/arrays.h"
#include "multivector/multivector.h"

PG_FUNCTION_INFO_V1(multivector_num_tokens);
PG_FUNCTION_INFO_V1(multivector_dims);
PG_FUNCTION_INFO_V1(multivector_token);
PG_FUNCTION_INFO_V1(multivector_unnest);
PG_FUNCTION_INFO_V1(multivector_l2_normalize);
PG_FUNCTION_INFO_V1(multivector_mean_pool);
PG_FUNCTION_INFO_V1(multivector_concat);

Datum
multivector_num_tokens(PG_FUNCTION_ARGS)
{
	MultiVector header;

	multivector_peek(PG_GETARG_DATUM(0), &header);
	PG_RETURN_INT32((int32) header.ntokens);
}

Datum
multivector_dims(PG_FUNCTION_ARGS)
{
	MultiVector header;

	multivector_peek(PG_GETARG_DATUM(0), &header);
	PG_RETURN_INT32(header.dim);
}

/* Return one token (counted from 0) as real[]. */
static Datum
token_array(const MultiVector *mv, uint32 token)
{
	int        dims[1] = {mv->dim};
	float     *values;
	ArrayType *array = multivector_float_array(1, dims, &values);

	multivector_tokens(mv, token, 1, values);
	return PointerGetDatum(array);
}

Datum
multivector_token(PG_FUNCTION_ARGS)
{
	MultiVector *mv = PG_GETARG_MULTIVECTOR(0);
	int32        i = PG_GETARG_INT32(1);

	if (i < 1 || (uint32) i > mv->ntokens)
		ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
						errmsg("token must be between 1 and %u, not %d", mv->ntokens, i)));
	PG_RETURN_DATUM(token_array(mv, (uint32) i - 1));
}

/* unnest(doc): one row per token, (ordinal, embedding). */
Datum
multivector_unnest(PG_FUNCTION_ARGS)
{
	FuncCallContext *context;
	Datum            values[2];
	bool             nulls[2] = {false, false};

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;
		MultiVector  *mv;
		TupleDesc     desc;

		context = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(context->multi_call_memory_ctx);
		if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "unnest must return rows");
		context->tuple_desc = BlessTupleDesc(desc);

		/* Copy the argument, which may not live until the next call. */
		mv = multivector_from_datum(PointerGetDatum(PG_DETOAST_DATUM_COPY(PG_GETARG_DATUM(0))));
		context->user_fctx = mv;
		context->max_calls = mv->ntokens;
		MemoryContextSwitchTo(old);
	}

	context = SRF_PERCALL_SETUP();
	if (context->call_cntr >= context->max_calls)
		SRF_RETURN_DONE(context);
	values[0] = Int32GetDatum((int32) context->call_cntr + 1);
	values[1] = token_array(context->user_fctx, (uint32) context->call_cntr);
	SRF_RETURN_NEXT(context,
					HeapTupleGetDatum(heap_form_tuple(context->tuple_desc, values, nulls)));
}

/* Divide every token by its norm, in the same element format; a zero token stays zero. */
Datum
multivector_l2_normalize(PG_FUNCTION_ARGS)
{
	MultiVector *mv = PG_GETARG_MULTIVECTOR(0);
	MultiVector *result = multivector_alloc(mv->ntokens, mv->dim, mv->element);
	float       *token = palloc(mv->dim * sizeof(float));

	for (uint32 t = 0; t < mv->ntokens; t++)
	{
		CHECK_FOR_INTERRUPTS();
		multivector_tokens(mv, t, 1, token);
		for (uint32 k = 0; k < mv->dim && mv->norms[t] > 0.0f; k++)
			token[k] /= mv->norms[t];
		multivector_store_tokens(result, t, 1, token);
	}
	multivector_set_norms(result);
	PG_RETURN_POINTER(result);
}

/* Return the mean of the tokens, summed in double precision. */
Datum
multivector_mean_pool(PG_FUNCTION_ARGS)
{
	MultiVector *mv = PG_GETARG_MULTIVECTOR(0);
	int          dims[1] = {mv->dim};
	float       *values;
	ArrayType   *array = multivector_float_array(1, dims, &values);
	double      *sums = palloc0(mv->dim * sizeof(double));

	for (uint32 t = 0; t < mv->ntokens; t++)
	{
		CHECK_FOR_INTERRUPTS();
		multivector_tokens(mv, t, 1, values);
		for (uint32 k = 0; k < mv->dim; k++)
			sums[k] += values[k];
	}
	for (uint32 k = 0; k < mv->dim; k++)
		values[k] = (float) (sums[k] / mv->ntokens);
	PG_RETURN_ARRAYTYPE_P(array);
}

/* Copy all tokens of a multivector to another, beginning at token first. */
static void
copy_tokens(const MultiVector *from, MultiVector *to, uint32 first)
{
	Size   size = from->dim * kernel_element_size(from->element);
	float *token;

	if (from->element == to->element)
	{
		memcpy((char *) multivector_elements(to) + first * size, multivector_elements(from),
			   from->ntokens * size);
		if (from->element == KERNEL_INT8)
			memcpy(to->norms + to->ntokens + first, multivector_scales(from),
				   from->ntokens * sizeof(float));
		return;
	}
	token = palloc(from->dim * sizeof(float));
	for (uint32 t = 0; t < from->ntokens; t++)
	{
		CHECK_FOR_INTERRUPTS();
		multivector_tokens(from, t, 1, token);
		multivector_store_tokens(to, first + t, 1, token);
	}
	pfree(token);
}

/* doc || doc: all tokens of both. The result is float4 unless both have the same element format. */
Datum
multivector_concat(PG_FUNCTION_ARGS)
{
	MultiVector *a = PG_GETARG_MULTIVECTOR(0);
	MultiVector *b = PG_GETARG_MULTIVECTOR(1);
	MultiVector *result;

	if (a->dim != b->dim)
		multivector_dim_error(a->dim, b->dim);

	/* Each has fewer than 2^30 tokens, so the sum cannot overflow. */
	result =
		multivector_alloc(a->ntokens + b->ntokens, a->dim,
						  a->element == b->element ? (KernelElement) a->element : KERNEL_FLOAT4);
	copy_tokens(a, result, 0);
	copy_tokens(b, result, a->ntokens);

	/* Widening changes no value, and therefore no norm. */
	memcpy(result->norms, a->norms, a->ntokens * sizeof(float));
	memcpy(result->norms + a->ntokens, b->norms, b->ntokens * sizeof(float));
	PG_RETURN_POINTER(result);
}
