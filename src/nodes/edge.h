/*-------------------------------------------------------------------------
 *
 * edge.h
 *	  Sketches of the way from one vector to another, 16 to a block.
 *
 * An edge from c to x keeps a sketch of x - c, not of x: near the query,
 * where it matters, both x - c and q - c are short, and the error of the
 * estimate is proportional to their product. With d = x - c, f its factor
 * and S its signs (RaBitQ),
 *
 *		<q - c, d>  ~  f * (S . Rq) - f * (S . Rc)
 *		<q, x> - |x|^2/2  =  (<q, c> - |c|^2/2) + <q - c, d> - |d|^2/2
 *
 * so that the query is rotated once a search, and everything else that
 * depends on c and x alone is one addend kept with the edge. |x|^2/2 stands
 * beside it and turns the estimate into one of <q, x>.
 *
 * The graph keeps edges from a vertex to its neighbours, the lists from a
 * parent to its children.
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

/* One edge, encoded. */
typedef struct Edge
{
	uint32 vertex; /* for its owner to use */
	float  add;
	uint16 factor;
	uint8 *signs; /* padded / 8 bytes */
} Edge;

/* padded: dims of rotated vectors, a multiple of 32. */
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

/* Encode the edge between two rotated vectors; sets all but vertex. */
extern void edge_encode(const float *from, const float *to, uint32 padded, Edge *edge);

/* Write an edge into a lane (0 .. 15) of a block; copy a lane to another. */
extern void edge_block_put(EdgeBlock *block, uint32 padded, uint32 lane, const Edge *edge);
extern void edge_block_move(EdgeBlock *from, uint32 lane, EdgeBlock *to, uint32 to_lane,
							uint32 padded);

/*
 * Estimates of the keys of all lanes for one query token. query: packed
 * without addends from the rotated tokens, with constants of 0; base: the
 * key <q, c> - |c|^2/2 of where the edges come from. Returns whether any is
 * above least.
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
