/*-------------------------------------------------------------------------
 *
 * graph_assign.c
 *	  Find the nearest node of each of many tokens, for large merges.
 *
 * A walk of the graph takes about 10 microseconds per token. With enough
 * tokens it is faster to read all nodes, group them around centres, and
 * compare each token with the nodes of its nearest centres (kmeans/assign.c).
 * That takes one microsecond per token, plus a few per node once.
 *
 * A walk cannot find a node that no neighbour list names, so such a node gets
 * no tokens. Neither does a damaged node; the index check reports it.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "miscadmin.h"
#include "nodes/graph_internal.h"
#include "nodes/kmeans_hooks.h"
#include "port/pg_bitutils.h"
#include "storage/pace.h"
#include "utils/memutils.h"

/* Maximum nodes per token for which grouping the nodes pays. */
#define NODES_OF_A_TOKEN 8

/*
 * Nodes sampled per centre for training, and number of nearest centres whose
 * nodes a token is compared with.
 */
#define POINTS_OF_A_CENTRE 64
#define PROBED_CENTRES     6

/* Nodes assigned to their centres per call. */
#define NODES_AT_A_TIME 1024

/* The nodes may take 1 / NODES_SHARE of maintenance_work_mem. */
#define NODES_SHARE 4

/* Nodes of the graph, grouped by their nearest centres. */
typedef struct Grouping
{
	Graph       *graph;
	uint32       nvertices;
	bool        *named;    /* nvertices: named by a neighbour list, or the entry point */
	uint32      *vertices; /* nnodes: vertices that tokens may be assigned to */
	uint16      *halves;   /* nnodes x dim: their vectors */
	uint32       nnodes;
	uint32      *group;   /* centre of each node */
	uint32      *order;   /* vertices in the order of their centres */
	KmeansResult centres; /* one level of centres */
	KmeansResult grouped; /* centres with the nodes as their children */
} Grouping;

static void *
allocate(size_t n, size_t size)
{
	return palloc_extended(mul_size(n, size), MCXT_ALLOC_HUGE);
}

/* Read a vertex of a locked page: its vector and its neighbours. A damaged vertex is skipped. */
static void
read_vertex(Grouping *grouping, char *data, uint32 vertex)
{
	Graph               *graph = grouping->graph;
	Vertex               parts = graph_vertex_parts(graph, data, vertex, 0);
	const NeighbourList *list = parts.edges.list;

	if (list->count > parts.edges.lanes)
		return;
	for (uint32 i = 0; i < list->count; i++)
		if (list->vertices[i] < grouping->nvertices)
			grouping->named[list->vertices[i]] = true;
	grouping->vertices[grouping->nnodes] = vertex;
	memcpy(grouping->halves + (size_t) grouping->nnodes * graph->dim, parts.entry->vector,
		   graph->dim * sizeof(uint16));
	grouping->nnodes++;
}

/* Drop the nodes that no neighbour list names. */
static void
drop_unnamed(Grouping *grouping)
{
	size_t dim = grouping->graph->dim;
	uint32 kept = 0;

	for (uint32 i = 0; i < grouping->nnodes; i++)
	{
		if (!grouping->named[grouping->vertices[i]])
			continue;
		if (kept < i)
			memcpy(grouping->halves + kept * dim, grouping->halves + i * dim, dim * sizeof(uint16));
		grouping->vertices[kept++] = grouping->vertices[i];
	}
	grouping->nnodes = kept;
}

static void
read_nodes(Grouping *grouping)
{
	Graph        *graph = grouping->graph;
	ColbertIndex *index = graph->index;
	size_t        item_size = parray_item_size(index, ARRAY_NEIGHBOURS);
	uint32        entry = index->meta.nodes.entry_node;

	grouping->named = palloc_extended(grouping->nvertices, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	grouping->vertices = allocate(grouping->nvertices, sizeof(uint32));
	grouping->halves = allocate(grouping->nvertices, graph->dim * sizeof(uint16));
	if (entry < grouping->nvertices && index->meta.nodes.entry_level == 0)
		grouping->named[entry] = true;
	for (uint32 first = 0, run; first < grouping->nvertices; first += run)
	{
		char  *data;
		Buffer buffer = parray_read(index, ARRAY_NEIGHBOURS, first, &data);

		run = Min(parray_run(index, ARRAY_NEIGHBOURS, first), grouping->nvertices - first);
		for (uint32 i = 0; data != NULL && i < run; i++)
			read_vertex(grouping, data + i * item_size, first + i);
		UnlockReleaseBuffer(buffer);
		CHECK_FOR_INTERRUPTS();
	}
	drop_unnamed(grouping);
}

/* Train the centres on an evenly spaced sample of the nodes. */
static void
train_centres(Grouping *grouping)
{
	const uint16_t *chunks[1] = {grouping->halves};
	KmeansInput     input = {
			.chunks = chunks,
			.chunk_shift = (uint32) pg_ceil_log2_32(Max(grouping->nnodes, 2)),
			.dim = grouping->graph->dim,
			.ncentroids = (uint32) ceil(sqrt(grouping->nnodes)),
			.nparents = 1,
			.seed = grouping->graph->index->meta.shape.seed,
    };
	uint32 *rows;

	input.nsample = Min(grouping->nnodes, (uint64) input.ncentroids * POINTS_OF_A_CENTRE);
	rows = allocate(input.nsample, sizeof(uint32));
	for (uint64 i = 0; i < input.nsample; i++)
		rows[i] = (uint32) (i * grouping->nnodes / input.nsample);
	input.rows = rows;
	kmeans_train(&input, &kmeans_hooks, &grouping->centres);
}

/* Find the nearest centre of each node. */
static void
choose_groups(Grouping *grouping)
{
	uint32          dim = grouping->graph->dim;
	KmeansAssigner *assigner = kmeans_assigner_create(&grouping->centres, dim, 1, &kmeans_hooks);
	float          *nodes = allocate(NODES_AT_A_TIME, dim * sizeof(float));

	grouping->group = allocate(grouping->nnodes, sizeof(uint32));
	for (uint32 first = 0; first < grouping->nnodes; first += NODES_AT_A_TIME)
	{
		uint32 n = Min(NODES_AT_A_TIME, grouping->nnodes - first);

		kernels->half_to_float(grouping->halves + (size_t) first * dim, nodes, (size_t) n * dim);
		kmeans_assign(assigner, nodes, n, grouping->group + first, NULL);
	}
	kmeans_assigner_release(assigner);
	pfree(nodes);
}

/*
 * Make the nodes children of their centres. A centre without nodes is dropped,
 * because a parent must have children.
 */
static void
group_nodes(Grouping *grouping)
{
	uint32        dim = grouping->graph->dim;
	uint32        ncentres = grouping->centres.ncentroids;
	KmeansResult *grouped = &grouping->grouped;
	uint32       *end = palloc0(mul_size(ncentres, sizeof(uint32)));
	uint32        sum = 0;

	grouped->parents = grouping->centres.centroids;
	grouped->child_start = allocate((size_t) ncentres + 1, sizeof(uint32));
	for (uint32 i = 0; i < grouping->nnodes; i++)
		end[grouping->group[i]]++;
	for (uint32 c = 0; c < ncentres; c++)
	{
		uint32 count = end[c];

		end[c] = sum;
		if (count == 0)
			continue;
		memmove(grouped->parents + (size_t) grouped->nparents * dim,
				grouped->parents + (size_t) c * dim, dim * sizeof(float));
		grouped->child_start[grouped->nparents++] = sum;
		sum += count;
	}
	grouped->child_start[grouped->nparents] = sum;
	grouped->ncentroids = sum;

	grouping->order = allocate(sum, sizeof(uint32));
	grouped->centroids = allocate(sum, dim * sizeof(float));
	for (uint32 i = 0; i < grouping->nnodes; i++)
	{
		uint32 at = end[grouping->group[i]]++;

		if (i % NODES_AT_A_TIME == 0)
			CHECK_FOR_INTERRUPTS();
		grouping->order[at] = grouping->vertices[i];
		kernels->half_to_float(grouping->halves + (size_t) i * dim,
							   grouped->centroids + (size_t) at * dim, dim);
	}
	grouped->codes = allocate(sum, kmeans_centroid_size(dim) - dim * sizeof(float));
	kmeans_encode(grouped, dim, &kmeans_hooks);
}

/* Return true if there are enough tokens and enough memory. */
static bool
assign_pays(const Graph *graph, uint32 ntokens)
{
	uint64 nnodes = parray_nitems(graph->index, ARRAY_NEIGHBOURS);
	uint64 node_size =
		kmeans_centroid_size(graph->dim) + graph->dim * sizeof(uint16) + 4 * sizeof(uint32);

	return nnodes > 0 && nnodes <= (uint64) ntokens * NODES_OF_A_TOKEN &&
		   nnodes * node_size <= maintenance_memory() / NODES_SHARE;
}

bool
graph_assign_many(Graph *graph, const float *tokens, uint32 ntokens, NodeHit *nearest)
{
	Grouping      grouping = {.graph = graph,
							  .nvertices = parray_nitems(graph->index, ARRAY_NEIGHBOURS)};
	MemoryContext context;
	MemoryContext caller;

	if (!assign_pays(graph, ntokens))
		return false;
	context = AllocSetContextCreate(CurrentMemoryContext, "colbert_pg graph assignment",
									ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	read_nodes(&grouping);
	if (grouping.nnodes > 0)
	{
		uint32 *found = allocate(ntokens, sizeof(uint32));
		float  *keys = allocate(ntokens, sizeof(float));

		train_centres(&grouping);
		choose_groups(&grouping);
		group_nodes(&grouping);
		kmeans_assign(
			kmeans_assigner_create(&grouping.grouped, graph->dim, PROBED_CENTRES, &kmeans_hooks),
			tokens, ntokens, found, keys);
		for (uint32 i = 0; i < ntokens; i++)
			nearest[i] = (NodeHit) {grouping.order[found[i]], keys[i]};
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return grouping.nnodes > 0;
}
