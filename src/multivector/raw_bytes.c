/*-------------------------------------------------------------------------
 *
 * raw_bytes.c
 *	  Make multivectors from raw little-endian numbers, as produced by numpy's
 *	  tobytes().
 *
 * Bytes do not carry their type. Those of another element are often finite
 * numbers, but not the intended ones: float2 read as float4 gives numbers near
 * 1e-12. So the bytes are inspected first. They are rejected only if they
 * cannot be an embedding of the named element; data of that element passes,
 * whatever its magnitude.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "kernels/kernels.h"
#include "miscadmin.h"
#include "multivector/multivector.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(multivector_from_bytea);

/* 4-byte words to inspect: fewer are not conclusive, more would take time. */
#define MIN_WORDS 64
#define MAX_WORDS 512

/* The apparent type of the bytes. */
typedef enum RawKind
{
	RAW_AS_NAMED,
	RAW_FLOAT2,
	RAW_FLOAT4,
	RAW_FLOAT8,
	RAW_NO_NUMBERS /* none of these */
} RawKind;

/* The first words of the bytes, read as numbers of each size. */
typedef struct RawWords
{
	int    n; /* number of words, even */
	uint32 words[MAX_WORDS];
	float  float4[MAX_WORDS];
	float  float2[2 * MAX_WORDS];
} RawWords;

static void
read_words(const char *bytes, Size size, RawWords *raw)
{
	uint16 halves[2 * MAX_WORDS];

	raw->n = (int) Min(size / sizeof(uint32), MAX_WORDS) & ~1;
	memcpy(raw->words, bytes, raw->n * sizeof(uint32));
	memcpy(raw->float4, bytes, raw->n * sizeof(uint32));
	memcpy(halves, bytes, raw->n * sizeof(uint32));
	kernels->half_to_float(halves, raw->float2, 2 * (size_t) raw->n);
}

/*
 * Return true if the bytes are float2 numbers. The lower half of a float4
 * number holds mantissa bits. Read as float2, these would have any magnitude
 * up to infinity; those of rounded float4 numbers would end in zeros.
 */
static bool
are_float2(const RawWords *raw)
{
	double squares[2] = {0, 0};
	int    nonzero = 0;
	int    not_rounded = 0;

	for (int i = 0; i < 2 * raw->n; i++)
	{
		if (!(fabsf(raw->float2[i]) < 128))
			return false;
		squares[i % 2] += (double) raw->float2[i] * raw->float2[i];
	}
	for (int i = 0; i < raw->n; i++)
	{
		nonzero += raw->words[i] != 0;
		not_rounded += (raw->words[i] & 0x7F) != 0;
	}
	return nonzero >= MIN_WORDS && not_rounded >= nonzero / 4 && squares[0] > 1e-6 * raw->n &&
		   squares[0] < 64 * squares[1] && squares[1] < 64 * squares[0];
}

/* Return true if a number is neither zero nor of a magnitude that embeddings have. */
static inline bool
is_extreme(float x)
{
	return x != 0 && !(fabsf(x) > 1e-9f && fabsf(x) < 1e9f);
}

/*
 * Return true if the bytes are float8 numbers. Read as float4, every second
 * word is then near 1, and the words between are mantissa bits.
 */
static bool
are_float8(const RawWords *raw)
{
	int extreme = 0;

	for (int i = 0; i < raw->n; i += 2)
	{
		float upper = fabsf(raw->float4[i + 1]);

		if (!(upper == 0 || (upper > 0.25f && upper < 8)))
			return false;
		extreme += is_extreme(raw->float4[i]);
	}
	return extreme >= raw->n / 8;
}

/*
 * Return true if the bytes are float4 numbers. Read as float2, every second
 * one then has any magnitude, or ends in zeros.
 */
static bool
are_float4(const RawWords *raw)
{
	int extreme = 0;
	int large = 0;
	int lower_rounded = 0;
	int upper_rounded = 0;

	for (int i = 0; i < raw->n; i++)
	{
		extreme += is_extreme(raw->float4[i]);
		large += !(fabsf(raw->float2[2 * i]) < 1024);
		lower_rounded += (raw->words[i] & 0x3FF) == 0;
		upper_rounded += (raw->words[i] >> 16 & 0x3FF) == 0;
	}
	if (extreme > raw->n / 16)
		return false;
	return large >= raw->n / 8 || (lower_rounded == raw->n && upper_rounded <= raw->n / 2);
}

/*
 * Return true if there are both huge and tiny numbers among these float4, as
 * among bytes of any other type.
 */
static bool
are_of_any_size(const RawWords *raw)
{
	int huge = 0;
	int tiny = 0;

	for (int i = 0; i < raw->n; i++)
	{
		huge += !(fabsf(raw->float4[i]) < 1e9f);
		tiny += raw->float4[i] != 0 && fabsf(raw->float4[i]) < 1e-9f;
	}
	return huge >= raw->n / 8 && tiny >= raw->n / 8;
}

static RawKind
guess_kind(const char *bytes, Size size, KernelElement element)
{
	RawWords raw;

	if (element == KERNEL_INT8 || size < MIN_WORDS * sizeof(uint32))
		return RAW_AS_NAMED;
	read_words(bytes, size, &raw);
	if (element == KERNEL_FLOAT2)
		return are_float4(&raw) ? RAW_FLOAT4 : are_float8(&raw) ? RAW_FLOAT8 : RAW_AS_NAMED;
	if (are_float2(&raw))
		return RAW_FLOAT2;
	if (are_float8(&raw))
		return RAW_FLOAT8;
	return are_of_any_size(&raw) ? RAW_NO_NUMBERS : RAW_AS_NAMED;
}

/* Reject bytes that are numbers of another type. */
static void
check_kind(const char *bytes, Size size, int32 dim, KernelElement element)
{
	const char *named = multivector_element_name(element);

	switch (guess_kind(bytes, size, element))
	{
		case RAW_AS_NAMED:
			break;
		case RAW_FLOAT2:
		case RAW_FLOAT4:
			ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
							errmsg("expected %s numbers, but the bytes are %s numbers", named,
								   element == KERNEL_FLOAT4 ? "float2" : "float4"),
							errhint("Specify the element format: multivector(bytes, %d, '%s').",
									dim, element == KERNEL_FLOAT4 ? "float2" : "float4")));
			break;
		case RAW_FLOAT8:
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("expected %s numbers, but the bytes are float8 numbers", named),
					 errhint("Convert them first, for example with numpy's astype('<f4').")));
			break;
		case RAW_NO_NUMBERS:
			ereport(
				ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("expected %s numbers, but the bytes are something else", named),
				 errdetail("Read as %s, they range from less than 1e-9 to more than 1e9.", named),
				 errhint("Pass little-endian float4, float2 or int8 numbers without a header, "
						 "and specify the element format: multivector(bytes, %d, 'int8').",
						 dim)));
			break;
	}
}

static void
check_size(Size size, int32 dim, KernelElement element)
{
	Size token_size;

	if (dim < 1 || dim > MULTIVECTOR_MAX_DIM)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("number of dimensions must be between 1 and %d, not %d",
							   MULTIVECTOR_MAX_DIM, dim)));
	if (size == 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("a multivector must have at least one token"),
						errhint("Store NULL if there is no embedding.")));
	token_size = dim * kernel_element_size(element);
	if (size % token_size != 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("expected a multiple of %zu bytes, not %zu", token_size, size),
						errdetail("A token of %d x %s takes %zu bytes.", dim,
								  multivector_element_name(element), token_size),
						element == KERNEL_FLOAT4 && size % (token_size / 2) == 0
							? errhint("If they are float2 numbers, specify the element format: "
									  "multivector(bytes, %d, 'float2').",
									  dim)
							: 0));
}

/*
 * Convert signed bytes, integers from -128 to 127. They become float2 numbers,
 * which hold them exactly; the scale of an int8 multivector would round them.
 */
static MultiVector *
from_int8(const int8 *numbers, uint32 ntokens, int32 dim)
{
	MultiVector *mv = multivector_alloc(ntokens, dim, KERNEL_FLOAT2);
	uint16      *out = (uint16 *) multivector_elements(mv);
	float       *token = palloc(dim * sizeof(float));

	for (uint32 t = 0; t < ntokens; t++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int32 k = 0; k < dim; k++)
			token[k] = numbers[(Size) t * dim + k];
		kernels->float_to_half(token, out + (Size) t * dim, dim);
	}
	pfree(token);
	return mv;
}

/* multivector(bytea, dims, element) */
Datum
multivector_from_bytea(PG_FUNCTION_ARGS)
{
	bytea        *bytes = PG_GETARG_BYTEA_PP(0);
	int32         dim = PG_GETARG_INT32(1);
	KernelElement element = multivector_element_from_name(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	Size          size = VARSIZE_ANY_EXHDR(bytes);
	uint32        ntokens;
	MultiVector  *mv;

	check_size(size, dim, element);
	check_kind(VARDATA_ANY(bytes), size, dim, element);
	ntokens = (uint32) (size / (dim * kernel_element_size(element)));
	if (element == KERNEL_INT8)
		mv = from_int8((const int8 *) VARDATA_ANY(bytes), ntokens, dim);
	else
	{
		mv = multivector_alloc(ntokens, dim, element);
		memcpy(multivector_elements(mv), VARDATA_ANY(bytes), size);
	}
	multivector_set_norms(mv);
	PG_RETURN_POINTER(mv);
}
