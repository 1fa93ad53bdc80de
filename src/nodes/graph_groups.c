/*-------------------------------------------------------------------------
 *
 * graph_groups.c
 *	  The nodes of a graph in memory, grouped around centres, for merges.
 *
 * The vectors of nodes never change, so what one batch has read serves the
 * next. Nodes that were added since are kept apart, in the order of their
 * ordinals, until there are enough of them to be grouped; the centres are
 * trained again when the number of nodes has doubled.
 *
 * A walk cannot find a node that no neighbour list names, so such a node gets
 * no tokens. Neither does a damaged node; the index check reports it. A node
 * that is added later is named by its parent from the change that counts it.
 *
 * A worker that serves one index keeps the groups from one transaction to the
 * next. They are of the file and the epoch that they name: a REINDEX makes a
 * new file.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "miscadmin.h"
#include "nodes/graph_groups.h"
#include "nodes/kmeans_hooks.h"
#include "port/pg_bitutils.h"
#include "storage/smgr.h"
#include "utils/memutils.h"

/* Nodes sampled per centre for training, and number of nearest centres whose nodes are compared. */
#define POINTS_OF_A_CENTRE 64
#define PROBED_CENTRES     6

/* Nodes assigned to their centres per call. */
#define NODES_AT_A_TIME 1024

/* Maximum nodes that every token is compared with because they are in no group yet. */
#define MAX_LATE 512

/* The centres are trained again when there are this many times the nodes. */
#define OUTGROWN 2

struct GraphGroups
{
	MemoryContext context;
	MemoryContext centres_context; /* of centres and chooser */
	MemoryContext grouped_context; /* of the members from order on */
	Oid           index;
	uint32        epoch;
	uint32        dim;
	uint32        seen;    /* vertices read */
	uint32        trained; /* nodes when the centres were trained */
	bool          intact;  /* false while an update changes the groups */

	/* The nodes that tokens may be assigned to. */
	uint32  nnodes;
	uint32  capacity;
	uint32 *vertices;
	uint16 *halves; /* nnodes x dim: their vectors */
	uint32 *group;  /* centre of each of the grouped nodes */

	KmeansResult    centres; /* one level of centres */
	KmeansAssigner *chooser; /* of centres */

	/* The first ngrouped nodes, and the late ones after them. */
	uint32          ngrouped;
	uint32         *order;    /* vertices in the order of their centres */
	KmeansResult    grouped;  /* centres with the nodes as their children */
	KmeansAssigner *assigner; /* of grouped */
	KmeansResult    late;     /* one parent, whose children are the late nodes */

	char file[]; /* locator of the index's file */
};

/* The locator of a file, which has one name before and another since PostgreSQL 16. */
#define FILE_OF(rel) (&RelationGetSmgr(rel)->compat_smgr_locator)
#define SIZE_OF_FILE sizeof(((SMgrRelation) NULL)->compat_smgr_locator)

/* Groups that outlive their graph; NULL: none. */
static GraphGroups *kept;
static bool         keeps;

void
graph_keep_groups(void)
{
	keeps = true;
}

static void *
allocate(size_t n, size_t size)
{
	return palloc_extended(mul_size(Max(n, 1), size), MCXT_ALLOC_HUGE);
}

size_t
groups_node_size(const Graph *graph)
{
	return kmeans_centroid_size(graph->dim) + graph->dim * sizeof(uint16) + 4 * sizeof(uint32);
}

/* ---- reading nodes ---- */

/* Named nodes, while the nodes are read for the first time. */
typedef struct Naming
{
	bool  *named; /* NULL: all are */
	uint32 nvertices;
} Naming;

static void
make_room(GraphGroups *groups, uint32 nnodes)
{
	uint32 capacity = groups->capacity;

	if (nnodes <= capacity)
		return;
	capacity = (uint32) Max(nnodes, Min((uint64) capacity + capacity / 4, INVALID_ORDINAL));
	if (groups->capacity == 0)
	{
		groups->vertices = allocate(capacity, sizeof(uint32));
		groups->group = allocate(capacity, sizeof(uint32));
		groups->halves = allocate(capacity, groups->dim * sizeof(uint16));
	}
	else
	{
		groups->vertices = repalloc_huge(groups->vertices, mul_size(capacity, sizeof(uint32)));
		groups->group = repalloc_huge(groups->group, mul_size(capacity, sizeof(uint32)));
		groups->halves =
			repalloc_huge(groups->halves, mul_size(capacity, groups->dim * sizeof(uint16)));
	}
	groups->capacity = capacity;
}

/* Read a vertex of a locked page: its vector and its neighbours. A damaged vertex is skipped. */
static void
read_vertex(GraphGroups *groups, Graph *graph, Naming *naming, char *data, uint32 vertex)
{
	Vertex               parts = graph_vertex_parts(graph, data, vertex, 0);
	const NeighbourList *list = parts.edges.list;

	if (list->count > parts.edges.lanes)
		return;
	for (uint32 i = 0; naming->named != NULL && i < list->count; i++)
		if (list->vertices[i] < naming->nvertices)
			naming->named[list->vertices[i]] = true;
	groups->vertices[groups->nnodes] = vertex;
	memcpy(groups->halves + (size_t) groups->nnodes * graph->dim, parts.entry->vector,
		   graph->dim * sizeof(uint16));
	groups->nnodes++;
}

/* Drop the nodes that no neighbour list names. */
static void
drop_unnamed(GraphGroups *groups, const bool *named)
{
	size_t dim = groups->dim;
	uint32 left = 0;

	for (uint32 i = 0; i < groups->nnodes; i++)
	{
		if (!named[groups->vertices[i]])
			continue;
		if (left < i)
			memcpy(groups->halves + left * dim, groups->halves + i * dim, dim * sizeof(uint16));
		groups->vertices[left++] = groups->vertices[i];
	}
	groups->nnodes = left;
}

/* Read the nodes that were added since the last call. */
static void
read_nodes(GraphGroups *groups, Graph *graph)
{
	ColbertIndex *index = graph->index;
	size_t        item_size = parray_item_size(index, ARRAY_NEIGHBOURS);
	Naming        naming = {.nvertices = parray_nitems(index, ARRAY_NEIGHBOURS)};
	uint32        entry = index->meta.nodes.entry_node;

	make_room(groups, groups->nnodes + (naming.nvertices - groups->seen));
	if (groups->seen == 0)
	{
		naming.named = palloc_extended(naming.nvertices, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
		if (entry < naming.nvertices && index->meta.nodes.entry_level == 0)
			naming.named[entry] = true;
	}
	for (uint32 run; groups->seen < naming.nvertices; groups->seen += run)
	{
		char  *data;
		Buffer buffer = parray_read(index, ARRAY_NEIGHBOURS, groups->seen, &data);

		run =
			Min(parray_run(index, ARRAY_NEIGHBOURS, groups->seen), naming.nvertices - groups->seen);
		for (uint32 i = 0; data != NULL && i < run; i++)
			read_vertex(groups, graph, &naming, data + i * item_size, groups->seen + i);
		UnlockReleaseBuffer(buffer);
		CHECK_FOR_INTERRUPTS();
	}
	if (naming.named == NULL)
		return;
	drop_unnamed(groups, naming.named);
	pfree(naming.named);
}

/* ---- grouping ---- */

/* Train the centres on an evenly spaced sample of the nodes. No node is in a group then. */
static void
train_centres(GraphGroups *groups, uint64 seed)
{
	MemoryContext   caller = MemoryContextSwitchTo(groups->centres_context);
	const uint16_t *chunks[1] = {groups->halves};
	KmeansInput     input = {
			.chunks = chunks,
			.chunk_shift = (uint32) pg_ceil_log2_32(Max(groups->nnodes, 2)),
			.dim = groups->dim,
			.ncentroids = (uint32) ceil(sqrt(groups->nnodes)),
			.nparents = 1,
			.seed = seed,
    };
	uint32 *rows;

	input.nsample = Min(groups->nnodes, (uint64) input.ncentroids * POINTS_OF_A_CENTRE);
	rows = allocate(input.nsample, sizeof(uint32));
	for (uint64 i = 0; i < input.nsample; i++)
		rows[i] = (uint32) (i * groups->nnodes / input.nsample);
	input.rows = rows;
	kmeans_train(&input, &kmeans_hooks, &groups->centres);
	pfree(rows);
	groups->chooser = kmeans_assigner_create(&groups->centres, groups->dim, 1, &kmeans_hooks);
	groups->trained = groups->nnodes;
	groups->ngrouped = 0;
	MemoryContextSwitchTo(caller);
}

/* Widen n vectors, from the node with this number on. */
static void
widen(const GraphGroups *groups, uint32 first, uint32 n, float *out)
{
	kernels->half_to_float(groups->halves + (size_t) first * groups->dim, out,
						   (size_t) n * groups->dim);
}

/* Find the nearest centre of each node that has none yet. */
static void
choose_groups(GraphGroups *groups)
{
	float *nodes = allocate(NODES_AT_A_TIME, groups->dim * sizeof(float));

	while (groups->ngrouped < groups->nnodes)
	{
		uint32 n = Min(NODES_AT_A_TIME, groups->nnodes - groups->ngrouped);

		widen(groups, groups->ngrouped, n, nodes);
		kmeans_assign(groups->chooser, nodes, n, groups->group + groups->ngrouped, NULL);
		groups->ngrouped += n;
	}
	pfree(nodes);
}

/*
 * Count the nodes of each centre in end, and set up the groups. A centre
 * without nodes is dropped, because a parent must have children. end[c] becomes
 * the start of the group of centre c.
 */
static void
lay_out_groups(GraphGroups *groups, uint32 *end)
{
	uint32        dim = groups->dim;
	uint32        ncentres = groups->centres.ncentroids;
	KmeansResult *grouped = &groups->grouped;
	uint32        sum = 0;

	*grouped = (KmeansResult) {.parents = allocate(ncentres, dim * sizeof(float)),
							   .child_start = allocate((size_t) ncentres + 1, sizeof(uint32))};
	for (uint32 i = 0; i < groups->ngrouped; i++)
		end[groups->group[i]]++;
	for (uint32 c = 0; c < ncentres; c++)
	{
		uint32 count = end[c];

		end[c] = sum;
		if (count == 0)
			continue;
		memcpy(grouped->parents + (size_t) grouped->nparents * dim,
			   groups->centres.centroids + (size_t) c * dim, dim * sizeof(float));
		grouped->child_start[grouped->nparents++] = sum;
		sum += count;
	}
	grouped->child_start[grouped->nparents] = sum;
	grouped->ncentroids = sum;
}

/* Make the nodes children of their centres. */
static void
group_nodes(GraphGroups *groups)
{
	uint32        dim = groups->dim;
	KmeansResult *grouped = &groups->grouped;
	uint32       *end = palloc0(mul_size(groups->centres.ncentroids, sizeof(uint32)));

	lay_out_groups(groups, end);
	groups->order = allocate(groups->ngrouped, sizeof(uint32));
	grouped->centroids = allocate(groups->ngrouped, dim * sizeof(float));
	for (uint32 i = 0; i < groups->ngrouped; i++)
	{
		uint32 at = end[groups->group[i]]++;

		if (i % NODES_AT_A_TIME == 0)
			CHECK_FOR_INTERRUPTS();
		groups->order[at] = groups->vertices[i];
		widen(groups, i, 1, grouped->centroids + (size_t) at * dim);
	}
	grouped->codes = allocate(groups->ngrouped, kmeans_centroid_size(dim) - dim * sizeof(float));
	kmeans_encode(grouped, dim, &kmeans_hooks);
	groups->assigner = kmeans_assigner_create(grouped, dim, PROBED_CENTRES, &kmeans_hooks);
	groups->late = (KmeansResult) {
		.nparents = 1,
		.parents = palloc0(dim * sizeof(float)),
		.child_start = palloc0(2 * sizeof(uint32)),
		.centroids = allocate(MAX_LATE, dim * sizeof(float)),
		.codes = allocate(MAX_LATE, kmeans_centroid_size(dim) - dim * sizeof(float))};
}

/* Put all nodes into groups. */
static void
group_again(GraphGroups *groups, uint64 seed)
{
	MemoryContext caller = MemoryContextSwitchTo(groups->grouped_context);

	MemoryContextReset(groups->grouped_context);
	if (groups->nnodes >= (uint64) groups->trained * OUTGROWN)
	{
		MemoryContextReset(groups->centres_context);
		train_centres(groups, seed);
	}
	choose_groups(groups);
	group_nodes(groups);
	MemoryContextSwitchTo(caller);
}

/* Keep the nodes that are in no group apart. */
static void
set_late(GraphGroups *groups)
{
	KmeansResult *late = &groups->late;

	late->ncentroids = groups->nnodes - groups->ngrouped;
	late->child_start[1] = late->ncentroids;
	widen(groups, groups->ngrouped, late->ncentroids, late->centroids);
	kmeans_encode(late, groups->dim, &kmeans_hooks);
}

/* ---- the groups of an index ---- */

static GraphGroups *
create_groups(Graph *graph)
{
	Relation      rel = graph->index->rel;
	MemoryContext context =
		AllocSetContextCreate(keeps ? TopMemoryContext : graph->context, "colbert_pg graph groups",
							  ALLOCSET_DEFAULT_SIZES);
	GraphGroups *groups =
		MemoryContextAllocZero(context, offsetof(GraphGroups, file) + SIZE_OF_FILE);

	groups->context = context;
	groups->centres_context =
		AllocSetContextCreate(context, "colbert_pg graph centres", ALLOCSET_DEFAULT_SIZES);
	groups->grouped_context =
		AllocSetContextCreate(context, "colbert_pg grouped nodes", ALLOCSET_DEFAULT_SIZES);
	groups->index = RelationGetRelid(rel);
	memcpy(groups->file, FILE_OF(rel), SIZE_OF_FILE);
	groups->epoch = graph->index->meta.nodes.epoch;
	groups->dim = graph->dim;
	groups->intact = true;
	return groups;
}

/* Return true if groups are of this graph, and complete. */
static bool
are_of(const GraphGroups *groups, const Graph *graph)
{
	Relation rel = graph->index->rel;

	return groups->intact && groups->index == RelationGetRelid(rel) &&
		   memcmp(groups->file, FILE_OF(rel), SIZE_OF_FILE) == 0 &&
		   groups->epoch == graph->index->meta.nodes.epoch && groups->dim == graph->dim &&
		   groups->seen <= parray_nitems(graph->index, ARRAY_NEIGHBOURS);
}

GraphGroups *
groups_held(Graph *graph)
{
	GraphGroups *groups = keeps ? kept : graph->groups;

	if (groups == NULL || are_of(groups, graph))
		return groups;
	MemoryContextDelete(groups->context);
	kept = graph->groups = NULL;
	return NULL;
}

GraphGroups *
groups_update(Graph *graph)
{
	GraphGroups  *groups = groups_held(graph);
	MemoryContext caller = CurrentMemoryContext;

	if (groups == NULL)
	{
		groups = create_groups(graph);
		if (keeps)
			kept = groups;
		else
			graph->groups = groups;
	}
	if (groups->seen == parray_nitems(graph->index, ARRAY_NEIGHBOURS))
		return groups->nnodes > 0 ? groups : NULL;

	/* If an error ends the update, the next one begins anew. */
	groups->intact = false;
	MemoryContextSwitchTo(groups->context);
	read_nodes(groups, graph);
	if (groups->nnodes > groups->ngrouped + (groups->ngrouped > 0 ? MAX_LATE : 0))
		group_again(groups, graph->index->meta.shape.seed);
	if (groups->ngrouped > 0)
		set_late(groups);
	MemoryContextSwitchTo(caller);
	groups->intact = true;
	return groups->nnodes > 0 ? groups : NULL;
}

void
groups_assign(GraphGroups *groups, const float *tokens, uint32 n, NodeHit *nearest)
{
	uint32 *found = allocate(n, sizeof(uint32));
	float  *keys = allocate(n, sizeof(float));

	kmeans_assign(groups->assigner, tokens, n, found, keys);
	for (uint32 i = 0; i < n; i++)
		nearest[i] = (NodeHit) {groups->order[found[i]], keys[i]};
	if (groups->late.ncentroids > 0)
	{
		KmeansAssigner *late = kmeans_assigner_create(&groups->late, groups->dim, 1, &kmeans_hooks);

		kmeans_assign(late, tokens, n, found, keys);
		for (uint32 i = 0; i < n; i++)
			if (keys[i] > nearest[i].key)
				nearest[i] = (NodeHit) {groups->vertices[groups->ngrouped + found[i]], keys[i]};
		kmeans_assigner_release(late);
	}
	pfree(found);
	pfree(keys);
}
