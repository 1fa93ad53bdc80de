/*-------------------------------------------------------------------------
 *
 * graph_internal.h
 *	  What the files of the graph share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_GRAPH_INTERNAL_H
#define COLBERT_GRAPH_INTERNAL_H

#include "nodes/edge.h"
#include "nodes/graph.h"
#include "nodes/graph_select.h"
#include "nodes/pg_list.h"
#include "utils/palloc.h"

/* Levels above the lowest: m >= 2 keeps the chance of more than that below 2^-16 a node. */
#define GRAPH_MAX_LEVEL 16

/* ---- neighbour lists on pages (graph_edges.c) ---- */

/* A neighbour list, on a page or in memory. */
typedef struct EdgeList
{
	NeighbourList *list;
	uint32         lanes;
	uint32         padded;
} EdgeList;

/* Most neighbours on a level, and the lanes that hold them. */
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

/* Write an edge into a lane of a list, or move it there. */
extern void edge_put(EdgeList edges, uint32 lane, const Edge *edge);
extern void edge_move(EdgeList edges, uint32 from, uint32 to);

/*
 * Estimate the keys of all neighbours of a list. base is the key
 * <q, c> - |c|^2/2 of the list's own vertex. Returns their count; vertices
 * and estimates have room for all lanes. Never allocates or errors.
 */
extern uint32 edges_estimate(EdgeList edges, const KernelSketchQuery *query, float base,
							 uint32 *vertices, float *estimates);

/* ---- the walk (graph_search.c) ---- */

/* A vertex that a walk has seen from others. */
typedef struct Sighting
{
	uint32 vertex;    /* INVALID_ORDINAL: an empty slot */
	uint32 estimates; /* how many mean is of, or VERTEX_EXPANDED */
	float  mean;
	float  queued; /* the mean that it was last queued by */
} Sighting;

#define VERTEX_EXPANDED ((uint32) 0)

/* Open addressing. */
typedef struct SightingTable
{
	Sighting *slots;
	uint32    nslots; /* a power of two */
	uint32    count;
} SightingTable;

typedef struct GraphWriter GraphWriter;

struct Graph
{
	ColbertIndex   *index;
	MetaPageData   *meta;
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

	/* The walk, over vertices of one level: the frontier by estimate, the results by exact key. */
	BestHits      frontier;
	BestHits      results;
	BestHits      found; /* on the lowest level, by key for reach */
	float         reach;
	SightingTable sightings;
	uint64        hops;
	float        *vector; /* width floats: the vertex being looked at */
	uint32       *lane_vertices;
	float        *lane_estimates;

	bool         counts_at_close; /* the meta page counts new nodes when the graph is closed */
	GraphWriter *writer;          /* NULL until the first insert */
};

/* Bytes of a VertexEntry with its vector. */
extern size_t graph_vector_size(uint32 dim);

/* The array that holds the vertices of a level. */
static inline ArrayKind
graph_array(uint32 level)
{
	return level == 0 ? ARRAY_NEIGHBOURS : ARRAY_UPPER;
}

/* A vertex, on a page or in memory. */
typedef struct Vertex
{
	uint32       node;
	VertexEntry *entry;
	EdgeList     edges;
} Vertex;

/* The parts of the item at data. */
extern Vertex graph_vertex_parts(const Graph *graph, char *data, uint32 vertex, uint32 level);

/* The vertex that stands at data (of parray_read, parray_lock or parray_change), checked. */
extern Vertex graph_vertex(Graph *graph, char *data, uint32 vertex, uint32 level);

/* Report a page that cannot be right. */
compat_noreturn extern void graph_corrupted(Graph *graph, uint32 vertex, uint32 level);

/* Set the query of the walks that follow (dim floats). */
extern void graph_set_query(Graph *graph, const float *vector);

/* Put the entry point into the results, on its level; false where the graph is empty. */
extern bool graph_start(Graph *graph);

/*
 * Walk one level from the vertices in graph->results to the ef nearest, which
 * replace them.
 */
extern void graph_walk(Graph *graph, uint32 level, uint32 ef);

/* Turn the vertices of a level in graph->results into the same nodes' on the level below. */
extern void graph_descend(Graph *graph, uint32 level);

#endif /* COLBERT_GRAPH_INTERNAL_H */
