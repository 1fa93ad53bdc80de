/*-------------------------------------------------------------------------
 *
 * multivector.c
 *	  Create, check, read and convert multivectors in memory.
 *
 * All elements are written by multivector_store_tokens() or by a checked copy.
 * Then multivector_set_norms() runs, which rejects values that are not finite,
 * whatever their source.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <float.h>
#include <math.h>

#include "miscadmin.h"
#include "multivector/multivector.h"
#include "multivector/parse.h"
#include "utils/memutils.h"

/* Tokens whose norms are computed together. */
#define NORMS_AT_A_TIME 16

StaticAssertDecl(MULTIVECTOR_HEADER == 12, "a multivector has a header of 12 bytes");
StaticAssertDecl(offsetof(MultiVector, ntokens) == 4 && offsetof(MultiVector, dim) == 8 &&
					 offsetof(MultiVector, element) == 10 && offsetof(MultiVector, version) == 11,
				 "the header of a multivector has no padding");
StaticAssertDecl(MULTIVECTOR_MAX_DIM == PARSE_MAX_DIM,
				 "clients and server agree on the largest dim");

static const char *const element_names[] = {"float4", "float2", "int8"};

/* Return the bytes of a whole datum. 64 bits cannot overflow for any uint32 and uint16. */
static uint64
datum_size(uint32 ntokens, uint32 dim, KernelElement element)
{
	uint64 token = (uint64) dim * kernel_element_size(element) + sizeof(float);

	if (element == KERNEL_INT8)
		token += sizeof(float);
	return MULTIVECTOR_HEADER + token * ntokens;
}

/* Return true if the header is plausible. */
static bool
header_is_valid(const MultiVector *mv)
{
	return mv->version == MULTIVECTOR_VERSION && mv->element <= KERNEL_INT8 && mv->ntokens > 0 &&
		   mv->dim > 0 && mv->dim <= MULTIVECTOR_MAX_DIM;
}

static void
corrupted_error(void)
{
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("multivector is corrupted"),
					errdetail("Its header is invalid or does not match its size.")));
}

MultiVector *
multivector_from_datum(Datum datum)
{
	MultiVector *mv = (MultiVector *) PG_DETOAST_DATUM(datum);

	if (VARSIZE(mv) < MULTIVECTOR_HEADER || !header_is_valid(mv) ||
		VARSIZE(mv) != datum_size(mv->ntokens, mv->dim, mv->element))
		corrupted_error();
	return mv;
}

void
multivector_peek(Datum datum, MultiVector *header)
{
	struct varlena *slice = PG_DETOAST_DATUM_SLICE(datum, 0, MULTIVECTOR_HEADER - VARHDRSZ);

	if (VARSIZE_ANY_EXHDR(slice) != MULTIVECTOR_HEADER - VARHDRSZ)
		corrupted_error();
	memcpy((char *) header + VARHDRSZ, VARDATA_ANY(slice), MULTIVECTOR_HEADER - VARHDRSZ);
	header->vl_len_ = 0;
	if (!header_is_valid(header))
		corrupted_error();
	if ((Pointer) slice != DatumGetPointer(datum))
		pfree(slice);
}

MultiVector *
multivector_alloc(uint32 ntokens, uint32 dim, KernelElement element)
{
	uint64       size = datum_size(ntokens, dim, element);
	MultiVector *mv;

	if (ntokens == 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("a multivector must have at least one token")));
	if (dim == 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("a token must have at least one dimension")));
	if (dim > MULTIVECTOR_MAX_DIM)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a token cannot have more than %d dimensions", MULTIVECTOR_MAX_DIM)));
	if (size > MaxAllocSize)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("multivector of %u x %u elements is too large", ntokens, dim),
						errdetail("It would take %llu bytes, but the maximum is %zu.",
								  (unsigned long long) size, (Size) MaxAllocSize)));

	mv = palloc0(size);
	SET_VARSIZE(mv, size);
	mv->ntokens = ntokens;
	mv->dim = (uint16) dim;
	mv->element = (uint8) element;
	mv->version = MULTIVECTOR_VERSION;
	return mv;
}

/* Report why the norm of a token (counted from 0) is not valid. */
compat_noreturn static void
bad_token_error(const float *token, uint32 number, uint32 dim, float norm)
{
	for (uint32 k = 0; k < dim; k++)
	{
		if (!isfinite(token[k]))
			ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
							errmsg("elements of a multivector must be finite numbers"),
							errdetail("Dimension %u of token %u is %s.", k + 1, number + 1,
									  isnan(token[k]) ? "NaN" : "infinite")));
	}
	ereport(
		ERROR,
		(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("token %u is too long", number + 1),
		 errdetail("The maximum norm is %g, so that no score overflows.", MULTIVECTOR_MAX_NORM)));
}

void
multivector_set_norms(MultiVector *mv)
{
	float *widened = NULL;

	if (mv->element != KERNEL_FLOAT4)
		widened = palloc(NORMS_AT_A_TIME * mv->dim * sizeof(float));

	for (uint32 first = 0; first < mv->ntokens; first += NORMS_AT_A_TIME)
	{
		uint32       n = Min(mv->ntokens - first, NORMS_AT_A_TIME);
		const float *tokens = widened;

		CHECK_FOR_INTERRUPTS();
		if (mv->element == KERNEL_FLOAT4)
			tokens = (const float *) multivector_elements(mv) + (size_t) first * mv->dim;
		else
			multivector_tokens(mv, first, n, widened);

		kernels->norms(tokens, n, mv->dim, mv->norms + first);
		for (uint32 t = 0; t < n; t++)
			if (!(mv->norms[first + t] <= MULTIVECTOR_MAX_NORM))
				bad_token_error(tokens + (Size) t * mv->dim, first + t, mv->dim,
								mv->norms[first + t]);
	}

	if (widened)
		pfree(widened);
}

void
multivector_tokens(const MultiVector *mv, uint32 first, uint32 n, float *out)
{
	size_t skip = (size_t) first * mv->dim;
	size_t count = (size_t) n * mv->dim;

	Assert((uint64) first + n <= mv->ntokens);

	switch ((KernelElement) mv->element)
	{
		case KERNEL_FLOAT4:
			memcpy(out, (const float *) multivector_elements(mv) + skip, count * sizeof(float));
			break;
		case KERNEL_FLOAT2:
			kernels->half_to_float((const uint16 *) multivector_elements(mv) + skip, out, count);
			break;
		case KERNEL_INT8:
			for (uint32 t = 0; t < n; t++)
			{
				const int8 *codes =
					(const int8 *) multivector_elements(mv) + skip + (size_t) t * mv->dim;
				float scale = multivector_scales(mv)[first + t];

				for (uint32 k = 0; k < mv->dim; k++)
					out[(size_t) t * mv->dim + k] = (float) codes[k] * scale;
			}
			break;
	}
}

/*
 * Round a number of at most 2^22 to the nearest integer, ties to even, by
 * shifting its fraction out of a float4.
 */
static inline float
round_code(float x)
{
	return (x + 12582912.0f) - 12582912.0f;
}

/* Return true if every value of a token is exactly an integer code times this scale. */
static bool
token_has_scale(const float *token, uint32 dim, float scale)
{
	for (uint32 k = 0; k < dim; k++)
	{
		if (round_code(token[k] / scale) * scale != token[k])
			return false;
	}
	return true;
}

/*
 * Quantize one token to codes -127 .. 127; returns the scale.
 *
 * A token that was int8 before (in a dump, or cast to real[][] and back) must
 * get the same values again, but largest / 127 can differ from its scale by
 * one unit in the last place. Therefore the neighboring scales are tried too,
 * and a scale that loses nothing is preferred. Other tokens fail that test at
 * one of their first elements.
 */
static float
quantize_token(const float *token, uint32 dim, int8 *codes)
{
	float largest = 0.0f;
	float scale;
	float candidates[3];

	for (uint32 k = 0; k < dim; k++)
		largest = Max(largest, fabsf(token[k]));

	/* A subnormal scale has no precision left: such a token becomes zero. */
	scale = largest / 127.0f;
	if (scale < FLT_MIN)
	{
		memset(codes, 0, dim);
		return 0.0f;
	}

	candidates[0] = scale;
	candidates[1] = nextafterf(scale, 0.0f);
	candidates[2] = nextafterf(scale, FLT_MAX);
	for (int i = 0; i < lengthof(candidates); i++)
	{
		if (candidates[i] >= FLT_MIN && token_has_scale(token, dim, candidates[i]))
		{
			scale = candidates[i];
			break;
		}
	}

	for (uint32 k = 0; k < dim; k++)
		codes[k] = (int8) round_code(token[k] / scale);
	return scale;
}

/*
 * Reject values that are not finite in the target format, which float2 and
 * int8 would turn into something else.
 */
static void
check_narrowed(const float *token, uint32 number, uint32 dim, KernelElement element)
{
	for (uint32 k = 0; k < dim; k++)
	{
		/* binary16 rounds 65520 and more to infinity. */
		if (element == KERNEL_FLOAT2 ? fabsf(token[k]) < 65520.0f : isfinite(token[k]))
			continue;
		if (!isfinite(token[k]))
			bad_token_error(token, number, dim, 0);
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("value %g is out of range for element float2", token[k]),
						errdetail("The magnitude of dimension %u of token %u exceeds 65504.", k + 1,
								  number + 1)));
	}
}

void
multivector_store_tokens(MultiVector *mv, uint32 first, uint32 n, const float *tokens)
{
	size_t dim = mv->dim;

	Assert((uint64) first + n <= mv->ntokens);

	if (mv->element == KERNEL_FLOAT4)
	{
		memcpy((float *) multivector_elements(mv) + first * dim, tokens, n * dim * sizeof(float));
		return;
	}
	for (uint32 t = 0; t < n; t++)
	{
		const float *token = tokens + t * dim;
		size_t       at = (first + t) * dim;

		CHECK_FOR_INTERRUPTS();
		check_narrowed(token, first + t, mv->dim, mv->element);
		if (mv->element == KERNEL_FLOAT2)
			kernels->float_to_half(token, (uint16 *) multivector_elements(mv) + at, dim);
		else
			mv->norms[mv->ntokens + first + t] =
				quantize_token(token, mv->dim, (int8 *) multivector_elements(mv) + at);
	}
}

MultiVector *
multivector_from_floats(const float *tokens, uint32 ntokens, uint32 dim, KernelElement element)
{
	MultiVector *mv = multivector_alloc(ntokens, dim, element);

	multivector_store_tokens(mv, 0, ntokens, tokens);
	multivector_set_norms(mv);
	return mv;
}

MultiVector *
multivector_convert(MultiVector *mv, KernelElement element)
{
	MultiVector *result;
	float       *token;

	if (mv->element == element)
		return mv;

	result = multivector_alloc(mv->ntokens, mv->dim, element);
	token = palloc(mv->dim * sizeof(float));
	for (uint32 t = 0; t < mv->ntokens; t++)
	{
		multivector_tokens(mv, t, 1, token);
		multivector_store_tokens(result, t, 1, token);
	}
	pfree(token);
	multivector_set_norms(result);
	return result;
}

void
multivector_dim_error(uint32 expected, uint32 actual)
{
	ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION), MULTIVECTOR_DIM_MESSAGE(expected, actual)));
}

const char *
multivector_element_name(KernelElement element)
{
	return element_names[element];
}

KernelElement
multivector_element_from_name(const char *name)
{
	for (int i = 0; i < lengthof(element_names); i++)
	{
		if (pg_strcasecmp(name, element_names[i]) == 0)
			return (KernelElement) i;
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unrecognized element format \"%s\"", name),
					errhint("Valid element formats are \"float4\", \"float2\" and \"int8\".")));
}

MultiVector *
multivector_apply_typmod(MultiVector *mv, int32 typmod)
{
	if (typmod < 0)
		return mv;
	if (mv->dim != MULTIVECTOR_TYPMOD_DIM(typmod))
		multivector_dim_error(MULTIVECTOR_TYPMOD_DIM(typmod), mv->dim);
	if (MULTIVECTOR_TYPMOD_ELEMENT(typmod) == 0)
		return mv;

	/* A user can call the coercion function with any typmod. */
	if (MULTIVECTOR_TYPMOD_ELEMENT(typmod) > KERNEL_INT8 + 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid type modifier of multivector: %d", typmod)));
	return multivector_convert(mv, (KernelElement) (MULTIVECTOR_TYPMOD_ELEMENT(typmod) - 1));
}
