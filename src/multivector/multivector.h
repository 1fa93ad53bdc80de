/*-------------------------------------------------------------------------
 *
 * multivector.h
 *	  The multivector type: a set of token embeddings in one datum.
 *
 * Layout of a detoasted datum, little endian, no padding (everything is
 * 4-byte aligned up to the elements):
 *
 *	vl_len_		4 bytes
 *	ntokens		4 bytes, at least 1
 *	dim			2 bytes, 1 .. MULTIVECTOR_MAX_DIM
 *	element		1 byte, a KernelElement
 *	version		1 byte, MULTIVECTOR_VERSION
 *	norms		ntokens float4: |token| by kernel_norm() of the widened token
 *	scales		ntokens float4, int8 only; an element is code * scale
 *	elements	ntokens x dim, row-major
 *
 * Invariants: every element is finite; norms are computed here and never
 * read from a client. A datum that breaks them is an internal error, and
 * multivector_check() finds it before anything reads past its end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_MULTIVECTOR_H
#define COLBERT_MULTIVECTOR_H

#include "compat/pg_compat.h"
#include "fmgr.h"
#include "kernels/kernels.h"

#define MULTIVECTOR_MAX_DIM 16000
#define MULTIVECTOR_VERSION 1

typedef struct MultiVector
{
	int32		vl_len_;
	uint32		ntokens;
	uint16		dim;
	uint8		element;
	uint8		version;
	float		norms[FLEXIBLE_ARRAY_MEMBER];
} MultiVector;

static inline const float *
multivector_scales(const MultiVector *mv)
{
	return mv->element == KERNEL_INT8 ? mv->norms + mv->ntokens : NULL;
}

static inline void *
multivector_elements(const MultiVector *mv)
{
	return (void *) (mv->norms + (size_t) mv->ntokens * (mv->element == KERNEL_INT8 ? 2 : 1));
}

/* Detoast and check; never trust a datum's sizes. Errors with XX001 where they do not agree. */
extern MultiVector *multivector_from_datum(Datum datum);

#define PG_GETARG_MULTIVECTOR(n) multivector_from_datum(PG_GETARG_DATUM(n))

/* A new multivector with zeroed elements; errors (54000) where it would not fit in a datum. */
extern MultiVector *multivector_alloc(uint32 ntokens, uint32 dim, KernelElement element);

/* Compute the norms once the elements (and scales) stand. */
extern void multivector_set_norms(MultiVector *mv);

/* Widen tokens first .. first+n-1 to n x dim floats. */
extern void multivector_tokens(const MultiVector *mv, uint32 first, uint32 n, float *out);

/* typmod: dim in the low 16 bits, element + 1 in the next 8 (0 = any); -1 = none. */
#define MULTIVECTOR_TYPMOD_DIM(typmod) ((typmod) < 0 ? 0 : ((typmod) & 0xFFFF))

#endif							/* COLBERT_MULTIVECTOR_H */
