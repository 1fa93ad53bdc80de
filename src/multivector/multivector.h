/*-------------------------------------------------------------------------
 *
 * multivector.h
 *	  The multivector type: a set of token embeddings in one datum.
 *
 * Layout of a detoasted datum: little endian, no padding, and 4-byte aligned
 * up to the elements.
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
 * Invariants: every element is finite. No token is longer than
 * MULTIVECTOR_MAX_NORM, so that no score of two multivectors overflows. Norms
 * are computed by multivector_set_norms() and never read from a client. The
 * sizes of a datum are checked before anything reads past its end.
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

/* Keeps squares and products of norms far below the largest float4, 3.4e38. */
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

/*
 * Detoast and check a datum, whose sizes are never trusted. Errors out (XX001)
 * if its size and its header disagree.
 */
extern MultiVector *multivector_from_datum(Datum datum);

#define PG_GETARG_MULTIVECTOR(n) multivector_from_datum(PG_GETARG_DATUM(n))

/*
 * Return a new multivector with zeroed elements. Errors out (54000) if it
 * would not fit in a datum.
 */
extern MultiVector *multivector_alloc(uint32 ntokens, uint32 dim, KernelElement element);

/*
 * Compute the norms once the elements (and scales) are in place. Errors out
 * (22003) if a token is not finite or is too long.
 */
extern void multivector_set_norms(MultiVector *mv);

/* Widen tokens first .. first+n-1 to n x dim floats. */
extern void multivector_tokens(const MultiVector *mv, uint32 first, uint32 n, float *out);

/*
 * Store n x dim floats as tokens first .. first+n-1, in the multivector's
 * element format. Errors out (22003) if the format cannot hold them.
 */
extern void multivector_store_tokens(MultiVector *mv, uint32 first, uint32 n, const float *tokens);

/* Return a new multivector of ntokens x dim floats, with its norms. */
extern MultiVector *multivector_from_floats(const float *tokens, uint32 ntokens, uint32 dim,
											KernelElement element);

/* Convert to another element format. Returns mv itself if it already has that format. */
extern MultiVector *multivector_convert(MultiVector *mv, KernelElement element);

/*
 * Drop repeated tokens, keeping the first of each, and zero tokens unless
 * keep_zeros is true. If all tokens are zero, the first one stays. Returns mv
 * itself if nothing is dropped.
 */
extern const MultiVector *multivector_distinct(const MultiVector *mv, bool keep_zeros);

/* Read tokens, dim and element of a datum. Of a toasted datum, only the header is detoasted. */
extern void multivector_peek(Datum datum, MultiVector *header);

/* errmsg for a wrong number of dims ("expected 128 dimensions, not 96"), and the error (22000). */
#define MULTIVECTOR_DIM_MESSAGE(expected, actual) \
	errmsg("expected %u dimension%s, not %u", expected, (expected) == 1 ? "" : "s", actual)
compat_noreturn extern void multivector_dim_error(uint32 expected, uint32 actual);

/*
 * Convert between elements and their names: "float4", "float2", "int8". Errors
 * out (22023) for an unknown name.
 */
extern const char   *multivector_element_name(KernelElement element);
extern KernelElement multivector_element_from_name(const char *name);

/* Enforce a typmod: check the dims and convert the element format. -1 accepts everything. */
extern MultiVector *multivector_apply_typmod(MultiVector *mv, int32 typmod);

/*
 * A typmod has the dim in its low 16 bits and element + 1 in the next 8 (0 =
 * any element); -1 = none.
 */
#define MULTIVECTOR_TYPMOD_DIM(typmod)     ((typmod) < 0 ? 0 : ((typmod) & 0xFFFF))
#define MULTIVECTOR_TYPMOD_ELEMENT(typmod) ((typmod) < 0 ? 0 : ((typmod) >> 16 & 0xFF))
#define MULTIVECTOR_TYPMOD(dim, element)   ((int32) ((dim) | ((element) + 1) << 16))

#endif /* COLBERT_MULTIVECTOR_H */
