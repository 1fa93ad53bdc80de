/*-------------------------------------------------------------------------
 *
 * arrays.h
 *	  Convert between multivectors and arrays of numbers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_MULTIVECTOR_ARRAYS_H
#define COLBERT_MULTIVECTOR_ARRAYS_H

#include "multivector/multivector.h"
#include "utils/array.h"

/* Return true if multivector_from_numbers() can read arrays of this element type. */
extern bool multivector_array_type_is_numeric(Oid element_type);

/* Make a multivector from a two-dimensional array. */
extern MultiVector *multivector_from_numbers(ArrayType *array);

/*
 * Return the count values of an array of numbers as floats, row-major. For
 * real[] they are the array's own memory, otherwise palloc'd. Errors out if an
 * element is NULL.
 */
extern float *multivector_array_values(ArrayType *array, int count);

/* Return a new real[] of one or two dimensions; the caller fills in the values. */
extern ArrayType *multivector_float_array(int ndim, const int *dims, float **values);

#endif /* COLBERT_MULTIVECTOR_ARRAYS_H */
