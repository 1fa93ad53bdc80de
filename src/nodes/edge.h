/*-------------------------------------------------------------------------
 *
 * edge.h
 *	  Edges: sketches of the difference of two vectors, in blocks of 16.
 *
 * An edge from c to x stores a sketch of x - c instead of x. Near the query,
 * where precision matters, both x - c and q - c are short, and the error of
 * the estimate is proportional to the product of their lengths. With d = x -
 * c, its factor f and its signs S (RaBitQ),
 *
 * 	<q - c, d>  ~  f * (S . Rq) - f * (S . Rc)
 * 	<q, x> - |x|^2/2  =  (<q, c> - |c|^2/2) + <q - c, d> - |d|^2/2
 *
 * The query is rotated once per search. All terms that depend only on c and x
 * are summed in one addend per edge.
 *
 * The graph stores edges from a vertex to its neighbours, the inverted lists
 * from a parent to its children.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_EDGE_H
#define COLBERT_EDGE_H

#include "base/quad.h"
#include "kernels/kernels.h"
#include "storage/layout.h"

#define EDGE_LANES SKETCH_BLOCK_TOKENS

StaticAssertDecl(lengthof(((EdgeBlock *) NULL)->add) == EDGE_LANES, "lanes of EdgeBlock");

/* Encoded edge. */
typedef struct Edge
{
	uint32 vertex; /* for use by the caller */
	float  add;
	uint16 factor;
	uint8 *signs; /* padded / 8 bytes */
} Edge;

/* Return the bytes of a block. padded: dims of rotated vectors, a multiple of 32. */
static inline size_t
edge_block_size(uint32 padded)
{
	return offsetof(EdgeBlock, sketch) + kernel_sketch_block_size(padded, false);
}

static inline uint32
edge_blocks_for(uint32 nedges)
{
	return nedges / EDGE_LANES + (nedges % EDGE_LANES != 0);
}

/*
 * Encode the edge between two rotated vectors. Sets all members except vertex;
 * edge->signs must be allocated.
 */
extern void edge_encode(const float *from, const float *to, uint32 padded, Edge *edge);

/* Write an edge into a lane (0 .. 15) of a block, or copy a lane to a lane of another block. */
extern void edge_block_put(EdgeBlock *block, uint32 padded, uint32 lane, const Edge *edge);
extern void edge_block_move(EdgeBlock *from, uint32 lane, EdgeBlock *to, uint32 to_lane,
							uint32 padded);

/*
 * Estimate the keys of all 16 lanes for one query token. Returns true if any
 * estimate is above least.
 *
 * query: rotated tokens packed without addends, with constants of 0. base: the
 * key <q, c> - |c|^2/2 of the vector that the edges start from.
 */
static inline bool
edge_block_estimate(const EdgeBlock *block, const KernelSketchQuery *query, uint32 token,
					float base, float least, float *estimates)
{
	IntQuad above = {0};

	kernels->sketch_scores(query, token, block->sketch, estimates);
	for (int lane = 0; lane < EDGE_LANES; lane += QUAD_FLOATS)
	{
		Quad keys = quad_load(estimates + lane) + (quad_load(block->add + lane) + base);

		quad_store(estimates + lane, keys);
		above |= keys > least;
	}
	return quad_any(above);
}

#endif /* COLBERT_EDGE_H */
