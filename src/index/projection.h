/*-------------------------------------------------------------------------
 *
 * projection.h
 *	  Tokens with more dimensions than a page holds, projected to fewer.
 *
 * Everything approximate in an index (nodes, sketches, code rows) works on
 * the projected tokens; the exact score is of the stored column. A projection
 * keeps inner products on average: for unit vectors, those of 4,096 dims
 * projected to 2,048 have a standard deviation of about .016.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_PROJECTION_H
#define COLBERT_PROJECTION_H

#include "codec/rotation.h"
#include "compat/pg_compat.h"

/* Projected tokens have at most this many dimensions. */
#define PROJECTION_MAX_DIM 2048

/* and a multiple of this many */
#define PROJECTION_DIM_STEP 128

typedef struct Projection
{
	uint32    dim; /* dimensions of a projected token */
	float     scale;
	Rotation *rotation; /* of the dimensions of a column's token */
	float    *token;    /* scratch: a token of the column */
	float    *rotated;  /* scratch: rotation->padded floats */
} Projection;

/* Allocate a projection in the current memory context. The same arguments give the same one. */
extern Projection *projection_create(uint32 column_dim, uint32 dim, uint64 seed);

/* Project projection->token to dim floats. Overwrites the scratch. */
extern void projection_apply(const Projection *projection, float *out);

#endif /* COLBERT_PROJECTION_H */
