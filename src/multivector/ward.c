/*-------------------------------------------------------------------------
 *
 * ward.c
 *	  Cluster tokens by Ward's linkage.
 *
 * The nearest-neighbor chain algorithm (Murtagh 1983, "A survey of recent
 * advances in hierarchical clustering algorithms") builds the hierarchy. It
 * finds the merges of the greedy algorithm in another order. Ward's distance
 * between two clusters follows from their centroids and sizes, so no distance
 * matrix is needed: memory is that of the tokens, and time grows with the
 * square of their number.
 *
 * Invariant: the chain holds live clusters, each at most once. In exact
 * arithmetic, distances along the chain never grow, so the nearest neighbor of
 * its top is either the cluster before it or not on the chain. Rounded
 * distances between clusters that tie can break that rule: a nearest neighbor
 * further down the chain is then a tie with the cluster before the top, and
 * these two are merged.
 *
 *-------------------------------------------------------------------------
 */
#include "multivector/ward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

static void
reset(Ward *ward)
{
	ward->nactive = ward->ntokens;
	ward->nchain = 0;
	ward->nmerges = 0;
	for (uint32_t t = 0; t < ward->ntokens; t++)
	{
		ward->sizes[t] = 1;
		ward->active[t] = t;
		ward->place[t] = t;
		ward->on_chain[t] = false;
	}
}

/* Return the increase of the sum of squared distances to centroids if two clusters are merged. */
static float
ward_distance(const Ward *ward, uint32_t a, uint32_t b)
{
	float size_a = (float) ward->sizes[a];
	float size_b = (float) ward->sizes[b];

	return vec_squared_distance(ward->centroids + (size_t) a * ward->dim,
								ward->centroids + (size_t) b * ward->dim, ward->dim) *
		   (size_a * size_b / (size_a + size_b));
}

/*
 * Return the nearest neighbor of a cluster; there are at least two clusters.
 * Among equals previous is preferred, unless it is WARD_DEAD, which means
 * none.
 */
static uint32_t
nearest_cluster(const Ward *ward, uint32_t cluster, uint32_t previous, float *distance)
{
	uint32_t nearest = previous;

	if (nearest == WARD_DEAD)
		nearest = ward->active[ward->active[0] == cluster];
	*distance = ward_distance(ward, cluster, nearest);
	for (uint32_t i = 0; i < ward->nactive; i++)
	{
		float d;

		if (ward->active[i] == cluster || ward->active[i] == previous)
			continue;
		d = ward_distance(ward, cluster, ward->active[i]);
		if (d < *distance)
		{
			*distance = d;
			nearest = ward->active[i];
		}
	}
	return nearest;
}

/* Merge two clusters into the lower of them. Returns false if one of them is dead. */
static bool
merge_clusters(Ward *ward, uint32_t a, uint32_t b, float height)
{
	uint32_t     low = a < b ? a : b;
	uint32_t     high = a < b ? b : a;
	float       *centroid = ward->centroids + (size_t) low * ward->dim;
	const float *other = ward->centroids + (size_t) high * ward->dim;
	float        weight;
	uint32_t     last;

	if (a == b || ward->place[a] == WARD_DEAD || ward->place[b] == WARD_DEAD ||
		ward->nmerges + 1 >= ward->ntokens)
		return false;
	weight = (float) ward->sizes[high] / (float) (ward->sizes[low] + ward->sizes[high]);
	for (uint32_t k = 0; k < ward->dim; k++)
		centroid[k] += (other[k] - centroid[k]) * weight;
	ward->sizes[low] += ward->sizes[high];

	last = ward->active[--ward->nactive];
	ward->active[ward->place[high]] = last;
	ward->place[last] = ward->place[high];
	ward->place[high] = WARD_DEAD;

	ward->merges[ward->nmerges] = (WardMerge) {height, ward->nmerges, low, high};
	ward->nmerges++;
	return true;
}

static void
push(Ward *ward, uint32_t cluster)
{
	ward->chain[ward->nchain++] = cluster;
	ward->on_chain[cluster] = true;
}

/* Merge the top of the chain with the cluster before it, and remove both from the chain. */
static bool
merge_top(Ward *ward)
{
	uint32_t top = ward->chain[ward->nchain - 1];
	uint32_t previous = ward->chain[ward->nchain - 2];

	ward->nchain -= 2;
	ward->on_chain[top] = ward->on_chain[previous] = false;
	return merge_clusters(ward, top, previous, ward_distance(ward, top, previous));
}

bool
ward_find_merges(Ward *ward)
{
	reset(ward);
	while (ward->nactive > 1)
	{
		uint32_t nearest;
		float    distance;

		if (ward->check_interrupts != NULL)
			ward->check_interrupts();
		if (ward->nchain == 0)
			push(ward, ward->active[0]);
		nearest = nearest_cluster(ward, ward->chain[ward->nchain - 1],
								  ward->nchain > 1 ? ward->chain[ward->nchain - 2] : WARD_DEAD,
								  &distance);
		if (!ward->on_chain[nearest])
			push(ward, nearest);
		else if (!merge_top(ward))
			return false;
	}
	return ward->nmerges == ward->ntokens - 1;
}

static int
compare_merges(const void *a, const void *b)
{
	const WardMerge *x = a;
	const WardMerge *y = b;

	if (x->height != y->height)
		return x->height < y->height ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* Return the root of a token in a forest of parents; halves the path. */
static uint32_t
find_root(uint32_t *parents, uint32_t token)
{
	while (parents[token] != token)
	{
		parents[token] = parents[parents[token]];
		token = parents[token];
	}
	return token;
}

uint32_t
ward_label(Ward *ward, uint32_t nmerges, uint32_t *labels)
{
	uint32_t *parents = ward->chain;
	uint32_t  nlabels = 0;

	qsort(ward->merges, ward->nmerges, sizeof(WardMerge), compare_merges);
	for (uint32_t t = 0; t < ward->ntokens; t++)
		parents[t] = t;
	for (uint32_t i = 0; i < nmerges; i++)
	{
		uint32_t a = find_root(parents, ward->merges[i].a);
		uint32_t b = find_root(parents, ward->merges[i].b);

		parents[a > b ? a : b] = a > b ? b : a;
	}

	/*
	 * A root is its cluster's lowest token, so it gets its label before the
	 * cluster's other tokens do.
	 */
	for (uint32_t t = 0; t < ward->ntokens; t++)
	{
		uint32_t root = find_root(parents, t);

		labels[t] = root == t ? nlabels++ : labels[root];
	}
	return nlabels;
}
