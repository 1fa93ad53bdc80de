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
 * Invariants: every element is finite, no token is longer than
 * MULTIVECTOR_MAX_NORM (so that no score of two multivectors overflows), and
 * norms are computed here and never read from a client. The sizes of a datum
 * are checked before anything reads past its end.
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

/* Squares and products of norms stay far from the largest float4, 3.4e38. */
#define MULTIVECTOR_MAX_NORM 1e18f

typedef struct MultiVector
{
	int32  vl_len_;
	uint32 ntokens;
	uint16 dim;
	uint8  element;
	uint8  version;
	float  norms[FLEXIBLE_ARRAY_MEMBER];
} MultiVector;

/* Bytes before the norms. */
#define MULTIVECTOR_HEADER offsetof(MultiVector, norms)

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

/* Compute the norms once the elements (and scales) stand; errors (22003) where a token is not finite, or too long. */
extern void multivector_set_norms(MultiVector *mv);

/* Widen tokens first .. first+n-1 to n x dim floats. */
extern void multivector_tokens(const MultiVector *mv, uint32 first, uint32 n, float *out);

/*
 * Store n x dim floats as tokens first .. first+n-1, in the multivector's
 * element format; errors (22003) where the format cannot hold them.
 */
extern void multivector_store_tokens(MultiVector *mv, uint32 first, uint32 n, const float *tokens);

/* A new multivector of ntokens x dim floats, with its norms. */
extern MultiVector *multivector_from_floats(const float *tokens, uint32 ntokens, uint32 dim,
											KernelElement element);

/* The same values in another element format; mv itself where it has that format already. */
extern MultiVector *multivector_convert(MultiVector *mv, KernelElement element);

/*
 * A multivector without all but the first of equal tokens, and without zero
 * tokens unless they are kept or the only ones; mv itself where that leaves
 * all of them.
 */
extern const MultiVector *multivector_distinct(const MultiVector *mv, bool keep_zeros);

/* Tokens, dim and element of a datum, reading no more than that of a toasted one. */
extern void multivector_peek(Datum datum, MultiVector *header);

/* errmsg for wrong dims, and the error (22000): "expected 128 dimensions, not 96". */
#define MULTIVECTOR_DIM_MESSAGE(expected, actual) \
	errmsg("expected %u dimension%s, not %u", expected, (expected) == 1 ? "" : "s", actual)
compat_noreturn extern void multivector_dim_error(uint32 expected, uint32 actual);

/* Names of elements: "float4", "float2", "int8". Parsing one errors (22023) where it is none of them. */
extern const char   *multivector_element_name(KernelElement element);
extern KernelElement multivector_element_from_name(const char *name);

/* Enforce a typmod: check the dims, convert the element format. -1 takes everything. */
extern MultiVector *multivector_apply_typmod(MultiVector *mv, int32 typmod);

/* typmod: dim in the low 16 bits, element + 1 in the next 8 (0 = any); -1 = none. */
#define MULTIVECTOR_TYPMOD_DIM(typmod)     ((typmod) < 0 ? 0 : ((typmod) & 0xFFFF))
#define MULTIVECTOR_TYPMOD_ELEMENT(typmod) ((typmod) < 0 ? 0 : ((typmod) >> 16 & 0xFF))
#define MULTIVECTOR_TYPMOD(dim, element)   ((int32) ((dim) | ((element) + 1) << 16))

#endif /* COLBERT_MULTIVECTOR_H */
