/*-------------------------------------------------------------------------
 *
 * lists.h
 *	  Inverted lists: nodes under two levels of trained centroids.
 *
 * Centroids are stored in the order of their parents, so the children of a
 * parent are a run of rows. Centroid n is node n. Both levels are stored as
 * sq8 rows with an addend (codec/sq8.c, as for L2): the error is an eighth of
 * the key difference between neighbouring nodes, at a quarter of the bytes and
 * of the computation of floats.
 *
 * Each parent also has a run of blocks with the edges to its children
 * (edge.h). A search estimates all children of a parent by their edges and
 * scores the rows of the best ones. It thus reads 22 bytes per child, for the
 * parents near the token.
 *
 * The lists are written by the build or by the first merge. The meta page
 * counts the nodes last; until then there are none. When an index has outgrown
 * its lists, VACUUM trains a new generation behind them and fills it
 * (index/relist.c); MetaLists says which parents and nodes searches use. Former
 * generations keep their items, with empty lists.
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

/* Tokens searched together: four groups of the row kernel. */
#define LISTS_CHUNK 64

/* Visit of a token to a parent. base: the parent's key for the token. */
typedef struct ListVisit
{
	uint32 parent;
	uint32 token;
	float  base;
} ListVisit;

/* The effort of a search for nodes, per token. */
typedef struct ListsWidth
{
	uint32 parents; /* whose children are estimated */
	uint32 rows;    /* scored: those with the best estimates */
	uint32 nodes;   /* to find */
} ListsWidth;

/* Open inverted lists, with the state of a search. */
typedef struct Lists
{
	Finder          finder; /* must be first */
	ColbertIndex   *index;
	MemoryContext   context;
	const Rotation *rotation;
	uint32          dim;
	size_t          row_size; /* of parents and of centroids */
	bool            next;     /* the generation that is being filled */

	/* The current chunk of tokens. */
	float             *reached; /* query tokens multiplied by their reach */
	void              *packed;
	KernelSq8Query    *query; /* for rows */
	float             *rotated;
	void              *edges_packed;
	KernelSketchQuery *edges_query; /* NULL: not packed yet */
	uint32             ntokens;
	uint32             slots;                /* of the row kernel: ntokens rounded up */
	float             *keys;                 /* rows of a page x slots */
	float             *worst;                /* by slot: key that a row must exceed */
	TopHits            best[LISTS_CHUNK];    /* by token: parents, then nodes, by their rows */
	TopHits            guesses[LISTS_CHUNK]; /* by token: nodes, by their edges */
	uint64             looked_at;            /* parents read */
} Lists;

/* Implement finder_check for the lists (lists_check.c). */
extern void lists_check(ColbertIndex *index, const SketchParams *params, Findings *findings,
						bool encodings);

/* Implement finder_store for the lists (lists_store.c). */
extern void lists_store(Finder *finder, const KmeansResult *trained, uint32 *node_of);

/*
 * Encode the edges from a parent to its children, given the rows of both, into
 * edge_blocks_for(count) blocks (lists_store.c).
 */
extern void lists_encode_edges(const Lists *lists, const uint8 *parent, const uint8 *children,
							   uint32 count, char *blocks);

/* Return the first parent of the generation, and the number of its parents. */
static inline uint32
lists_first_parent(const Lists *lists)
{
	const MetaLists *generations = &lists->index->meta.lists;

	return lists->next ? generations->next_parent : generations->first_parent;
}

static inline uint32
lists_nparents(const Lists *lists)
{
	const MetaLists *generations = &lists->index->meta.lists;
	uint32           end = parray_nitems(lists->index, ARRAY_PARENTS);

	if (!lists->next && generations->next_node > 0)
		end = generations->next_parent;
	return end - lists_first_parent(lists);
}

/* Return the coder of the rows. */
static inline Coder
lists_coder(const Lists *lists)
{
	return (Coder) {&codec_sq8, {.dim = lists->dim, .has_add = true}};
}

/* Raise ERRCODE_INDEX_CORRUPTED for a parent. */
compat_noreturn extern void lists_corrupted(const Lists *lists, uint32 parent);

/*
 * Find the nearest nodes of a chunk of tokens, among the children of each
 * token's best parents. lists->best receives at most width->nodes hits per
 * token, best first.
 */
extern void lists_search(Lists *lists, const float *tokens, uint32 ntokens,
						 const ListsWidth *width);

/* Use the query for sketches for edges as well, if it has the tokens of the next chunk. */
extern void lists_share_edges(Lists *lists, const FindQuery *query);

/*
 * Read the span of a parent's children. Raises ERRCODE_INDEX_CORRUPTED if it
 * exceeds the centroids.
 */
extern ListSpan lists_read_span(const Lists *lists, uint32 parent);

/*
 * lists_assign_many finds the nearest node of each of many tokens, with 32
 * bytes and a code row of memory per token. lists_assign_pays returns true if
 * there are enough tokens for it to pay (lists_assign.c).
 */
extern void lists_assign_many(Lists *lists, const float *tokens, uint32 ntokens, NodeHit *nearest);
extern bool lists_assign_pays(const Lists *lists, uint32 ntokens);

#endif /* COLBERT_LISTS_H */
