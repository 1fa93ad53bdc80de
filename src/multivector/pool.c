/*-------------------------------------------------------------------------
 *
 * pool.c
 *	  pool_tokens(doc, factor): fewer tokens for nearly the same scores.
 *
 * Hierarchical token pooling (Clavie, Chaffin and Adams, "Reducing the
 * Footprint of Multi-Vector Retrieval with Minimal Performance Impact via
 * Token Pooling", 2024): the tokens, normalised, are clustered with Ward's
 * linkage into ntokens / factor clusters, and each cluster becomes the mean
 * of its tokens.
 *
 * The hierarchy is built by the nearest-neighbour chain algorithm (Murtagh,
 * 1983), which finds the merges of the greedy algorithm in another order.
 * Ward's distance of two clusters is known from their centroids and sizes,
 * so there is no matrix of distances: memory is that of a few copies of the
 * document, and time grows with the square of its tokens.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "miscadmin.h"
#include "multivector/distance.h"
#include "multivector/multivector.h"
#include "storage/shmem.h"

/* Two clusters became one. */
typedef struct Merge
{
	float		height;			/* Ward's distance of the two */
	uint32		order;			/* of discovery, to break ties */
	uint32		a;				/* a token of each of them */
	uint32		b;
} Merge;

typedef struct Clustering
{
	uint32		dim;
	uint32		ntokens;
	float	   *centroids;		/* by the cluster's lowest token */
	uint32	   *sizes;
	uint32	   *active;			/* the clusters that there are, in no order */
	uint32		nactive;
	uint32	   *chain;			/* each is the nearest neighbour of the one before */
	uint32		nchain;
	Merge	   *merges;			/* ntokens - 1 in the end */
	uint32		nmerges;
} Clustering;

PG_FUNCTION_INFO_V1(multivector_pool_tokens);

static void *
allocate(Size count, Size size)
{
	return palloc_extended(mul_size(count, size), MCXT_ALLOC_HUGE);
}

/* Every token is a cluster. */
static void
clustering_init(Clustering *c, const MultiVector *mv)
{
	memset(c, 0, sizeof(*c));
	c->dim = mv->dim;
	c->ntokens = c->nactive = mv->ntokens;
	c->centroids = allocate(mul_size(mv->ntokens, mv->dim), sizeof(float));
	c->sizes = allocate(mv->ntokens, sizeof(uint32));
	c->active = allocate(mv->ntokens, sizeof(uint32));
	c->chain = allocate(mv->ntokens, sizeof(uint32));
	c->merges = allocate(mv->ntokens, sizeof(Merge));

	multivector_tokens(mv, 0, mv->ntokens, c->centroids);
	for (uint32 t = 0; t < mv->ntokens; t++)
	{
		float	   *token = c->centroids + (Size) t * mv->dim;

		for (uint32 k = 0; k < mv->dim && mv->norms[t] > 0.0f; k++)
			token[k] /= mv->norms[t];
		c->sizes[t] = 1;
		c->active[t] = t;
	}
}

/* How much a merge of two clusters adds to the squared distances from the centroids. */
static float
ward_distance(const Clustering *c, uint32 a, uint32 b)
{
	float		size_a = (float) c->sizes[a];
	float		size_b = (float) c->sizes[b];

	return squared_distance(c->centroids + (Size) a * c->dim, c->centroids + (Size) b * c->dim, c->dim) *
		(size_a * size_b / (size_a + size_b));
}

/* The nearest neighbour of a cluster; among equals previous (or its number itself, for none) is preferred. */
static uint32
nearest_cluster(const Clustering *c, uint32 cluster, uint32 previous, float *distance)
{
	uint32		nearest = previous;

	*distance = previous == cluster ? INFINITY : ward_distance(c, cluster, previous);
	for (uint32 i = 0; i < c->nactive; i++)
	{
		float		d;

		if (c->active[i] == cluster || c->active[i] == previous)
			continue;
		d = ward_distance(c, cluster, c->active[i]);
		if (d < *distance)
		{
			*distance = d;
			nearest = c->active[i];
		}
	}
	return nearest;
}

/* Merge two clusters into the lower of them. */
static void
merge_clusters(Clustering *c, uint32 a, uint32 b, float height)
{
	uint32		low = Min(a, b);
	uint32		high = Max(a, b);
	float	   *centroid = c->centroids + (Size) low * c->dim;
	const float *other = c->centroids + (Size) high * c->dim;
	float		weight = (float) c->sizes[high] / (float) (c->sizes[low] + c->sizes[high]);
	Merge	   *merge = &c->merges[c->nmerges];

	for (uint32 k = 0; k < c->dim; k++)
		centroid[k] += (other[k] - centroid[k]) * weight;
	c->sizes[low] += c->sizes[high];

	for (uint32 i = 0; i < c->nactive; i++)
	{
		if (c->active[i] == high)
		{
			c->active[i] = c->active[--c->nactive];
			break;
		}
	}

	merge->height = height;
	merge->order = c->nmerges++;
	merge->a = low;
	merge->b = high;
}

/* Find all merges: follow nearest neighbours until two are each other's, merge those, go on. */
static void
find_merges(Clustering *c)
{
	while (c->nactive > 1)
	{
		uint32		top;
		uint32		previous;
		uint32		nearest;
		float		distance;

		CHECK_FOR_INTERRUPTS();
		if (c->nchain == 0)
			c->chain[c->nchain++] = c->active[0];
		top = c->chain[c->nchain - 1];
		previous = c->nchain > 1 ? c->chain[c->nchain - 2] : top;
		nearest = nearest_cluster(c, top, previous, &distance);
		if (c->nchain > 1 && nearest == previous)
		{
			c->nchain -= 2;
			merge_clusters(c, top, previous, distance);
		}
		else
			c->chain[c->nchain++] = nearest;
	}
}

static int
compare_merges(const void *a, const void *b)
{
	const Merge *x = a;
	const Merge *y = b;

	if (x->height != y->height)
		return x->height < y->height ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* The root of a token in a forest of parents; halves the path. */
static uint32
find_root(uint32 *parents, uint32 token)
{
	while (parents[token] != token)
	{
		parents[token] = parents[parents[token]];
		token = parents[token];
	}
	return token;
}

/* Do the nmerges lowest merges; labels[t] becomes the cluster of token t, numbered by first appearance. */
static void
label_tokens(Clustering *c, uint32 nmerges, uint32 *labels)
{
	uint32	   *parents = c->chain;
	uint32		nlabels = 0;

	qsort(c->merges, c->nmerges, sizeof(Merge), compare_merges);
	for (uint32 t = 0; t < c->ntokens; t++)
		parents[t] = t;
	for (uint32 i = 0; i < nmerges; i++)
	{
		uint32		a = find_root(parents, c->merges[i].a);
		uint32		b = find_root(parents, c->merges[i].b);

		parents[Max(a, b)] = Min(a, b);
	}

	/* A root is its cluster's lowest token, so it has its label before the others ask. */
	for (uint32 t = 0; t < c->ntokens; t++)
	{
		uint32		root = find_root(parents, t);

		labels[t] = root == t ? nlabels++ : labels[root];
	}
}

/* The mean of the tokens of each label. */
static MultiVector *
pool_labels(const MultiVector *mv, const uint32 *labels, uint32 nlabels)
{
	Size		dim = mv->dim;
	float	   *means = palloc_extended(mul_size(mul_size(nlabels, dim), sizeof(float)), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	float	   *token = palloc(dim * sizeof(float));
	uint32	   *counts = palloc_extended(mul_size(nlabels, sizeof(uint32)), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	MultiVector *result;

	for (uint32 t = 0; t < mv->ntokens; t++)
	{
		float	   *mean = means + labels[t] * dim;

		multivector_tokens(mv, t, 1, token);
		counts[labels[t]]++;
		for (uint32 k = 0; k < dim; k++)
			mean[k] += token[k];
	}
	for (uint32 i = 0; i < nlabels; i++)
	{
		for (uint32 k = 0; k < dim; k++)
			means[i * dim + k] /= (float) counts[i];
	}
	result = multivector_from_floats(means, nlabels, mv->dim, mv->element);
	pfree(means);
	pfree(token);
	pfree(counts);
	return result;
}

Datum
multivector_pool_tokens(PG_FUNCTION_ARGS)
{
	MultiVector *mv = PG_GETARG_MULTIVECTOR(0);
	int32		factor = PG_GETARG_INT32(1);
	uint32		nclusters;
	uint32	   *labels;
	Clustering	clustering;

	if (factor < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("factor must be at least 1, not %d", factor)));
	nclusters = (mv->ntokens - 1) / (uint32) factor + 1;
	if (nclusters == mv->ntokens)
		PG_RETURN_POINTER(mv);

	clustering_init(&clustering, mv);
	find_merges(&clustering);
	labels = allocate(mv->ntokens, sizeof(uint32));
	label_tokens(&clustering, mv->ntokens - nclusters, labels);
	PG_RETURN_POINTER(pool_labels(mv, labels, nclusters));
}
