/*-------------------------------------------------------------------------
 *
 * kmeans_assign.c
 *	  Assigning tokens to the centroids of two levels.
 *
 * Tokens go through in batches. The best parents of each token of a batch
 * make pairs (token, parent); the pairs are grouped by parent, and each group
 * is one search among that parent's children, in chunks of packed tokens.
 * A batch is so large that the groups fill their chunks.
 *
 * A parent that is much farther than the nearest one rarely has the nearest
 * child, and is not searched: on MedQuAD that leaves 3.0 of 4 searches a token,
 * or 4.6 of 8, and finds the nearest child nearly as often.
 *
 * Groups are visited in the order of the parents, and a later group wins only
 * by a strictly larger key: the answer for a token does not depend on the
 * tokens beside it.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/kmeans_internal.h"

#include <math.h>
#include <string.h>

/* Pairs that each parent gets from a batch, on average. */
#define PAIRS_A_PARENT 128
#define BATCH_LEAST 1024
#define BATCH_MOST 65536

/* Parents beyond this many times the nearest one's squared distance are not searched. */
#define FAR_PARENT 1.4f

/* In probes: no parent. */
#define NO_PARENT UINT32_MAX

struct KmeansAssigner
{
	const KmeansHooks *hooks;
	const float *centroids;
	const uint32_t *child_start;
	float	   *add;			/* of the centroids */
	float	   *parent_add;
	CentroidRows parents;
	uint32_t	dim;
	uint32_t	nprobes;
	uint32_t	batch;			/* tokens */
	Nearest		nearest;
	float	   *keys;			/* nparents x slots of a chunk */
	float	   *probe_keys;		/* nprobes x slots, best first */
	uint32_t   *probes;			/* batch x nprobes: parents, or NO_PARENT */
	uint32_t   *chunk_probes;	/* nprobes x slots, best first */
	float	   *lengths;		/* slots: -|x|^2/2 */
	uint32_t   *group_start;	/* nparents + 1 */
	uint32_t   *pairs;			/* batch x nprobes: tokens, grouped by parent */
	float	   *best;			/* batch */
};

static float *
norms_of(const float *rows, uint32_t nrows, uint32_t dim, const KmeansHooks *hooks)
{
	float	   *add = kmeans_alloc(hooks, nrows, 1, sizeof(float));

	kmeans_adds(rows, nrows, dim, add, hooks);
	return add;
}

KmeansAssigner *
kmeans_assigner_create(const KmeansResult *result, uint32_t dim, uint32_t nparents_probed, const KmeansHooks *hooks)
{
	KmeansAssigner *a = kmeans_alloc(hooks, 1, 1, sizeof(KmeansAssigner));
	uint32_t	nparents = result->nparents;
	uint64_t	batch;
	size_t		slots;

	a->hooks = hooks;
	a->dim = dim;
	a->nprobes = nparents_probed < 1 ? 1 : nparents_probed < nparents ? nparents_probed : nparents;
	batch = (uint64_t) PAIRS_A_PARENT * nparents / a->nprobes;
	a->batch = batch < BATCH_LEAST ? BATCH_LEAST : batch > BATCH_MOST ? BATCH_MOST : (uint32_t) batch;
	a->centroids = result->centroids;
	a->child_start = result->child_start;
	a->add = norms_of(result->centroids, result->ncentroids, dim, hooks);
	a->parents.rows = result->parents;
	a->parent_add = norms_of(result->parents, nparents, dim, hooks);
	a->parents.add = a->parent_add;
	a->parents.nrows = nparents;
	a->parents.first = 0;
	nearest_init(&a->nearest, dim, hooks);
	slots = nearest_slots(&a->nearest);
	a->keys = kmeans_alloc(hooks, nparents, slots, sizeof(float));
	a->probe_keys = kmeans_alloc(hooks, a->nprobes, slots, sizeof(float));
	a->chunk_probes = kmeans_alloc(hooks, a->nprobes, slots, sizeof(uint32_t));
	a->lengths = kmeans_alloc(hooks, slots, 1, sizeof(float));
	a->probes = kmeans_alloc(hooks, a->batch, a->nprobes, sizeof(uint32_t));
	a->pairs = kmeans_alloc(hooks, a->batch, a->nprobes, sizeof(uint32_t));
	a->group_start = kmeans_alloc(hooks, (size_t) nparents + 1, 1, sizeof(uint32_t));
	a->best = kmeans_alloc(hooks, a->batch, 1, sizeof(float));
	return a;
}

void
kmeans_assigner_release(KmeansAssigner *assigner)
{
	const KmeansHooks *hooks = assigner->hooks;
	void	   *const parts[] = {
		assigner->best, assigner->group_start, assigner->pairs, assigner->probes, assigner->chunk_probes,
		assigner->lengths, assigner->probe_keys, assigner->keys, assigner->parent_add, assigner->add,
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		hooks->release(hooks->arg, parts[i]);
	nearest_release(&assigner->nearest);
	hooks->release(hooks->arg, assigner);
}

/* Insert a parent among the best of a slot; its key beats the last one's. */
static void
insert_probe(KmeansAssigner *a, uint32_t slots, uint32_t slot, uint32_t parent, float key)
{
	uint32_t	i = a->nprobes - 1;

	for (; i > 0 && key > a->probe_keys[(i - 1) * slots + slot]; i--)
	{
		a->probe_keys[i * slots + slot] = a->probe_keys[(i - 1) * slots + slot];
		a->chunk_probes[i * slots + slot] = a->chunk_probes[(i - 1) * slots + slot];
	}
	a->probe_keys[i * slots + slot] = key;
	a->chunk_probes[i * slots + slot] = parent;
}

/* The probes of one slot, without those that are far. Probing all parents is left exhaustive. */
static void
keep_near_parents(KmeansAssigner *a, uint32_t slots, uint32_t slot, uint32_t *probes)
{
	float		length = -2 * a->lengths[slot];
	float		farthest = FAR_PARENT * (length - 2 * a->probe_keys[slot]);

	for (uint32_t i = 0; i < a->nprobes; i++)
	{
		bool		far = i > 0 && a->nprobes < a->parents.nrows &&
			length - 2 * a->probe_keys[i * slots + slot] > farthest;

		probes[i] = far ? NO_PARENT : a->chunk_probes[i * slots + slot];
	}
}

/* The best parents of the packed chunk, into probes (n x nprobes). */
static void
find_parents(KmeansAssigner *a, uint32_t n, uint32_t *probes)
{
	uint32_t	slots = kernel_query_slots(a->nearest.query);
	const float *worst = a->probe_keys + (size_t) (a->nprobes - 1) * slots;

	nearest_keys(&a->nearest, &a->parents, a->keys);
	kmeans_adds(a->nearest.points, n, a->dim, a->lengths, a->hooks);
	for (uint32_t i = 0; i < a->nprobes * slots; i++)
	{
		a->probe_keys[i] = -INFINITY;
		a->chunk_probes[i] = i / slots;
	}
	for (uint32_t p = 0; p < a->parents.nrows; p++)
	{
		const float *keys = a->keys + (size_t) p * slots;

		for (uint32_t slot = 0; slot < n; slot++)
			if (keys[slot] > worst[slot])
				insert_probe(a, slots, slot, p, keys[slot]);
	}
	for (uint32_t slot = 0; slot < n; slot++)
		keep_near_parents(a, slots, slot, probes + (size_t) slot * a->nprobes);
}

/* The best parents of every token of a batch. */
static void
probe_batch(KmeansAssigner *a, const float *tokens, uint32_t n)
{
	Nearest    *nearest = &a->nearest;

	for (uint32_t start = 0; start < n; start += nearest->chunk)
	{
		uint32_t	count = n - start < nearest->chunk ? n - start : nearest->chunk;

		memcpy(nearest->points, tokens + (size_t) start * a->dim, sizeof(float) * a->dim * count);
		nearest_pack(nearest, count);
		find_parents(a, count, a->probes + (size_t) start * a->nprobes);
	}
}

/* Group the pairs of n tokens by parent. */
static void
group_pairs(KmeansAssigner *a, uint32_t n)
{
	uint32_t	npairs = n * a->nprobes;
	uint32_t	nparents = a->parents.nrows;
	uint32_t   *start = a->group_start;
	uint32_t	sum = 0;

	memset(start, 0, sizeof(uint32_t) * ((size_t) nparents + 1));
	for (uint32_t i = 0; i < npairs; i++)
		if (a->probes[i] != NO_PARENT)
			start[a->probes[i]]++;
	for (uint32_t p = 0; p <= nparents; p++)
	{
		uint32_t	count = start[p];

		start[p] = sum;
		sum += count;
	}
	for (uint32_t i = 0; i < npairs; i++)
		if (a->probes[i] != NO_PARENT)
			a->pairs[start[a->probes[i]]++] = i / a->nprobes;

	/* Filling moved every start to the next group's. */
	memmove(start + 1, start, sizeof(uint32_t) * nparents);
	start[0] = 0;
}

/* Search the children of one parent for up to a chunk of tokens. */
static void
search_children(KmeansAssigner *a, uint32_t parent, const float *tokens, const uint32_t *pairs, uint32_t n,
				uint32_t *centroid)
{
	Nearest    *nearest = &a->nearest;
	uint32_t	first = a->child_start[parent];
	CentroidRows children = {
		.rows = a->centroids + (size_t) first * a->dim,
		.add = a->add + first,
		.nrows = a->child_start[parent + 1] - first,
		.first = first,
	};

	for (uint32_t i = 0; i < n; i++)
		memcpy(nearest->points + (size_t) i * a->dim, tokens + (size_t) pairs[i] * a->dim, sizeof(float) * a->dim);
	nearest_pack(nearest, n);
	nearest_find(nearest, &children);
	for (uint32_t i = 0; i < n; i++)
	{
		if (!(nearest->best[i] > a->best[pairs[i]]))
			continue;
		a->best[pairs[i]] = nearest->best[i];
		centroid[pairs[i]] = nearest->best_row[i];
	}
}

static void
assign_batch(KmeansAssigner *a, const float *tokens, uint32_t n, uint32_t *centroid)
{
	probe_batch(a, tokens, n);
	group_pairs(a, n);
	for (uint32_t i = 0; i < n; i++)
	{
		a->best[i] = -INFINITY;
		centroid[i] = a->child_start[a->probes[(size_t) i * a->nprobes]];
	}
	for (uint32_t p = 0; p < a->parents.nrows; p++)
	{
		uint32_t	end = a->group_start[p + 1];

		for (uint32_t at = a->group_start[p]; at < end; at += a->nearest.chunk)
		{
			uint32_t	count = end - at < a->nearest.chunk ? end - at : a->nearest.chunk;

			search_children(a, p, tokens, a->pairs + at, count, centroid);
		}
	}
}

void
kmeans_assign(KmeansAssigner *assigner, const float *tokens, uint32_t n, uint32_t *centroid, float *similarity)
{
	for (uint32_t done = 0; done < n;)
	{
		uint32_t	count = n - done < assigner->batch ? n - done : assigner->batch;

		assign_batch(assigner, tokens + (size_t) done * assigner->dim, count, centroid + done);
		if (similarity != NULL)
			memcpy(similarity + done, assigner->best, sizeof(float) * count);
		done += count;
	}
}
