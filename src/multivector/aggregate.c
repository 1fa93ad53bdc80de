/*-------------------------------------------------------------------------
 *
 * aggregate.c
 *	  multivector_agg(real[]): aggregate rows of tokens into a multivector.
 *
 * The state is a growing array of floats in the aggregate's memory context. It
 * never grows beyond the largest possible result.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "libpq/pqformat.h"
#include "multivector/arrays.h"
#include "multivector/multivector.h"
#include "utils/memutils.h"

typedef struct AggregateState
{
	uint32 dim; /* 0 until the first token */
	uint32 ntokens;
	uint32 capacity; /* tokens that fit in values */
	float *values;
} AggregateState;

PG_FUNCTION_INFO_V1(multivector_agg_transfn);
PG_FUNCTION_INFO_V1(multivector_agg_finalfn);
PG_FUNCTION_INFO_V1(multivector_agg_combinefn);
PG_FUNCTION_INFO_V1(multivector_agg_serialfn);
PG_FUNCTION_INFO_V1(multivector_agg_deserialfn);

static MemoryContext
aggregate_context(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("aggregate function called in non-aggregate context")));
	return context;
}

/* Append tokens of dim floats each. */
static void
append_tokens(AggregateState *state, MemoryContext context, const float *tokens, uint32 ntokens,
			  uint32 dim)
{
	Size token_size = dim * sizeof(float);
	Size limit = (MaxAllocSize - MULTIVECTOR_HEADER) / (token_size + sizeof(float));
	Size needed = (Size) state->ntokens + ntokens;

	if (state->dim == 0)
		state->dim = dim;
	if (state->dim != dim)
		multivector_dim_error(state->dim, dim);
	if (needed > limit)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("multivector of more than %zu x %u elements is too large", limit, dim)));

	if (needed > state->capacity)
	{
		Size capacity = Min(limit, Max(needed, (Size) state->capacity * 2));

		capacity = Max(capacity, Min(limit, 16));
		if (state->values == NULL)
			state->values = MemoryContextAlloc(context, capacity * token_size);
		else
			state->values = repalloc(state->values, capacity * token_size);
		state->capacity = (uint32) capacity;
	}
	memcpy(state->values + (Size) state->ntokens * dim, tokens, ntokens * token_size);
	state->ntokens += ntokens;
}

/* (internal, real[]) -> internal; NULL tokens are skipped. */
Datum
multivector_agg_transfn(PG_FUNCTION_ARGS)
{
	MemoryContext   context = aggregate_context(fcinfo);
	AggregateState *state = PG_ARGISNULL(0) ? NULL : (AggregateState *) PG_GETARG_POINTER(0);
	ArrayType      *token;
	int             dim;

	if (state == NULL)
		state = MemoryContextAllocZero(context, sizeof(AggregateState));
	if (PG_ARGISNULL(1))
		PG_RETURN_POINTER(state);

	token = PG_GETARG_ARRAYTYPE_P(1);
	dim = ArrayGetNItems(ARR_NDIM(token), ARR_DIMS(token));
	if (dim == 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("a token must have at least one dimension")));
	if (ARR_NDIM(token) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("a token must be an array of one dimension, not %d", ARR_NDIM(token)),
				 errhint("Cast an array of two dimensions to multivector instead.")));
	if (dim > MULTIVECTOR_MAX_DIM)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a token cannot have more than %d dimensions", MULTIVECTOR_MAX_DIM)));
	append_tokens(state, context, multivector_array_values(token, dim), 1, (uint32) dim);
	PG_RETURN_POINTER(state);
}

Datum
multivector_agg_finalfn(PG_FUNCTION_ARGS)
{
	AggregateState *state = PG_ARGISNULL(0) ? NULL : (AggregateState *) PG_GETARG_POINTER(0);

	if (state == NULL || state->ntokens == 0)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(
		multivector_from_floats(state->values, state->ntokens, state->dim, KERNEL_FLOAT4));
}

Datum
multivector_agg_combinefn(PG_FUNCTION_ARGS)
{
	MemoryContext   context = aggregate_context(fcinfo);
	AggregateState *state = PG_ARGISNULL(0) ? NULL : (AggregateState *) PG_GETARG_POINTER(0);
	AggregateState *other = PG_ARGISNULL(1) ? NULL : (AggregateState *) PG_GETARG_POINTER(1);

	/* Always copy: the other state's memory may not live as long as the aggregate. */
	if (state == NULL)
		state = MemoryContextAllocZero(context, sizeof(AggregateState));
	if (other != NULL && other->ntokens > 0)
		append_tokens(state, context, other->values, other->ntokens, other->dim);
	PG_RETURN_POINTER(state);
}

/* Serialize a state for another process of this server: dim, ntokens, values. */
Datum
multivector_agg_serialfn(PG_FUNCTION_ARGS)
{
	AggregateState *state = (AggregateState *) PG_GETARG_POINTER(0);
	StringInfoData  message;

	aggregate_context(fcinfo);
	pq_begintypsend(&message);
	pq_sendint32(&message, state->dim);
	pq_sendint32(&message, state->ntokens);
	if (state->ntokens > 0)
		pq_sendbytes(&message, (char *) state->values,
					 (int) ((Size) state->ntokens * state->dim * sizeof(float)));
	PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}

Datum
multivector_agg_deserialfn(PG_FUNCTION_ARGS)
{
	bytea          *bytes = PG_GETARG_BYTEA_PP(0);
	AggregateState *state = palloc0(sizeof(AggregateState));
	StringInfoData  message;
	Size            size;

	aggregate_context(fcinfo);
	message.data = VARDATA_ANY(bytes);
	message.len = message.maxlen = VARSIZE_ANY_EXHDR(bytes);
	message.cursor = 0;
	state->dim = pq_getmsgint(&message, 4);
	state->ntokens = pq_getmsgint(&message, 4);
	size = (Size) state->ntokens * state->dim * sizeof(float);
	if (size > 0)
	{
		state->values = palloc(size);
		memcpy(state->values, pq_getmsgbytes(&message, (int) size), size);
	}
	state->capacity = state->ntokens;
	pq_getmsgend(&message);
	PG_RETURN_POINTER(state);
}
