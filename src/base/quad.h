/*-------------------------------------------------------------------------
 *
 * quad.h
 *	  Vectors of four floats, which every compiler we use maps to the baseline
 *	  instruction set (SSE2, NEON) at any optimisation level.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_QUAD_H
#define COLBERT_QUAD_H

#include <stdint.h>
#include <string.h>

typedef float   Quad __attribute__((vector_size(16)));
typedef int32_t IntQuad __attribute__((vector_size(16)));

static inline Quad
quad_load(const float *p)
{
	Quad q;

	memcpy(&q, p, sizeof(q));
	return q;
}

static inline void
quad_store(float *p, Quad q)
{
	memcpy(p, &q, sizeof(q));
}

#endif /* COLBERT_QUAD_H */
