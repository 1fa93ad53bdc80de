/*-------------------------------------------------------------------------
 *
 * graph_insert.c
 *	  Add a node to the graph (Malkov and Yashunin 2018, algorithm 1).
 *
 * Every node but the first has a parent, which lane 0 of its neighbour list on
 * the lowest level names: the nearest neighbour that has fewer children than it
 * may. A parent's list keeps its children and its own parent, so these edges
 * form a tree, in both directions, and every node can be reached from every
 * other on the lowest level. Without this rule, 8 of the 16,897 nodes of
 * MedQuAD could not be reached, and 14 of 13,539 nodes of which 4,846 were
 * added by inserts.
 *
 * Order of writes: the node with its own neighbour lists, then in one change
 * the meta page that counts it and the edge from its parent, then the other
 * edges back to it, one list per change. Before the meta page counts the node
 * nothing refers to it, and the next insertion overwrites its items. A crash
 * while back edges are written leaves a node that fewer paths lead to.
 *
 * There is one writer, so no page changes between its reads and its writes.
 * The writer caches vectors, which never change.
 *
 * Except while the arrays are extended, and for the change that counts the
 * node, at most one page is locked at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "base/splitmix.h"
#include "miscadmin.h"
#include "nodes/graph_internal.h"
#include "storage/pace.h"
#include "utils/memutils.h"

/*
 * Cached vectors may take 1 / CACHE_SHARE of maintenance_work_mem. MIN_CACHED
 * vectors are allowed in any case.
 */
#define CACHE_SHARE 4
#define MIN_CACHED  1024

/* Cached node vectors (VertexEntry): the vector of node n is in slot n mod nslots. */
typedef struct VectorCache
{
	uint32 *owner;   /* by slot: node; INVALID_ORDINAL: empty */
	uint32 *parents; /* by slot: parent of the node, INVALID_ORDINAL for none */
	char   *entries;
	size_t  entry_size;
	uint32  nslots;  /* power of two */
	uint32  largest; /* maximum of nslots */
} VectorCache;

/* Edges of the new node on one level, in both directions. */
typedef struct LevelLinks
{
	uint32 count;
	Edge  *forward;
	Edge  *back;
} LevelLinks;

/* State of graph_insert. */
struct GraphWriter
{
	VectorCache cache;

	/* The new node. */
	uint32       node;
	uint32       level;
	uint32       upper; /* its first UpperEntry */
	VertexEntry *entry;
	float       *vector; /* as stored: rounded to binary16 */
	float       *rotated;
	LevelLinks   links[GRAPH_MAX_LEVEL + 1];

	/* Scratch memory for selecting neighbours. */
	float          *pool; /* rows of vectors */
	uint32         *pool_vertices;
	GraphCandidate *candidates;
	uint32         *chosen;
	bool           *kept;
	float          *other_rotated;
	char           *item; /* vertex to be written */
};

/* ---- cached vectors ---- */

static void
cache_allocate(Graph *graph, VectorCache *cache, uint32 nslots)
{
	cache->owner = MemoryContextAllocHuge(graph->context, mul_size(nslots, sizeof(uint32)));
	cache->parents = MemoryContextAllocHuge(graph->context, mul_size(nslots, sizeof(uint32)));
	cache->entries = MemoryContextAllocHuge(graph->context, mul_size(nslots, cache->entry_size));
	cache->nslots = nslots;
	memset(cache->owner, 0xFF, nslots * sizeof(uint32));
}

static void
cache_init(Graph *graph, VectorCache *cache)
{
	size_t budget = maintenance_memory() / CACHE_SHARE;

	cache->entry_size = graph_vector_size(graph->dim);
	cache->largest = MIN_CACHED;
	while (cache->largest < ((uint32) 1 << 30) &&
		   budget / (cache->entry_size + 2 * sizeof(uint32)) >= (size_t) cache->largest * 2)
		cache->largest *= 2;
	cache_allocate(graph, cache, MIN_CACHED);
}

static VertexEntry *
cache_entry(const VectorCache *cache, uint32 node)
{
	return (VertexEntry *) (cache->entries + (node & (cache->nslots - 1)) * cache->entry_size);
}

static void
cache_put(VectorCache *cache, uint32 node, uint32 parent, const void *entry)
{
	cache->owner[node & (cache->nslots - 1)] = node;
	cache->parents[node & (cache->nslots - 1)] = parent;
	memcpy(cache_entry(cache, node), entry, cache->entry_size);
}

/* Add slots for up to nnodes nodes, within the limit. */
static void
cache_grow(Graph *graph, VectorCache *cache, uint32 nnodes)
{
	while (cache->nslots < nnodes && cache->nslots < cache->largest)
	{
		VectorCache old = *cache;

		cache_allocate(graph, cache, old.nslots * 2);
		for (uint32 i = 0; i < old.nslots; i++)
			if (old.owner[i] != INVALID_ORDINAL)
				cache_put(cache, old.owner[i], old.parents[i], cache_entry(&old, old.owner[i]));
		pfree(old.owner);
		pfree(old.parents);
		pfree(old.entries);
	}
}

/* Return the parent that a node's neighbour list on the lowest level names. */
static uint32
parent_in(uint32 node, const NeighbourList *list)
{
	return node > 0 && list->count > 0 ? list->vertices[0] : INVALID_ORDINAL;
}

/*
 * Read the vector of a vertex into width floats; NULL: not needed. Returns the
 * parent of a node on the lowest level, INVALID_ORDINAL on the others.
 */
static uint32
read_vertex(Graph *graph, uint32 level, uint32 vertex, float *vector)
{
	VectorCache *cache = &graph->writer->cache;
	uint32       slot = vertex & (cache->nslots - 1);
	uint32       parent = INVALID_ORDINAL;
	char        *data;
	Buffer       buffer;
	Vertex       parts;

	if (level == 0 && cache->owner[slot] == vertex)
	{
		if (vector != NULL)
			kernels->half_to_float(cache_entry(cache, vertex)->vector, vector, graph->dim);
		return cache->parents[slot];
	}
	if (vertex >= parray_nitems(graph->index, graph_array(level)))
		graph_corrupted(graph, vertex, level);
	buffer = parray_read(graph->index, graph_array(level), vertex, &data);
	parts = graph_vertex(graph, data, vertex, level);
	if (level == 0)
	{
		parent = parent_in(vertex, parts.edges.list);
		cache_put(cache, vertex, parent, parts.entry);
	}
	if (vector != NULL)
		kernels->half_to_float(parts.entry->vector, vector, graph->dim);
	UnlockReleaseBuffer(buffer);
	return parent;
}

/* ---- the writer ---- */

static Edge *
allocate_edges(Graph *graph, uint32 count)
{
	Edge  *edges = palloc(count * sizeof(Edge));
	uint8 *signs = palloc(count * (graph->padded / 8));

	for (uint32 i = 0; i < count; i++)
		edges[i].signs = signs + i * (graph->padded / 8);
	return edges;
}

static GraphWriter *
writer_create(Graph *graph)
{
	MemoryContext caller = MemoryContextSwitchTo(graph->context);
	GraphWriter  *writer = palloc0(sizeof(GraphWriter));
	uint32 rows = Max(graph->index->meta.shape.ef_construction, edges_limit(graph->m, 0)) + 1;

	cache_init(graph, &writer->cache);
	writer->entry = palloc0(graph_vector_size(graph->dim));
	writer->vector = palloc0(graph->width * sizeof(float));
	writer->rotated = palloc(graph->padded * sizeof(float));
	writer->other_rotated = palloc(graph->padded * sizeof(float));
	for (uint32 level = 0; level <= GRAPH_MAX_LEVEL; level++)
	{
		uint32 limit = edges_limit(graph->m, level);

		writer->links[level].forward = allocate_edges(graph, limit);
		writer->links[level].back = allocate_edges(graph, limit);
	}

	/* half_to_float writes dim floats of a row; the padding must be zero. */
	writer->pool = MemoryContextAllocExtended(graph->context,
											  mul_size(mul_size(rows, graph->width), sizeof(float)),
											  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	writer->pool_vertices = palloc(rows * sizeof(uint32));
	writer->candidates = palloc(rows * sizeof(GraphCandidate));
	writer->chosen = palloc(rows * sizeof(uint32));
	writer->kept = palloc(rows * sizeof(bool));
	writer->item = palloc0(Max(parray_item_size(graph->index, ARRAY_NEIGHBOURS),
							   parray_item_size(graph->index, ARRAY_UPPER)));
	MemoryContextSwitchTo(caller);
	return writer;
}

void
graph_count_at_close(Graph *graph)
{
	graph->counts_at_close = true;
}

void
graph_close(Graph *graph)
{
	if (graph->index->nodes_ahead)
		meta_write_nodes(graph->index);
	MemoryContextDelete(graph->context);
}

/* Draw the level of a node. One node in m reaches each next level. */
static uint32
draw_level(const MetaPageData *meta, uint32 node)
{
	uint64 state = meta->shape.seed ^ ((uint64) node << 32 | node);
	uint64 draw = splitmix_next(&state);
	uint64 chance = PG_UINT64_MAX / Max(meta->shape.m, 2);
	uint32 level = 0;

	while (draw < chance && level < GRAPH_MAX_LEVEL)
	{
		chance /= Max(meta->shape.m, 2);
		level++;
	}
	return level;
}

/* Make room in the three arrays for a node with this many upper entries. */
static void
make_room(Graph *graph, uint32 level)
{
	const ArrayDemand demands[] = {{ARRAY_NODES, 1}, {ARRAY_NEIGHBOURS, 1}, {ARRAY_UPPER, level}};

	parray_make_room(graph->index, demands, lengthof(demands));
}

/* ---- selecting neighbours ---- */

/* Return the new node's vertex on a level. */
static uint32
own_vertex(const GraphWriter *writer, uint32 level)
{
	return level == 0 ? writer->node : writer->upper + (level - 1);
}

/* Encode the edges between the new node and a vertex in the pool, in both directions. */
static void
encode_link(Graph *graph, uint32 row, uint32 level, Edge *forward, Edge *back)
{
	GraphWriter *writer = graph->writer;

	rotation_apply(graph->rotation, writer->pool + (size_t) row * graph->width,
				   writer->other_rotated);
	edge_encode(writer->rotated, writer->other_rotated, graph->padded, forward);
	edge_encode(writer->other_rotated, writer->rotated, graph->padded, back);
	forward->vertex = writer->pool_vertices[row];
	back->vertex = own_vertex(writer, level);
}

/* Select the new node's neighbours on a level among graph->walk.results. */
static void
choose_neighbours(Graph *graph, uint32 level)
{
	GraphWriter *writer = graph->writer;
	LevelLinks  *links = &writer->links[level];
	uint32       n = graph->walk.results.count;

	for (uint32 i = 0; i < n; i++)
	{
		float *row = writer->pool + (size_t) i * graph->width;

		writer->pool_vertices[i] = graph->walk.results.hits[i].node;
		read_vertex(graph, level, writer->pool_vertices[i], row);
		writer->candidates[i] =
			(GraphCandidate) {i, graph_distance(writer->vector, row, graph->width), false};
	}
	graph_sort_candidates(writer->candidates, n);
	links->count = graph_select_neighbours(writer->pool, graph->width, writer->candidates, n,
										   edges_limit(graph->m, level), writer->chosen);
	for (uint32 i = 0; i < links->count; i++)
		encode_link(graph, writer->candidates[writer->chosen[i]].row, level, &links->forward[i],
					&links->back[i]);
}

/* ---- the tree ---- */

/* Copy the neighbours of a vertex to graph->lane_vertices. Returns their number. */
static uint32
read_neighbours(Graph *graph, uint32 vertex, uint32 level)
{
	char    *data;
	Buffer   buffer = parray_read(graph->index, graph_array(level), vertex, &data);
	EdgeList edges = graph_vertex(graph, data, vertex, level).edges;
	uint32   count = edges.list->count;

	memcpy(graph->lane_vertices, edges.list->vertices, count * sizeof(uint32));
	UnlockReleaseBuffer(buffer);
	return count;
}

/*
 * Return true if a node may get another child. Half of its list is left to
 * other neighbours. If not, *child is set to one of its children.
 */
static bool
may_have_child(Graph *graph, uint32 node, uint32 *child)
{
	uint32 most = edges_limit(graph->m, 0) / 2;
	uint32 count = read_neighbours(graph, node, 0);
	uint32 children = 0;

	for (uint32 i = 0; count > most && i < count; i++)
		if (read_vertex(graph, 0, graph->lane_vertices[i], NULL) == node)
		{
			*child = graph->lane_vertices[i];
			children++;
		}
	return children < most;
}

static void
swap_edges(Edge *edges, uint32 a, uint32 b)
{
	Edge edge = edges[a];

	edges[a] = edges[b];
	edges[b] = edge;
}

/*
 * Choose the new node's parent: the nearest selected neighbour that may have
 * another child. If none may, a descendant of the nearest replaces the last
 * neighbour. The link to the parent becomes the first.
 */
static void
choose_parent(Graph *graph)
{
	GraphWriter *writer = graph->writer;
	LevelLinks  *links = &writer->links[0];
	uint32       child = INVALID_ORDINAL;
	uint32       at = 0;
	uint32       descendant;

	/* A walk finds at least its entry, unless vectors on damaged pages are not finite. */
	if (links->count == 0)
		graph_corrupted(graph, writer->node, 0);
	while (at < links->count && !may_have_child(graph, links->forward[at].vertex, &child))
		at++;
	if (at == links->count)
	{
		descendant = links->forward[0].vertex;
		for (uint32 i = 0; !may_have_child(graph, descendant, &child); i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (i > writer->node)
				graph_corrupted(graph, descendant, 0);
			descendant = child;
		}
		read_vertex(graph, 0, descendant, writer->pool);
		writer->pool_vertices[0] = descendant;
		at = links->count - 1;
		encode_link(graph, 0, 0, &links->forward[at], &links->back[at]);
	}
	swap_edges(links->forward, 0, at);
	swap_edges(links->back, 0, at);
}

/*
 * Walk the levels from the entry point's down to the lowest one that is walked,
 * and select neighbours on those of the new node. Returns false if the graph is
 * empty.
 */
static bool
walk_levels(Graph *graph, uint32 lowest)
{
	GraphWriter *writer = graph->writer;

	if (!graph_start(graph))
		return false;
	graph_set_query(graph, writer->vector);
	for (uint32 level = graph->index->meta.nodes.entry_level + 1; level-- > lowest;)
	{
		if (level <= writer->level)
		{
			graph_walk(graph, level, graph->index->meta.shape.ef_construction);
			choose_neighbours(graph, level);
		}
		else
			graph_walk(graph, level, 1);
		if (level > 0)
			graph_descend(graph, level);
	}
	return true;
}

/*
 * Find and select neighbours on every level of the new node. near: nodes near
 * it; NULL: not known.
 */
static void
find_neighbours(Graph *graph, const NearNodes *near)
{
	GraphWriter *writer = graph->writer;

	for (uint32 level = 0; level <= writer->level; level++)
		writer->links[level].count = 0;
	if (near == NULL && !walk_levels(graph, 0))
		return;
	if (near != NULL)
	{
		if (writer->level > 0)
			walk_levels(graph, 1);
		hits_reset(&graph->walk.results, near->count, graph->context);
		for (uint32 i = near->count; i-- > 0;)
			hits_add(&graph->walk.results, near->hits[i].node, near->hits[i].key);
		choose_neighbours(graph, 0);
	}
	choose_parent(graph);
}

/* ---- writing ---- */

/* Build the new node's vertex of a level in writer->item. */
static void
build_vertex(Graph *graph, uint32 level)
{
	GraphWriter *writer = graph->writer;
	LevelLinks  *links = &writer->links[level];
	Vertex       vertex;

	memset(writer->item, 0, parray_item_size(graph->index, graph_array(level)));
	if (level > 0)
		*(UpperEntry *) writer->item = (UpperEntry) {.node = writer->node, .level = level};
	vertex = graph_vertex_parts(graph, writer->item, own_vertex(writer, level), level);
	memcpy(vertex.entry, writer->entry, graph_vector_size(graph->dim));
	for (uint32 i = 0; i < links->count; i++)
		edge_put(vertex.edges, i, &links->forward[i]);
	vertex.edges.list->count = links->count;
}

/* Write the new node. Nothing refers to it yet. */
static void
write_node(Graph *graph)
{
	GraphWriter *writer = graph->writer;
	NodeEntry    node = {.postings.block = InvalidBlockNumber, .upper = writer->upper};

	parray_copy_in(graph->index, ARRAY_NODES, writer->node, 1, &node);
	for (uint32 level = 0; level <= writer->level; level++)
	{
		build_vertex(graph, level);
		parray_copy_in(graph->index, graph_array(level), own_vertex(writer, level), 1,
					   writer->item);
	}
	cache_put(&writer->cache, writer->node,
			  writer->links[0].count > 0 ? writer->links[0].forward[0].vertex : INVALID_ORDINAL,
			  writer->entry);
}

/*
 * Choose the edges to keep when an edge to the new node is offered to a full
 * list, with these neighbours. Edges to children and to the parent are always
 * kept. Sets writer->kept for each lane. Returns true if the caller must add the
 * new edge.
 */
static bool
choose_kept(Graph *graph, uint32 vertex, uint32 count, uint32 level)
{
	GraphWriter  *writer = graph->writer;
	const uint32 *lanes = graph->lane_vertices;
	uint32        parent = read_vertex(graph, level, vertex, graph->vector);
	uint32        nchosen;
	bool          add = false;

	for (uint32 i = 0; i <= count; i++)
	{
		float *row = writer->pool + (size_t) i * graph->width;
		uint32 other = i < count ? lanes[i] : own_vertex(writer, level);
		uint32 its_parent = read_vertex(graph, level, other, row);

		writer->candidates[i] =
			(GraphCandidate) {i, graph_distance(graph->vector, row, graph->width),
							  level == 0 && (other == parent || its_parent == vertex)};
	}
	graph_sort_candidates(writer->candidates, count + 1);
	nchosen = graph_select_neighbours(writer->pool, graph->width, writer->candidates, count + 1,
									  edges_limit(graph->m, level), writer->chosen);

	memset(writer->kept, 0, count * sizeof(bool));
	for (uint32 i = 0; i < nchosen; i++)
	{
		uint32 row = writer->candidates[writer->chosen[i]].row;

		if (row < count)
			writer->kept[row] = true;
		else
			add = true;
	}
	return add;
}

/* Remove the lanes that writer->kept excludes and close the gaps. */
static void
drop_edges(EdgeList edges, const bool *kept)
{
	uint32 count = 0;

	for (uint32 lane = 0; lane < edges.list->count; lane++)
	{
		if (!kept[lane])
			continue;
		if (lane != count)
			edge_move(edges, lane, count);
		count++;
	}
	edges.list->count = count;
}

/*
 * Add the edge from a neighbour back to the new node, if the neighbour's list
 * has room or selects it. counting: the same change counts the node in the meta
 * page.
 */
static void
link_back(Graph *graph, uint32 vertex, uint32 level, const Edge *edge, bool counting)
{
	ArrayKind array = graph_array(level);
	uint32    count = read_neighbours(graph, vertex, level);
	bool      full = count >= edges_limit(graph->m, level);
	bool      add = !full || choose_kept(graph, vertex, count, level);
	Buffer    meta = counting ? meta_lock(graph->index, BUFFER_LOCK_EXCLUSIVE) : InvalidBuffer;
	Buffer    buffer = parray_lock(graph->index, array, vertex);
	char     *data;
	EdgeList  edges;
	Change    change;

	change_begin(&change, graph->index);
	if (counting)
		meta_change_nodes(&change, meta);
	data = parray_change(&change, buffer, array, vertex);
	edges = graph_vertex(graph, data, vertex, level).edges;
	if (full)
		drop_edges(edges, graph->writer->kept);
	if (add && edges.list->count < edges.lanes)
		edge_put(edges, edges.list->count++, edge);
	change_commit(&change);
	UnlockReleaseBuffer(buffer);
	if (counting)
		UnlockReleaseBuffer(meta);
}

/* Count the new node, and link its neighbours back to it, its parent first. */
static void
link_node(Graph *graph)
{
	GraphWriter *writer = graph->writer;
	bool         counting = !graph->counts_at_close;

	if (graph->counts_at_close)
		graph->index->nodes_ahead = true;
	else if (writer->links[0].count == 0)
		meta_write_nodes(graph->index);
	for (uint32 level = 0; level <= writer->level; level++)
	{
		LevelLinks *links = &writer->links[level];

		for (uint32 i = 0; i < links->count; i++)
		{
			link_back(graph, links->forward[i].vertex, level, &links->back[i], counting);
			if (counting)
				COLBERT_PAUSE("node-counted");
			counting = false;
		}
	}
}

/* Draw the level of the next node and take its items of the arrays. */
static void
take_places(Graph *graph)
{
	GraphWriter  *writer = graph->writer;
	MetaPageData *meta = &graph->index->meta;

	writer->level = draw_level(meta, meta_nitems(meta, ARRAY_NODES));
	make_room(graph, writer->level);
	writer->node = parray_take(graph->index, ARRAY_NODES, 1);
	parray_take(graph->index, ARRAY_NEIGHBOURS, 1);
	writer->upper =
		writer->level > 0 ? parray_take(graph->index, ARRAY_UPPER, writer->level) : INVALID_ORDINAL;
}

/* Set the new node's vector to its stored form: finite and rounded to binary16. */
static void
set_vector(Graph *graph, const float *vector, float shrink)
{
	GraphWriter *writer = graph->writer;

	for (uint32 k = 0; k < graph->dim; k++)
		writer->vector[k] = Max(-MAX_HALF, Min(vector[k], MAX_HALF));
	kernels->float_to_half(writer->vector, writer->entry->vector, graph->dim);
	kernels->half_to_float(writer->entry->vector, writer->vector, graph->dim);
	rotation_apply(graph->rotation, writer->vector, writer->rotated);
	writer->entry->shrink = shrink > 0 ? Min(shrink, 1) : 1;
	writer->entry->half_norm = 0.5f * graph_dot(writer->vector, writer->vector, graph->width);
}

uint32
graph_insert(Graph *graph, const float *vector, float shrink)
{
	MetaPageData *meta = &graph->index->meta;

	/* Of the graph as it is before the new node takes its place. */
	const NearNodes *near = graph_known_near(graph, vector);
	GraphWriter     *writer;

	CHECK_FOR_INTERRUPTS();
	if (graph->writer == NULL)
		graph->writer = writer_create(graph);
	writer = graph->writer;
	take_places(graph);
	cache_grow(graph, &writer->cache, meta_nitems(meta, ARRAY_NODES));
	set_vector(graph, vector, shrink);
	find_neighbours(graph, near);
	write_node(graph);

	if (meta->nodes.entry_node == INVALID_ORDINAL || writer->level > meta->nodes.entry_level)
	{
		meta->nodes.entry_node = writer->node;
		meta->nodes.entry_level = writer->level;
	}
	link_node(graph);
	return writer->node;
}
