/*-------------------------------------------------------------------------
 *
 * projection.h
 *	  Project tokens that have more dimensions than fit on a page.
 *
 * All approximate parts of an index (nodes, sketches, code rows) use the
 * projected tokens; the exact score uses the stored column. A projection
 * preserves inner products on average: for unit vectors of 4,096 dims
 * projected to 2,048, they have a standard deviation of about .016.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_PROJECTION_H
#define COLBERT_PROJECTION_H

#include "codec/rotation.h"
#include "compat/pg_compat.h"

/* Maximum dimensions of a projected token. */
#define PROJECTION_MAX_DIM 2048

/* The dimensions of a projected token are a multiple of this. */
#define PROJECTION_DIM_STEP 128

/* Projection from a column's dimensions to dim. */
typedef struct Projection
{
	uint32    dim; /* dimensions of a projected token */
	float     scale;
	Rotation *rotation; /* of a column's token */
	float    *token;    /* scratch: token of the column */
	float    *rotated;  /* scratch: rotation->padded floats */
} Projection;

/* Create a projection in the current memory context. Its result depends only on the arguments. */
extern Projection *projection_create(uint32 column_dim, uint32 dim, uint64 seed);

/* Project projection->token to dim floats. Overwrites the scratch memory. */
extern void projection_apply(const Projection *projection, float *out);

#endif /* COLBERT_PROJECTION_H */
