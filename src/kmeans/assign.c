/*-------------------------------------------------------------------------
 *
 * assign.c
 *	  Assign tokens to the centroids of two levels.
 *
 * Tokens are assigned in batches. The best parents of each token make pairs
 * (token, parent), which are grouped by parent. Each group is one search among
 * that parent's children, in chunks of packed tokens. A batch is large enough
 * for the groups to fill their chunks.
 *
 * A parent that is much farther than the nearest one rarely has the nearest
 * child, and is not searched. On MedQuAD that leaves 3.0 of 4 searches per
 * token, or 4.6 of 8, and finds the nearest child nearly as often.
 *
 * Groups are searched in the order of the parents, and a later group wins only
 * with a strictly smaller distance. The result for a token therefore does not
 * depend on the tokens beside it.
 *
 *-------------------------------------------------------------------------
 */
#include "kmeans/internal.h"

#include <math.h>
#include <string.h>

/* Average pairs per parent in a batch, and bounds of a batch in tokens. */
#define PAIRS_A_PARENT 128
#define MIN_BATCH      1024
#define MAX_BATCH      65536

/*
 * Parents are not searched if their squared distance is more than this many
 * times that of the nearest.
 */
#define FAR_PARENT 1.4f

/* In probes: no parent. */
#define NO_PARENT UINT32_MAX

/* In a search: no child is nearer. */
#define NO_CHILD UINT32_MAX

struct KmeansAssigner
{
	const KmeansHooks  *hooks;
	const KmeansResult *result;
	const uint32_t     *counts; /* children in use, by parent; NULL: all */
	CodedRows           parents;
	CodedRows           tokens; /* one batch */
	uint32_t            dim;
	uint32_t            nprobes;
	uint32_t            batch; /* tokens */
	Nearest             nearest;
	float              *probe_keys;   /* nprobes x slots of a chunk, best first */
	uint32_t           *probes;       /* batch x nprobes: parents, or NO_PARENT */
	uint32_t           *chunk_probes; /* nprobes x slots, best first */
	uint32_t           *group_start;  /* nparents + 1 */
	uint32_t           *pairs;        /* batch x nprobes: tokens, grouped by parent */
	float              *distance;     /* batch: squared distance to the nearest centroid so far */
};

size_t
kmeans_centroid_size(uint32_t dim)
{
	return dim * sizeof(float) + coded_row_size(dim);
}

/* Centroids per work item of encoding. */
#define ITEM_CENTROIDS 1024

typedef struct Encoding
{
	const KmeansHooks *hooks;
	KmeansResult      *result;
	uint32_t           dim;
} Encoding;

static void
encode_centroids(void *arg, uint32_t item)
{
	const Encoding     *encoding = arg;
	const KmeansResult *result = encoding->result;
	size_t              first = (size_t) item * ITEM_CENTROIDS;
	uint32_t            left = result->ncentroids - (uint32_t) first;
	CodedRows           coded = {.codes = result->codes + first * coded_row_size(encoding->dim)};

	coded_encode_centroids(&coded, result->centroids + first * encoding->dim,
						   left < ITEM_CENTROIDS ? left : ITEM_CENTROIDS, encoding->dim,
						   encoding->hooks);
}

void
kmeans_encode(KmeansResult *result, uint32_t dim, const KmeansHooks *hooks)
{
	Encoding encoding = {hooks, result, dim};

	kmeans_run(hooks, (result->ncentroids + ITEM_CENTROIDS - 1) / ITEM_CENTROIDS, encode_centroids,
			   &encoding);
}

KmeansAssigner *
kmeans_assigner_create(const KmeansResult *result, uint32_t dim, uint32_t nparents_probed,
					   const KmeansHooks *hooks)
{
	KmeansAssigner *a = kmeans_alloc(hooks, 1, 1, sizeof(KmeansAssigner));
	uint32_t        nparents = result->nparents;
	uint64_t        batch;

	a->hooks = hooks;
	a->dim = dim;
	a->nprobes = nparents_probed < 1 ? 1 : nparents_probed < nparents ? nparents_probed : nparents;
	batch = (uint64_t) PAIRS_A_PARENT * nparents / a->nprobes;
	a->batch = batch < MIN_BATCH ? MIN_BATCH : batch > MAX_BATCH ? MAX_BATCH : (uint32_t) batch;
	a->result = result;
	a->counts = NULL;
	coded_init(&a->parents, nparents, dim, hooks);
	coded_encode_centroids(&a->parents, result->parents, nparents, dim, hooks);
	coded_init(&a->tokens, a->batch, dim, hooks);
	nearest_init(&a->nearest, dim, hooks);
	a->probe_keys = kmeans_alloc(hooks, a->nprobes, a->nearest.chunk, sizeof(float));
	a->chunk_probes = kmeans_alloc(hooks, a->nprobes, a->nearest.chunk, sizeof(uint32_t));
	a->probes = kmeans_alloc(hooks, a->batch, a->nprobes, sizeof(uint32_t));
	a->pairs = kmeans_alloc(hooks, a->batch, a->nprobes, sizeof(uint32_t));
	a->group_start = kmeans_alloc(hooks, (size_t) nparents + 1, 1, sizeof(uint32_t));
	a->distance = kmeans_alloc(hooks, a->batch, 1, sizeof(float));
	return a;
}

void
kmeans_assigner_release(KmeansAssigner *assigner)
{
	const KmeansHooks *hooks = assigner->hooks;
	void *const        parts[] = {
        assigner->distance, assigner->group_start,  assigner->pairs,
        assigner->probes,   assigner->chunk_probes, assigner->probe_keys,
    };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		hooks->release(hooks->arg, parts[i]);
	nearest_release(&assigner->nearest);
	coded_release(&assigner->tokens, hooks);
	coded_release(&assigner->parents, hooks);
	hooks->release(hooks->arg, assigner);
}

void
kmeans_assigner_count(KmeansAssigner *assigner, const uint32_t *counts)
{
	assigner->counts = counts;
}

/*
 * Insert a parent among the best of a slot. The caller has checked that its
 * key beats that of the last.
 */
static void
insert_probe(KmeansAssigner *a, uint32_t slots, uint32_t slot, uint32_t parent, float key)
{
	uint32_t i = a->nprobes - 1;

	for (; i > 0 && key > a->probe_keys[(i - 1) * slots + slot]; i--)
	{
		a->probe_keys[i * slots + slot] = a->probe_keys[(i - 1) * slots + slot];
		a->chunk_probes[i * slots + slot] = a->chunk_probes[(i - 1) * slots + slot];
	}
	a->probe_keys[i * slots + slot] = key;
	a->chunk_probes[i * slots + slot] = parent;
}

/*
 * Fill the probes of one slot, leaving out parents that are far. If all
 * parents are probed, none are left out.
 */
static void
keep_near_parents(KmeansAssigner *a, uint32_t slots, uint32_t slot, float squared, uint32_t *probes)
{
	float farthest = FAR_PARENT * (squared - 2 * a->probe_keys[slot]);

	for (uint32_t i = 0; i < a->nprobes; i++)
	{
		bool far = i > 0 && a->nprobes < a->parents.nrows &&
				   squared - 2 * a->probe_keys[i * slots + slot] > farthest;

		probes[i] = far ? NO_PARENT : a->chunk_probes[i * slots + slot];
	}
}

/*
 * Set the probes of the packed chunk to parents that any other one replaces if
 * its key reaches a bound. Of the first n parents, which have keys now, at
 * least nprobes reach it: in each of nprobes groups the one with the largest
 * key. So most parents need no insertion. If there are fewer of them, the bound
 * is -infinity.
 */
static void
bound_probes(KmeansAssigner *a, uint32_t n)
{
	const Nearest *nearest = &a->nearest;
	uint32_t       slots = nearest_slots(nearest);
	uint32_t       share = n / a->nprobes;

	for (uint32_t i = 0; i < a->nprobes; i++)
	{
		float *largest = a->probe_keys + (size_t) i * slots;

		for (uint32_t slot = 0; slot < slots; slot++)
		{
			largest[slot] = -INFINITY;
			a->chunk_probes[i * slots + slot] = i;
		}
		kernels->keys_max(nearest->keys + (size_t) i * share * slots, share, slots, largest);
	}
	for (uint32_t slot = 0; slot < slots; slot++)
	{
		float bound = INFINITY;

		for (uint32_t i = 0; i < a->nprobes; i++)
			if (a->probe_keys[i * slots + slot] < bound)
				bound = a->probe_keys[i * slots + slot];
		bound = slot < nearest->npacked ? nextafterf(bound, -INFINITY) : INFINITY;
		for (uint32_t i = 0; i < a->nprobes; i++)
			a->probe_keys[i * slots + slot] = bound;
	}
}

/* Insert a parent among the best of each slot whose last one its key beats. */
static void
insert_parent(KmeansAssigner *a, uint32_t parent, const float *keys)
{
	const Nearest *nearest = &a->nearest;
	uint32_t       slots = nearest_slots(nearest);
	const float   *worst = a->probe_keys + (size_t) (a->nprobes - 1) * slots;
	uint32_t       beaten[MAX_CHUNK_POINTS];
	uint32_t       n = 0;

	/* No branches that depend on keys: these would be mispredicted. */
	for (uint32_t slot = 0; slot < nearest->npacked; slot++)
	{
		beaten[n] = slot;
		n += !(keys[slot] <= worst[slot]);
	}
	for (uint32_t i = 0; i < n; i++)
	{
		uint32_t slot = beaten[i];
		float    key = keys[slot] == keys[slot]
						   ? keys[slot]
						   : nearest_exact_key(nearest, &a->parents, parent, slot);

		if (key > worst[slot])
			insert_probe(a, slots, slot, parent, key);
	}
}

/* Find the best parents of the packed chunk, per slot. */
static void
find_parents(KmeansAssigner *a)
{
	Nearest     *nearest = &a->nearest;
	uint32_t     slots = nearest_slots(nearest);
	const float *worst = a->probe_keys + (size_t) (a->nprobes - 1) * slots;

	for (uint32_t start = 0, n; start < a->parents.nrows; start += n)
	{
		uint32_t nreaching;

		n = nearest_keys(nearest, &a->parents, start);
		if (start == 0)
			bound_probes(a, n);
		nreaching = kernels->keys_at_least(nearest->keys, n, slots, worst, nearest->reaching);
		for (uint32_t i = 0; i < nreaching; i++)
		{
			uint32_t p = nearest->reaching[i];

			insert_parent(a, start + p, nearest->keys + (size_t) p * slots);
		}
	}
}

/* Find the best parents of every token of a batch. */
static void
probe_batch(KmeansAssigner *a, uint32_t n)
{
	Nearest *nearest = &a->nearest;

	for (uint32_t start = 0; start < n; start += nearest->npacked)
	{
		uint32_t which[MAX_CHUNK_POINTS];
		uint32_t count = n - start < nearest->chunk ? n - start : nearest->chunk;

		for (uint32_t i = 0; i < count; i++)
			which[i] = start + i;
		nearest_pack(nearest, &a->tokens, which, count);
		find_parents(a);
		for (uint32_t i = 0; i < count; i++)
			keep_near_parents(a, nearest_slots(nearest), i, nearest_squared(nearest, i),
							  a->probes + (size_t) (start + i) * a->nprobes);
	}
}

/* Group the pairs of n tokens by parent. */
static void
group_pairs(KmeansAssigner *a, uint32_t n)
{
	uint32_t  npairs = n * a->nprobes;
	uint32_t  nparents = a->parents.nrows;
	uint32_t *start = a->group_start;
	uint32_t  sum = 0;

	memset(start, 0, sizeof(uint32_t) * ((size_t) nparents + 1));
	for (uint32_t i = 0; i < npairs; i++)
		if (a->probes[i] != NO_PARENT)
			start[a->probes[i]]++;
	for (uint32_t p = 0; p <= nparents; p++)
	{
		uint32_t count = start[p];

		start[p] = sum;
		sum += count;
	}
	for (uint32_t i = 0; i < npairs; i++)
		if (a->probes[i] != NO_PARENT)
			a->pairs[start[a->probes[i]]++] = i / a->nprobes;

	/* Filling moved every start to that of the next group. */
	memmove(start + 1, start, sizeof(uint32_t) * nparents);
	start[0] = 0;
}

/* Refer to the children of a parent, but set no coarsest. Returns the number of the first. */
static size_t
children_of(const KmeansAssigner *a, uint32_t parent, CodedRows *children)
{
	const uint32_t *start = a->result->child_start + parent;
	size_t          first = start[0];

	children->rows = a->result->centroids + first * a->dim;
	children->codes = a->result->codes + first * coded_row_size(a->dim);
	children->nrows = a->counts != NULL ? a->counts[parent] : start[1] - start[0];
	return first;
}

/*
 * Search the children of one parent for up to a chunk of tokens. The children
 * are centroids from first on.
 */
static void
search_children(KmeansAssigner *a, const CodedRows *children, uint32_t first, const uint32_t *pairs,
				uint32_t n, uint32_t *centroid)
{
	Nearest *nearest = &a->nearest;

	nearest_pack(nearest, &a->tokens, pairs, n);
	for (uint32_t i = 0; i < n; i++)
	{
		nearest->distance[i] = a->distance[pairs[i]];
		nearest->row[i] = NO_CHILD;
	}
	nearest_find(nearest, children);
	for (uint32_t i = 0; i < n; i++)
	{
		if (nearest->row[i] == NO_CHILD)
			continue;
		a->distance[pairs[i]] = nearest->distance[i];
		centroid[pairs[i]] = first + nearest->row[i];
	}
}

/* Search the children of one parent for the tokens that probe it. */
static void
search_parent(KmeansAssigner *a, uint32_t parent, uint32_t *centroid)
{
	uint32_t  at = a->group_start[parent];
	uint32_t  end = a->group_start[parent + 1];
	CodedRows children = {0};
	size_t    first;

	if (at == end)
		return;
	first = children_of(a, parent, &children);
	coded_view(&children, children.rows, children.codes, children.nrows, a->dim);
	for (; at < end; at += a->nearest.npacked)
		search_children(a, &children, (uint32_t) first, a->pairs + at,
						end - at < a->nearest.chunk ? end - at : a->nearest.chunk, centroid);
}

static void
assign_batch(KmeansAssigner *a, const float *tokens, uint32_t n, uint32_t *centroid)
{
	coded_encode_points(&a->tokens, tokens, n, a->dim, a->hooks);
	probe_batch(a, n);
	group_pairs(a, n);
	for (uint32_t i = 0; i < n; i++)
	{
		a->distance[i] = INFINITY;
		centroid[i] = a->result->child_start[a->probes[(size_t) i * a->nprobes]];
	}
	for (uint32_t p = 0; p < a->parents.nrows; p++)
		search_parent(a, p, centroid);
}

void
kmeans_assign(KmeansAssigner *assigner, const float *tokens, uint32_t n, uint32_t *centroid,
			  float *similarity)
{
	for (uint32_t done = 0; done < n;)
	{
		uint32_t count = n - done < assigner->batch ? n - done : assigner->batch;

		assign_batch(assigner, tokens + (size_t) done * assigner->dim, count, centroid + done);
		for (uint32_t i = 0; i < count && similarity != NULL; i++)
			similarity[done + i] = 0.5f * (assigner->tokens.squared[i] - assigner->distance[i]);
		done += count;
	}
}

/* ---- near centroids ---- */

/* Report the children of a parent whose keys for the packed token exceed *worst. */
static void
report_children(KmeansAssigner *a, uint32_t parent, const KmeansNear *near)
{
	Nearest  *nearest = &a->nearest;
	uint32_t  slots = nearest_slots(nearest);
	CodedRows children = {0};
	size_t    first = children_of(a, parent, &children);

	for (uint32_t start = 0, n; start < children.nrows; start += n)
	{
		n = nearest_keys(nearest, &children, start);
		for (uint32_t i = 0; i < n; i++)
		{
			float key = nearest->keys[(size_t) i * slots];

			if (key != key)
				key = nearest_exact_key(nearest, &children, start + i, 0);
			if (key > *near->worst)
				near->found(near->arg, (uint32_t) first + start + i, key);
		}
	}
}

void
kmeans_near(KmeansAssigner *assigner, const float *token, const KmeansNear *near)
{
	coded_encode_points(&assigner->tokens, token, 1, assigner->dim, assigner->hooks);
	probe_batch(assigner, 1);
	for (uint32_t i = 0; i < assigner->nprobes; i++)
		if (assigner->probes[i] != NO_PARENT)
			report_children(assigner, assigner->probes[i], near);
}
