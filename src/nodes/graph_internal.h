/*-------------------------------------------------------------------------
 *
 * graph_internal.h
 *	  Declarations shared by the graph's files.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_GRAPH_INTERNAL_H
#define COLBERT_GRAPH_INTERNAL_H

#include "nodes/edge.h"
#include "nodes/finder.h"
#include "nodes/graph.h"
#include "nodes/graph_select.h"
#include "nodes/pg_list.h"
#include "utils/palloc.h"

/* Maximum level. With m >= 2, the probability that a node draws a higher one is below 2^-16. */
#define GRAPH_MAX_LEVEL 16

/* ---- neighbour lists on pages (graph_edges.c) ---- */

/* Neighbour list, on a page or in memory. */
typedef struct EdgeList
{
	NeighbourList *list;
	uint32         lanes;
	uint32         padded;
} EdgeList;

/* Return the maximum neighbours on a level, or the number of lanes that hold them. */
static inline uint32
edges_limit(uint32 m, uint32 level)
{
	return level == 0 ? 2 * m : m;
}

static inline uint32
edges_lanes(uint32 m, uint32 level)
{
	return (edges_limit(m, level) + EDGE_LANES - 1) / EDGE_LANES * EDGE_LANES;
}

extern size_t edges_list_size(uint32 padded, uint32 lanes);

/* Write an edge into a lane of a list, or copy one lane to another. */
extern void edge_put(EdgeList edges, uint32 lane, const Edge *edge);
extern void edge_move(EdgeList edges, uint32 from, uint32 to);

/*
 * Estimate the keys of all neighbours of a list. Returns their number.
 * vertices and estimates need room for all lanes.
 *
 * base: the key <q, c> - |c|^2/2 of the list's own vertex. Neither allocates
 * nor raises an error: safe under a buffer lock.
 */
extern uint32 edges_estimate(EdgeList edges, const KernelSketchQuery *query, uint32 token,
							 float base, uint32 *vertices, float *estimates);

/* ---- the walk (graph_search.c) ---- */

/* Estimates of a vertex that is named by the vertices expanded so far. */
typedef struct Sighting
{
	uint32 estimates; /* number of estimates averaged in mean, or VERTEX_EXPANDED */
	/* mean estimate of its key */
	float mean;
	float queued; /* mean when it was last queued */
} Sighting;

#define VERTEX_EXPANDED ((uint32) 0)

/*
 * Hash table with open addressing, keyed by vertex. Only the keys are cleared
 * for the next walk.
 */
typedef struct SightingTable
{
	uint32   *vertices; /* of the slots; INVALID_ORDINAL: empty */
	Sighting *slots;    /* in the same chunk of memory, which begins with vertices */
	uint32    nslots;   /* power of two */
	uint32    count;
} SightingTable;

/* Vertex that a walk has expanded on the lowest level. */
typedef struct ExpandedVertex
{
	uint32 vertex;
	float  key;
	float  found_key; /* for reach */
} ExpandedVertex;

/*
 * Walk over the vertices of one level. frontier is ordered by mean estimate,
 * results by exact key.
 */
typedef struct GraphWalk
{
	BestHits        frontier;
	BestHits        results;
	BestHits        found; /* on the lowest level, by key for reach */
	SightingTable   sightings;
	ExpandedVertex *expanded; /* on the lowest level, if graph->keeps_walks */
	uint32          nexpanded;
	uint32          capacity;
} GraphWalk;

/* Maximum number of tokens whose walks are kept. Those of further tokens begin anew. */
#define MAX_KEPT_WALKS 64

typedef struct GraphWriter GraphWriter;

/* The nodes nearest to a vector that may be added next (graph_near.c). */
typedef struct NearNodes
{
	float   *vector; /* dim floats */
	NodeHit *hits;   /* best first; room for ef_construction of them */
	uint32   count;
	uint32   nnodes; /* nodes of the graph then; 0: none were looked for */
} NearNodes;

struct Graph
{
	Finder          finder; /* must be first */
	ColbertIndex   *index;
	const Rotation *rotation;
	MemoryContext   context;
	uint32          dim;
	uint32          width;  /* graph_width(dim) */
	uint32          padded; /* rotation->padded */
	uint32          m;

	/* The query. */
	float             *query;   /* width floats */
	float             *rotated; /* padded floats */
	void              *sketch_memory;
	KernelSketchQuery *sketch;
	uint32             sketch_token; /* the query's number in sketch */

	/* The tokens of a search as a query for edges, if it has one; shared_token is the next. */
	KernelSketchQuery *shared;
	uint32             shared_token;

	GraphWalk  walk;
	float      reach;
	uint64     hops;
	float     *vector; /* width floats: vector of the vertex being read */
	uint32    *lane_vertices;
	float     *lane_estimates;
	GraphWalk *kept; /* MAX_KEPT_WALKS walks of a search's tokens; NULL: no search yet */
	bool       keeps_walks;

	struct GraphGroups *groups; /* the nodes in memory (graph_groups.h); NULL: not read */

	NearNodes near;

	bool         counts_at_close; /* the meta page counts new nodes only at graph_close */
	GraphWriter *writer;          /* NULL until the first insert */
};

/* Return the bytes of a VertexEntry with its vector. */
extern size_t graph_vector_size(uint32 dim);

/* Return the array that holds the vertices of a level. */
static inline ArrayKind
graph_array(uint32 level)
{
	return level == 0 ? ARRAY_NEIGHBOURS : ARRAY_UPPER;
}

/* Parts of a vertex, on a page or in memory. */
typedef struct Vertex
{
	uint32       node;
	VertexEntry *entry;
	EdgeList     edges;
} Vertex;

/* Locate the parts of the vertex at data, without checks. */
extern Vertex graph_vertex_parts(const Graph *graph, char *data, uint32 vertex, uint32 level);

/*
 * Locate the parts of the vertex at data (from parray_read, parray_lock or
 * parray_change). Raises ERRCODE_INDEX_CORRUPTED if its level or its count is
 * wrong or data is NULL.
 */
extern Vertex graph_vertex(Graph *graph, char *data, uint32 vertex, uint32 level);

/* Raise ERRCODE_INDEX_CORRUPTED for a vertex. */
compat_noreturn extern void graph_corrupted(Graph *graph, uint32 vertex, uint32 level);

/* Set the query of subsequent walks (dim floats). */
extern void graph_set_query(Graph *graph, const float *vector);

/* Return the nodes near a vector if graph_near looked for them last; else NULL. */
extern const NearNodes *graph_known_near(const Graph *graph, const float *vector);

/* Make the entry point, on its level, the only result. Returns false if the graph is empty. */
extern bool graph_start(Graph *graph);

/*
 * Walk one level from the vertices in graph->results. The ef nearest vertices
 * found replace them.
 */
extern void graph_walk(Graph *graph, uint32 level, uint32 ef);

/* Replace the vertices in graph->results by those of the same nodes on the level below. */
extern void graph_descend(Graph *graph, uint32 level);

#endif /* COLBERT_GRAPH_INTERNAL_H */
