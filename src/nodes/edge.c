/*-------------------------------------------------------------------------
 *
 * edge.c
 *	  Encode edges and place them in blocks.
 *
 * A lane of a sketch block is a column: one byte in each row of sign bytes,
 * and one of the factors that follow (see kernels.h).
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "base/vec.h"
#include "codec/sketch.h"
#include "nodes/edge.h"

void
edge_encode(const float *from, const float *to, uint32 padded, Edge *edge)
{
	VecParts absolute = VEC_ZERO;
	VecParts squared = VEC_ZERO;
	VecParts centre = VEC_ZERO;
	float    square;
	float    factor;

	for (uint32 i = 0; i < padded; i += VEC_PARTS)
	{
		VecParts origin = vec_load(from + i);
		VecParts step = vec_minus(vec_load(to + i), origin);
		float    dims[VEC_PARTS];

		absolute = vec_plus(absolute, vec_flip(step, step));
		squared = vec_add_products(squared, step, step);
		centre = vec_plus(centre, vec_flip(origin, step));
		vec_store(dims, step);
		edge->signs[i / 8] = sketch_sign_byte(dims);
		edge->signs[i / 8 + 1] = sketch_sign_byte(dims + 8);
	}
	square = vec_total(squared);
	factor = square > 0 ? square / vec_total(absolute) : 0;
	edge->factor = kernel_float_to_half(Min(factor, MAX_HALF));
	edge->add = -kernel_half_to_float(edge->factor) * vec_total(centre) - 0.5f * square;
}

static inline uint16 *
block_factors(EdgeBlock *block, uint32 padded)
{
	return (uint16 *) (block->sketch + padded / 8 * EDGE_LANES);
}

void
edge_block_put(EdgeBlock *block, uint32 padded, uint32 lane, const Edge *edge)
{
	block->add[lane] = edge->add;
	for (uint32 p = 0; p < padded / 8; p++)
		block->sketch[p * EDGE_LANES + lane] = edge->signs[p];
	block_factors(block, padded)[lane] = edge->factor;
}

void
edge_block_move(EdgeBlock *from, uint32 lane, EdgeBlock *to, uint32 to_lane, uint32 padded)
{
	to->add[to_lane] = from->add[lane];
	for (uint32 p = 0; p < padded / 8; p++)
		to->sketch[p * EDGE_LANES + to_lane] = from->sketch[p * EDGE_LANES + lane];
	block_factors(to, padded)[to_lane] = block_factors(from, padded)[lane];
}
