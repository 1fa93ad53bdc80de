/*-------------------------------------------------------------------------
 *
 * graph_near.c
 *	  Find the nodes near a vector that may become a node, or near a trained
 *	  centroid.
 *
 * A merge looks at the nodes around a token before it makes a node of it, and
 * the new node's neighbours on the lowest level are chosen among the same ones.
 * If the nodes are grouped in memory, those of the nearest groups are compared;
 * a walk of the graph takes ten times as long.
 *
 * A build compares each centroid with the children of its nearest parents, by
 * all participants, before the leader inserts the centroids one after the
 * other. The neighbours of one are chosen among those near it that are nodes by
 * then. A centroid that has too few of them walks, as the first ones do.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "nodes/graph_groups.h"
#include "nodes/kmeans_hooks.h"

/* Nearest parents of a centroid whose children are compared with it. */
#define NEAR_PARENTS 24

/* Centroids per work item. */
#define ITEM_CENTROIDS 64

/* A centroid walks if fewer than ef_construction / MIN_KNOWN_SHARE near ones are nodes. */
#define MIN_KNOWN_SHARE 2

static void
allocate(Graph *graph)
{
	NearNodes *near = &graph->near;

	if (near->hits != NULL)
		return;
	near->vector = MemoryContextAlloc(graph->context, graph->dim * sizeof(float));
	near->hits = MemoryContextAlloc(
		graph->context, mul_size(graph->index->meta.shape.ef_construction, sizeof(NodeHit)));
}

uint32
graph_near(Graph *graph, const float *vector, NodeHit *hits, uint32 n)
{
	uint32       ef = graph->index->meta.shape.ef_construction;
	GraphWidth   width = {1, ef, ef};
	NearNodes   *near = &graph->near;
	GraphGroups *groups = groups_held(graph) != NULL ? groups_update(graph) : NULL;
	uint64       hops = 0;

	allocate(graph);
	near->count = groups != NULL ? groups_near(groups, vector, near->hits, ef) : 0;
	if (near->count < graph->index->meta.shape.m)
		near->count = graph_search(graph, vector, &width, near->hits, &hops);
	near->nnodes = parray_nitems(graph->index, ARRAY_NODES);
	memcpy(near->vector, vector, graph->dim * sizeof(float));
	n = Min(n, near->count);
	memcpy(hits, near->hits, n * sizeof(NodeHit));
	return n;
}

const NearNodes *
graph_known_near(const Graph *graph, const float *vector)
{
	const NearNodes *near = &graph->near;

	if (near->count > 0 && near->nnodes == parray_nitems(graph->index, ARRAY_NODES) &&
		memcmp(near->vector, vector, graph->dim * sizeof(float)) == 0)
		return near;
	return NULL;
}

/* ---- trained centroids ---- */

/* State of a participant. */
typedef struct NearCentroids
{
	KmeansResult   *trained;
	uint32          dim;
	KmeansAssigner *assigner;
	BestHits        best;
	float           worst;
	uint32          self; /* the centroid whose neighbours are looked for */
} NearCentroids;

static void
keep_centroid(void *arg, uint32 centroid, float key)
{
	NearCentroids *near = arg;

	if (centroid == near->self)
		return;
	hits_add(&near->best, centroid, key);
	near->worst = hits_worst(&near->best);
}

static void
find_near(void *arg, uint32 item)
{
	NearCentroids *near = arg;
	KmeansResult  *trained = near->trained;
	uint32         end = Min(trained->ncentroids, (item + 1) * ITEM_CENTROIDS);

	for (uint32 c = item * ITEM_CENTROIDS; c < end; c++)
	{
		uint32 *out = trained->near + (size_t) c * trained->nnear;
		uint32  found;

		near->self = c;
		near->worst = -INFINITY;
		hits_reset(&near->best, trained->nnear, CurrentMemoryContext);
		kmeans_near(near->assigner, trained->centroids + (size_t) c * near->dim,
					&(KmeansNear) {&near->worst, keep_centroid, near});
		found = near->best.count;
		for (uint32 i = 0; i < trained->nnear; i++)
			out[i] = i < found ? near->best.hits[found - 1 - i].node : INVALID_ORDINAL;
	}
}

void
graph_near_trained(KmeansResult *trained, uint32 dim, Team *team)
{
	NearCentroids near = {trained, dim};

	near.assigner = kmeans_assigner_create(trained, dim, NEAR_PARENTS, &kmeans_hooks);
	team_run(team, (trained->ncentroids + ITEM_CENTROIDS - 1) / ITEM_CENTROIDS, find_near, &near);
	kmeans_assigner_release(near.assigner);
	if (near.best.hits != NULL)
		pfree(near.best.hits);
}

void
graph_know_near(Graph *graph, const KmeansResult *trained, uint32 centroid, const uint32 *node_of)
{
	uint32        ef = graph->index->meta.shape.ef_construction;
	NearNodes    *near = &graph->near;
	const uint32 *others = trained->near + (size_t) centroid * trained->nnear;

	allocate(graph);
	near->count = 0;
	for (uint32 i = 0; i < trained->nnear && near->count < ef && others[i] != INVALID_ORDINAL; i++)
		if (node_of[others[i]] != INVALID_ORDINAL)
		{
			/* Only the order of the keys matters. */
			near->hits[near->count] = (NodeHit) {node_of[others[i]], -(float) near->count};
			near->count++;
		}
	if (near->count < ef / MIN_KNOWN_SHARE)
		near->count = 0;
	near->nnodes = parray_nitems(graph->index, ARRAY_NODES);
	memcpy(near->vector, trained->centroids + (size_t) centroid * graph->dim,
		   graph->dim * sizeof(float));
}
