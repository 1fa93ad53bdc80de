/*-------------------------------------------------------------------------
 *
 * edge.c
 *	  Encoding edges, and placing them in blocks.
 *
 * A lane of a sketch block is a column: one byte in each of its rows, and one
 * of the factors behind them (see kernels.h).
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "codec/sketch.h"
#include "nodes/edge.h"

/* Eight partial sums, as fast as the compiler likes and the same everywhere. */
void
edge_encode(const float *from, const float *to, uint32 padded, Edge *edge)
{
	float absolute[8] = {0};
	float squared[8] = {0};
	float centre[8] = {0};
	float factor;

	for (uint32 i = 0; i < padded; i += 8)
	{
		float d[8];

		for (int j = 0; j < 8; j++)
			d[j] = to[i + j] - from[i + j];
		for (int j = 0; j < 8; j++)
		{
			absolute[j] += fabsf(d[j]);
			squared[j] += d[j] * d[j];
			centre[j] += copysignf(1.0f, d[j]) * from[i + j];
		}
		edge->signs[i / 8] = sketch_sign_byte(d);
	}
	for (int j = 1; j < 8; j++)
	{
		absolute[0] += absolute[j];
		squared[0] += squared[j];
		centre[0] += centre[j];
	}

	factor = absolute[0] > 0 ? squared[0] / absolute[0] : 0;
	edge->factor = kernel_float_to_half(Min(factor, MAX_HALF));
	edge->add = -kernel_half_to_float(edge->factor) * centre[0] - 0.5f * squared[0];
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
