/*-------------------------------------------------------------------------
 *
 * graph_edges.c
 *	  Neighbour lists: encoding of edges, and estimates of all of a list.
 *
 * A lane of a sketch block is a column: one byte in each of its rows, and one
 * of the factors behind them (see kernels.h).
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "index/graph_internal.h"

static size_t
edge_block_size(uint32 padded)
{
	return offsetof(EdgeBlock, sketch) + kernel_sketch_block_size(padded, false);
}

size_t
edges_list_size(uint32 padded, uint32 lanes)
{
	return offsetof(NeighbourList, vertices) + lanes * sizeof(uint32) +
		lanes / EDGE_LANES * edge_block_size(padded);
}

static EdgeBlock *
edge_block(EdgeList edges, uint32 block)
{
	return (EdgeBlock *) ((char *) (edges.list->vertices + edges.lanes) + block * edge_block_size(edges.padded));
}

/* The signs of eight dims as a byte, the first dim lowest; 1 is positive. */
static inline uint8
sign_byte(const float *d)
{
	unsigned	bits = 0;

	for (int j = 0; j < 8; j++)
		bits |= (unsigned) (d[j] >= 0) << j;
	return (uint8) bits;
}

/* Sums run in eight strands, as fast as the compiler likes and the same everywhere. */
void
edge_encode(const float *from, const float *to, uint32 padded, Edge *edge)
{
	float		absolute[8] = {0};
	float		squared[8] = {0};
	float		centre[8] = {0};
	float		factor;

	for (uint32 i = 0; i < padded; i += 8)
	{
		float		d[8];

		for (int j = 0; j < 8; j++)
			d[j] = to[i + j] - from[i + j];
		for (int j = 0; j < 8; j++)
		{
			absolute[j] += fabsf(d[j]);
			squared[j] += d[j] * d[j];
			centre[j] += copysignf(1.0f, d[j]) * from[i + j];
		}
		edge->signs[i / 8] = sign_byte(d);
	}
	for (int j = 1; j < 8; j++)
	{
		absolute[0] += absolute[j];
		squared[0] += squared[j];
		centre[0] += centre[j];
	}

	factor = absolute[0] > 0 ? squared[0] / absolute[0] : 0;
	edge->factor = kernel_float_to_half(Min(factor, LARGEST_HALF));
	edge->add = -kernel_half_to_float(edge->factor) * centre[0] - 0.5f * squared[0];
}

void
edge_put(EdgeList edges, uint32 lane, const Edge *edge)
{
	EdgeBlock  *block = edge_block(edges, lane / EDGE_LANES);
	uint32		column = lane % EDGE_LANES;
	uint16	   *factors = (uint16 *) (block->sketch + edges.padded / 8 * EDGE_LANES);

	edges.list->vertices[lane] = edge->vertex;
	block->add[column] = edge->add;
	for (uint32 p = 0; p < edges.padded / 8; p++)
		block->sketch[p * EDGE_LANES + column] = edge->signs[p];
	factors[column] = edge->factor;
}

void
edge_move(EdgeList edges, uint32 from, uint32 to)
{
	EdgeBlock  *source = edge_block(edges, from / EDGE_LANES);
	EdgeBlock  *target = edge_block(edges, to / EDGE_LANES);
	uint32		i = from % EDGE_LANES;
	uint32		j = to % EDGE_LANES;
	size_t		factors = edges.padded / 8 * EDGE_LANES;

	edges.list->vertices[to] = edges.list->vertices[from];
	target->add[j] = source->add[i];
	for (uint32 p = 0; p < edges.padded / 8; p++)
		target->sketch[p * EDGE_LANES + j] = source->sketch[p * EDGE_LANES + i];
	((uint16 *) (target->sketch + factors))[j] = ((uint16 *) (source->sketch + factors))[i];
}

uint32
edges_estimate(EdgeList edges, const KernelSketchQuery *query, float base,
			   uint32 *vertices, float *estimates)
{
	uint32		count = edges.list->count;

	memcpy(vertices, edges.list->vertices, count * sizeof(uint32));
	for (uint32 lane = 0; lane < count; lane += EDGE_LANES)
	{
		EdgeBlock  *block = edge_block(edges, lane / EDGE_LANES);
		float	   *out = estimates + lane;

		kernels->sketch_scores(query, 0, block->sketch, out);
		for (int i = 0; i < EDGE_LANES; i++)
			out[i] += block->add[i] + base;
	}
	return count;
}
