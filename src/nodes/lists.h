/*-------------------------------------------------------------------------
 *
 * lists.h
 *	  Inverted lists: nodes under two levels of trained centroids.
 *
 * Centroids stand in the order of their parents, so that the children of a
 * parent are a run of rows. Centroid n is node n. Both levels are kept as sq8
 * rows with an addend (codec/sq8.c, as for L2): an eighth of the error that
 * tells one node from the next, at a quarter of the bytes and of the work.
 * Each parent also has a run of blocks of edges to its children (edge.h), by
 * which a search looks at all of them; the rows decide among the best of
 * these. So it reads 22 bytes a child, of the parents that a token is near to.
 *
 * Written once, by the build or by the first merge that trains; the meta
 * page counts the nodes last, so that until then there are none.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_LISTS_H
#define COLBERT_LISTS_H

#include "codec/codec.h"
#include "kernels/kernels.h"
#include "nodes/edge.h"
#include "nodes/finder.h"
#include "nodes/top_hits.h"

/* Tokens that are searched for together: four groups of the kernel. */
#define LISTS_CHUNK 64

/* A token comes to a parent, whose key is base. */
typedef struct ListVisit
{
	uint32 parent;
	uint32 token;
	float  base;
} ListVisit;

typedef struct Lists
{
	ColbertIndex   *index;
	MetaPageData   *meta;
	MemoryContext   context;
	const Rotation *rotation;
	uint32          dim;
	size_t          row_size;

	/* A chunk of tokens. */
	float             *reached; /* of a query, at the length of its reach */
	void              *packed;
	KernelSq8Query    *query; /* for rows */
	float             *rotated;
	void              *edges_packed;
	KernelSketchQuery *edges_query;
	uint32             ntokens;
	uint32             slots;                /* of the row kernel: ntokens rounded up */
	float             *keys;                 /* rows of a page x slots */
	float             *worst;                /* by slot: the key that a row must beat */
	TopHits            best[LISTS_CHUNK];    /* by token: parents, then nodes, by their rows */
	TopHits            guesses[LISTS_CHUNK]; /* by token: nodes, by their edges */
	uint64             looked_at;            /* parents */
} Lists;

/* lists_check.c: Finder.check of the lists. */
extern void lists_check(ColbertIndex *index, MetaPageData *meta, const SketchParams *params,
						Findings *findings, bool encodings);

/* Bytes of a row; the parents and the centroids have the same. */
extern size_t lists_row_size(uint32 dim);

/* lists_store.c: Finder.store of the lists. */
extern void lists_store(void *state, const KmeansResult *trained, uint32 *node_of);

/*
 * lists_store.c: the edges from a parent to its children, from the rows of
 * both, into edge_blocks_for(count) blocks.
 */
extern void lists_encode_edges(const Lists *lists, const uint8 *parent, const uint8 *children,
							   uint32 count, char *blocks);

/* How rows are encoded. */
static inline Coder
lists_coder(const Lists *lists)
{
	return (Coder) {&codec_sq8, {.dim = lists->dim, .has_add = true}};
}

/* Report a page that cannot be right. */
compat_noreturn extern void lists_corrupted(const Lists *lists, uint32 parent);

/*
 * The nearest nodes of a chunk of tokens into lists->best, the best first, at
 * most so many of each, among the children of each token's best parents.
 */
extern void lists_search(Lists *lists, const float *tokens, uint32 ntokens, uint32 nodes,
						 uint32 parents);

/* The best parents of a chunk of tokens into lists->best, in no order. */
extern void lists_search_parents(Lists *lists, const float *tokens, uint32 ntokens, uint32 parents);

/* The children of a parent, checked. */
extern ListSpan lists_read_span(const Lists *lists, uint32 parent);

/*
 * lists_assign.c: the nearest node of each of many tokens, for 32 bytes and a
 * code row a token; and whether they are so many that it is worth reading all
 * children of their parents.
 */
extern void lists_assign_many(Lists *lists, const float *tokens, uint32 ntokens, NodeHit *nearest);
extern bool lists_assign_pays(const Lists *lists, uint32 ntokens);

#endif /* COLBERT_LISTS_H */
