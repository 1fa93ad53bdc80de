/*-------------------------------------------------------------------------
 *
 * graph_groups.c
 *	  The nodes of a graph in memory, grouped around centres, for merges.
 *
 * The vectors of nodes never change, so what one batch has read serves the
 * next. A node that was added since joins the group of its centre, which has
 * room for some. When a group is full, all are laid out again; the centres are
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
#include "storage/pace.h"
#include "storage/smgr.h"
#include "utils/memutils.h"

/* Nodes sampled per centre for training. */
#define POINTS_OF_A_CENTRE 64

/* Number of nearest centres whose nodes are compared with a token, and with a new node. */
#define PROBED_CENTRES 6
#define NEAR_CENTRES   12

/* Nodes assigned to their centres per call. */
#define NODES_AT_A_TIME 1024

/* The nodes may take 1 / NODES_SHARE of maintenance_work_mem. */
#define NODES_SHARE 2

/* A group has room for 1 / SPARE_SHARE more nodes, and MIN_SPARE. */
#define SPARE_SHARE 4
#define MIN_SPARE   8

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
	uint32 *group;  /* centre of each of the first ngrouped nodes */

	KmeansResult    centres; /* one level of centres */
	KmeansAssigner *chooser; /* of centres */

	/* The first ngrouped nodes. */
	uint32          ngrouped;
	uint32         *parent_of; /* by centre: its number in grouped; NO_GROUP: it has no nodes */
	uint32         *counts;    /* nodes in each group */
	uint32         *order;     /* vertices in the order of their centres */
	KmeansResult    grouped;   /* centres with the nodes as their children, and room for more */
	KmeansAssigner *assigner;  /* of grouped, for tokens */
	KmeansAssigner *finder;    /* of grouped, for new nodes */

	char file[]; /* locator of the index's file */
};

#define NO_GROUP UINT32_MAX

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

bool
groups_are_kept(void)
{
	return keeps;
}

static void *
allocate(size_t n, size_t size)
{
	return palloc_extended(mul_size(Max(n, 1), size), MCXT_ALLOC_HUGE);
}

/* Return the bytes that a node takes. */
static size_t
node_size(const Graph *graph)
{
	size_t grouped = kmeans_centroid_size(graph->dim) + sizeof(uint32);

	return grouped + grouped / SPARE_SHARE + graph->dim * sizeof(uint16) + 2 * sizeof(uint32);
}

bool
groups_fit(const Graph *graph)
{
	uint64 nnodes = parray_nitems(graph->index, ARRAY_NEIGHBOURS);

	return nnodes * node_size(graph) <= maintenance_memory() / NODES_SHARE;
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

/* Copy a node's vector, and its vertex, to the next place of its group, which must have room. */
static void
add_to_group(GraphGroups *groups, uint32 node)
{
	KmeansResult *grouped = &groups->grouped;
	uint32        parent = groups->parent_of[groups->group[node]];
	size_t        at = grouped->child_start[parent] + groups->counts[parent]++;

	groups->order[at] = groups->vertices[node];
	widen(groups, node, 1, grouped->centroids + at * groups->dim);
}

/* Encode n children in a row. */
static void
encode(const GraphGroups *groups, size_t first, uint32 n)
{
	size_t       code_size = kmeans_centroid_size(groups->dim) - groups->dim * sizeof(float);
	KmeansResult part = {.ncentroids = n,
						 .centroids = groups->grouped.centroids + first * groups->dim,
						 .codes = groups->grouped.codes + first * code_size};

	kmeans_encode(&part, groups->dim, &kmeans_hooks);
}

/*
 * Set up a group for each centre, with room for its nodes and for more, but
 * without nodes. A centre without nodes gets none, because a parent must have
 * children.
 */
static void
lay_out_groups(GraphGroups *groups)
{
	uint32        dim = groups->dim;
	uint32        ncentres = groups->centres.ncentroids;
	KmeansResult *grouped = &groups->grouped;
	uint32        sum = 0;

	*grouped = (KmeansResult) {.parents = allocate(ncentres, dim * sizeof(float)),
							   .child_start = allocate((size_t) ncentres + 1, sizeof(uint32))};
	groups->parent_of = palloc0(mul_size(ncentres, sizeof(uint32)));
	groups->counts = palloc0(mul_size(ncentres, sizeof(uint32)));
	for (uint32 i = 0; i < groups->ngrouped; i++)
		groups->parent_of[groups->group[i]]++;
	for (uint32 c = 0; c < ncentres; c++)
	{
		uint32 count = groups->parent_of[c];

		groups->parent_of[c] = NO_GROUP;
		if (count == 0)
			continue;
		memcpy(grouped->parents + (size_t) grouped->nparents * dim,
			   groups->centres.centroids + (size_t) c * dim, dim * sizeof(float));
		groups->parent_of[c] = grouped->nparents;
		grouped->child_start[grouped->nparents++] = sum;
		sum += count + count / SPARE_SHARE + MIN_SPARE;
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

	lay_out_groups(groups);
	groups->order = allocate(grouped->ncentroids, sizeof(uint32));
	grouped->centroids = allocate(grouped->ncentroids, dim * sizeof(float));
	grouped->codes = allocate(grouped->ncentroids, kmeans_centroid_size(dim) - dim * sizeof(float));
	for (uint32 i = 0; i < groups->ngrouped; i++)
	{
		if (i % NODES_AT_A_TIME == 0)
			CHECK_FOR_INTERRUPTS();
		add_to_group(groups, i);
	}
	for (uint32 p = 0; p < grouped->nparents; p++)
		encode(groups, grouped->child_start[p], groups->counts[p]);
	groups->assigner = kmeans_assigner_create(grouped, dim, PROBED_CENTRES, &kmeans_hooks);
	groups->finder = kmeans_assigner_create(grouped, dim, NEAR_CENTRES, &kmeans_hooks);
	kmeans_assigner_count(groups->assigner, groups->counts);
	kmeans_assigner_count(groups->finder, groups->counts);
}

/* Put all nodes into new groups. */
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

/* Let the nodes that are in no group yet join theirs. Returns false if one has no room. */
static bool
join_groups(GraphGroups *groups)
{
	KmeansResult *grouped = &groups->grouped;
	uint32        first = groups->ngrouped;

	if (groups->ngrouped == 0)
		return false;
	choose_groups(groups);
	for (uint32 i = first; i < groups->ngrouped; i++)
	{
		uint32 parent = groups->parent_of[groups->group[i]];
		uint32 at;

		if (parent == NO_GROUP)
			return false;
		at = grouped->child_start[parent] + groups->counts[parent];
		if (at == grouped->child_start[parent + 1])
			return false;
		add_to_group(groups, i);
		encode(groups, at, 1);
	}
	return true;
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

	if (groups == NULL || (are_of(groups, graph) && groups_fit(graph)))
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
	if (groups->nnodes > 0 &&
		(groups->nnodes >= (uint64) groups->trained * OUTGROWN || !join_groups(groups)))
		group_again(groups, graph->index->meta.shape.seed);
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
	pfree(found);
	pfree(keys);
}

/* Best children by estimated keys, while new nodes are looked for. */
typedef struct NearChildren
{
	BestHits best;
	float    worst;
} NearChildren;

static void
keep_child(void *arg, uint32 child, float key)
{
	NearChildren *near = arg;

	hits_add(&near->best, child, key);
	near->worst = hits_worst(&near->best);
}

uint32
groups_near(GraphGroups *groups, const float *vector, NodeHit *hits, uint32 n)
{
	uint32       dim = groups->dim;
	NearChildren near = {.worst = -INFINITY};

	hits_reset(&near.best, n, CurrentMemoryContext);
	kmeans_near(groups->finder, vector, &(KmeansNear) {&near.worst, keep_child, &near});
	n = hits_best(&near.best, n, hits);
	hits_reset(&near.best, n, CurrentMemoryContext);
	for (uint32 i = 0; i < n; i++)
	{
		const float *node = groups->grouped.centroids + (size_t) hits[i].node * dim;
		float        key = vec_dot(vector, node, dim) - vec_squared(node, dim) / 2;

		hits_add(&near.best, groups->order[hits[i].node], key);
	}
	n = hits_best(&near.best, n, hits);
	pfree(near.best.hits);
	return n;
}
