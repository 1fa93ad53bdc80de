/*-------------------------------------------------------------------------
 *
 * projection.c
 *	  Project tokens that have more dimensions than fit on a page.
 *
 * The projection consists of the first coordinates of a random rotation,
 * scaled to preserve expected inner products: a subsampled randomized Hadamard
 * transform (Ailon and Chazelle 2009, "The fast Johnson-Lindenstrauss
 * transform and approximate nearest neighbors").
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "index/projection.h"

/* Makes the projection's rotation differ from the sketches' rotation. */
#define PROJECTION_SEED UINT64CONST(0x70726f6a656374)

Projection *
projection_create(uint32 column_dim, uint32 dim, uint64 seed)
{
	Projection *projection = palloc(sizeof(Projection));

	projection->dim = dim;
	projection->rotation = palloc(rotation_size(column_dim));
	rotation_init(projection->rotation, column_dim, seed ^ PROJECTION_SEED);
	projection->scale = sqrtf((float) projection->rotation->padded / dim);
	projection->token = palloc(mul_size(column_dim, sizeof(float)));
	projection->rotated = palloc(mul_size(projection->rotation->padded, sizeof(float)));
	return projection;
}

void
projection_apply(const Projection *projection, float *out)
{
	rotation_apply(projection->rotation, projection->token, projection->rotated);
	for (uint32 k = 0; k < projection->dim; k++)
		out[k] = projection->rotated[k] * projection->scale;
}
