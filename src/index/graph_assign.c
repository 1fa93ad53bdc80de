/*-------------------------------------------------------------------------
 *
 * graph_assign.c
 *	  The nearest node of each of very many tokens, as a merge brings them.
 *
 * One walk of the graph a token finds it in some ten microseconds. Where there
 * are tokens enough, it is quicker to read all nodes, to group them around a
 * few centres, and to compare each token with the groups that it is near to
 * (kmeans_assign.c): that takes one microsecond, and some for each node once.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "index/graph_internal.h"
#include "index/train.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/memutils.h"

/* Nodes to a token, at most. */
#define NODES_OF_A_TOKEN 8

/* Points that train a centre, and centres whose groups a token is compared with. */
#define POINTS_OF_A_CENTRE 64
#define PROBED_CENTRES 6

/* Nodes that are put into their groups at a time. */
#define NODES_AT_A_TIME 4096

/* The share of maintenance_work_mem that the nodes may take: one in so many. */
#define NODES_SHARE 4

typedef struct Grouping
{
	Graph	   *graph;
	uint32		nnodes;
	uint16	   *halves;			/* nnodes x dim: the nodes' vectors */
	uint32	   *group;			/* by node */
	uint32	   *order;			/* nodes, grouped */
	KmeansResult centres;		/* on one level */
	KmeansResult grouped;		/* centres, and the nodes as their children */
} Grouping;

static void *
allocate(size_t n, size_t size)
{
	return palloc_extended(mul_size(n, size), MCXT_ALLOC_HUGE);
}

static void
read_nodes(Grouping *grouping)
{
	Graph	   *graph = grouping->graph;
	const ArrayMeta *array = &graph->meta->arrays[ARRAY_NEIGHBOURS];

	grouping->halves = allocate(grouping->nnodes, graph->dim * sizeof(uint16));
	for (uint32 first = 0, run; first < grouping->nnodes; first += run)
	{
		char	   *data;
		Buffer		buffer = parray_read(graph->index, graph->meta, ARRAY_NEIGHBOURS, first, &data);

		run = Min(parray_run(array, first), grouping->nnodes - first);
		for (uint32 i = 0; i < run; i++)
		{
			Vertex		vertex = graph_vertex(graph, data == NULL ? NULL : data + (size_t) i * array->item_size, first + i, 0);

			memcpy(grouping->halves + (size_t) (first + i) * graph->dim, vertex.entry->vector, graph->dim * sizeof(uint16));
		}
		UnlockReleaseBuffer(buffer);
		CHECK_FOR_INTERRUPTS();
	}
}

/* The centres of the nodes, by some of them: nodes stand in no order that matters. */
static void
train_centres(Grouping *grouping)
{
	const uint16_t *chunks[1] = {grouping->halves};
	KmeansInput input = {
		.chunks = chunks,
		.chunk_shift = (uint32) pg_ceil_log2_32(Max(grouping->nnodes, 2)),
		.dim = grouping->graph->dim,
		.ncentroids = (uint32) ceil(sqrt(grouping->nnodes)),
		.nparents = 1,
		.seed = grouping->graph->meta->seed,
	};

	input.nsample = Min(grouping->nnodes, (uint64) input.ncentroids * POINTS_OF_A_CENTRE);
	kmeans_train(&input, &train_hooks, &grouping->centres);
}

/* The nearest centre of each node. */
static void
choose_groups(Grouping *grouping)
{
	uint32		dim = grouping->graph->dim;
	KmeansAssigner *assigner = kmeans_assigner_create(&grouping->centres, dim, 1, &train_hooks);
	float	   *nodes = allocate(NODES_AT_A_TIME, dim * sizeof(float));

	grouping->group = allocate(grouping->nnodes, sizeof(uint32));
	for (uint32 first = 0; first < grouping->nnodes; first += NODES_AT_A_TIME)
	{
		uint32		n = Min(NODES_AT_A_TIME, grouping->nnodes - first);

		kernels->half_to_float(grouping->halves + (size_t) first * dim, nodes, (size_t) n * dim);
		kmeans_assign(assigner, nodes, n, grouping->group + first, NULL);
	}
	kmeans_assigner_release(assigner);
	pfree(nodes);
}

/* The nodes as children of their centres; a centre without any is dropped, for a parent has children. */
static void
group_nodes(Grouping *grouping)
{
	uint32		dim = grouping->graph->dim;
	uint32		ncentres = grouping->centres.ncentroids;
	KmeansResult *grouped = &grouping->grouped;
	uint32	   *end = palloc0(mul_size(ncentres, sizeof(uint32)));
	uint32		sum = 0;

	grouped->parents = grouping->centres.centroids;
	grouped->child_start = allocate((size_t) ncentres + 1, sizeof(uint32));
	for (uint32 i = 0; i < grouping->nnodes; i++)
		end[grouping->group[i]]++;
	for (uint32 c = 0; c < ncentres; c++)
	{
		uint32		count = end[c];

		end[c] = sum;
		if (count == 0)
			continue;
		memmove(grouped->parents + (size_t) grouped->nparents * dim, grouped->parents + (size_t) c * dim, dim * sizeof(float));
		grouped->child_start[grouped->nparents++] = sum;
		sum += count;
	}
	grouped->child_start[grouped->nparents] = sum;
	grouped->ncentroids = sum;

	grouping->order = allocate(sum, sizeof(uint32));
	grouped->centroids = allocate(sum, dim * sizeof(float));
	for (uint32 i = 0; i < grouping->nnodes; i++)
	{
		uint32		at = end[grouping->group[i]]++;

		grouping->order[at] = i;
		kernels->half_to_float(grouping->halves + (size_t) i * dim, grouped->centroids + (size_t) at * dim, dim);
	}
	grouped->codes = allocate(sum, kmeans_centroid_size(dim) - dim * sizeof(float));
	kmeans_encode(grouped, dim, &train_hooks);
}

bool
graph_assign_pays(const Graph *graph, uint32 ntokens)
{
	uint64		nnodes = graph->meta->arrays[ARRAY_NEIGHBOURS].nitems;
	uint64		node_size = kmeans_centroid_size(graph->dim) + graph->dim * sizeof(uint16) + 2 * sizeof(uint32);

	return nnodes > 0 && nnodes <= (uint64) ntokens * NODES_OF_A_TOKEN &&
		nnodes * node_size <= (uint64) maintenance_work_mem * 1024 / NODES_SHARE;
}

void
graph_assign_many(Graph *graph, const float *tokens, uint32 ntokens, NodeHit *nearest)
{
	Grouping	grouping = {.graph = graph, .nnodes = graph->meta->arrays[ARRAY_NEIGHBOURS].nitems};
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "colbert graph assignment", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	uint32	   *found = allocate(ntokens, sizeof(uint32));
	float	   *keys = allocate(ntokens, sizeof(float));
	KmeansAssigner *assigner;

	read_nodes(&grouping);
	train_centres(&grouping);
	choose_groups(&grouping);
	group_nodes(&grouping);
	assigner = kmeans_assigner_create(&grouping.grouped, graph->dim, PROBED_CENTRES, &train_hooks);
	kmeans_assign(assigner, tokens, ntokens, found, keys);
	for (uint32 i = 0; i < ntokens; i++)
		nearest[i] = (NodeHit) {grouping.order[found[i]], keys[i]};
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}
