/*-------------------------------------------------------------------------
 *
 * pgvector.c
 *	  multivector(anyarray): arrays of numbers, and of pgvector's types.
 *
 * A function or cast on vector[] would make this extension depend on pgvector.
 * Therefore the function takes any array, and checks at run time whether its
 * elements belong to the extension "vector". The layout of its types vector
 * and halfvec has never changed:
 *
 *	vl_len_		4 bytes
 *	dim			2 bytes
 *	unused		2 bytes
 *	elements	dim x float4, or binary16 for halfvec
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "multivector/arrays.h"
#include "multivector/multivector.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

typedef struct ForeignVector
{
	int32 vl_len_;
	int16 dim;
	int16 unused;
	char  elements[FLEXIBLE_ARRAY_MEMBER];
} ForeignVector;

StaticAssertDecl(offsetof(ForeignVector, elements) == 8, "pgvector's header has no padding");

PG_FUNCTION_INFO_V1(multivector_from_anyarray);

/* Return true if a type is one of pgvector's; *element becomes its element format. */
static bool
type_is_pgvector(Oid type, KernelElement *element)
{
	HeapTuple    tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Form_pg_type form;
	bool         found = false;
	char        *extension;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_type) GETSTRUCT(tuple);
	if (form->typlen == -1 && strcmp(NameStr(form->typname), "vector") == 0)
	{
		*element = KERNEL_FLOAT4;
		found = true;
	}
	else if (form->typlen == -1 && strcmp(NameStr(form->typname), "halfvec") == 0)
	{
		*element = KERNEL_FLOAT2;
		found = true;
	}
	ReleaseSysCache(tuple);
	if (!found)
		return false;

	extension = get_extension_name(getExtensionOfObject(TypeRelationId, type));
	return extension != NULL && strcmp(extension, "vector") == 0;
}

/* Return one array element after checking its length, since another project defines its layout. */
static const ForeignVector *
foreign_vector(Datum datum, KernelElement element)
{
	const ForeignVector *vector = (const ForeignVector *) PG_DETOAST_DATUM(datum);

	if (VARSIZE(vector) < offsetof(ForeignVector, elements) || vector->dim < 1 ||
		VARSIZE(vector) !=
			offsetof(ForeignVector, elements) + vector->dim * kernel_element_size(element))
		ereport(
			ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("this version of extension \"vector\" has an unknown layout of its types"),
			 errhint("Cast its vectors to real[], and aggregate them with multivector_agg().")));
	return vector;
}

/* Make a multivector from an array of pgvector's vectors: each becomes a token. */
static MultiVector *
from_pgvector(ArrayType *array, KernelElement element)
{
	MultiVector *mv = NULL;
	Datum       *datums;
	bool        *nulls;
	int          n;
	int16        typlen;
	bool         typbyval;
	char         typalign;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("expected a vector array of one dimension, not %d", ARR_NDIM(array))));
	get_typlenbyvalalign(ARR_ELEMTYPE(array), &typlen, &typbyval, &typalign);
	deconstruct_array(array, ARR_ELEMTYPE(array), typlen, typbyval, typalign, &datums, &nulls, &n);

	for (int i = 0; i < n; i++)
	{
		const ForeignVector *vector;
		Size                 size;

		CHECK_FOR_INTERRUPTS();
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("tokens of a multivector cannot be NULL")));
		vector = foreign_vector(datums[i], element);
		if (mv == NULL)
			mv = multivector_alloc((uint32) n, (uint32) vector->dim, element);
		if (vector->dim != mv->dim)
			multivector_dim_error(mv->dim, (uint32) vector->dim);
		size = mv->dim * kernel_element_size(element);
		memcpy((char *) multivector_elements(mv) + i * size, vector->elements, size);
	}
	if (mv == NULL)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("a multivector must have at least one token"),
						errhint("Store NULL if there is no embedding.")));
	multivector_set_norms(mv);
	return mv;
}

Datum
multivector_from_anyarray(PG_FUNCTION_ARGS)
{
	ArrayType    *array = PG_GETARG_ARRAYTYPE_P(0);
	KernelElement element;

	if (multivector_array_type_is_numeric(ARR_ELEMTYPE(array)))
		PG_RETURN_POINTER(multivector_from_numbers(array));
	if (!type_is_pgvector(ARR_ELEMTYPE(array), &element))
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("cannot convert an array of type %s to multivector",
							   format_type_be(ARR_ELEMTYPE(array))),
						errhint("Pass an array of numbers, or of type vector or halfvec "
								"of extension \"vector\".")));
	PG_RETURN_POINTER(from_pgvector(array, element));
}
