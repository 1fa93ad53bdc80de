/*-------------------------------------------------------------------------
 *
 * arrays.h
 *	  Multivectors and arrays of numbers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_MULTIVECTOR_ARRAYS_H
#define COLBERT_MULTIVECTOR_ARRAYS_H

#include "multivector/multivector.h"
#include "utils/array.h"

/* Can multivector_from_numbers() read arrays of this element type? */
extern bool multivector_array_type_is_numeric(Oid element_type);

/* A multivector from an array of two dimensions. */
extern MultiVector *multivector_from_numbers(ArrayType *array);

/* The count values of an array of numbers as floats: its own memory for real[], else palloc'd. Errors on NULLs. */
extern float *multivector_array_values(ArrayType *array, int count);

/* A new real[] of one or two dimensions whose values the caller fills. */
extern ArrayType *multivector_float_array(int ndim, const int *dims, float **values);

#endif /* COLBERT_MULTIVECTOR_ARRAYS_H */
