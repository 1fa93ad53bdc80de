/*-------------------------------------------------------------------------
 *
 * merge_grow.c
 *	  Add nodes during a merge.
 *
 * If the finder can add nodes and the index has fewer than one per
 * tokens_per_node tokens, some tokens of the batch become nodes. They are
 * drawn with a probability proportional to their squared distance to their
 * nodes, as k-means++ draws its seeds (Arthur and Vassilvitskii 2007, section
 * 2.2). Taking the farthest tokens first would make nodes of outliers.
 * Measured on 1,500 MedQuAD passages merged after 500 others: the tokens then
 * lay .65 to .70 from their nodes (.64 when drawn), and the longest list was
 * 4.7 to 5.1 times the mean (2.8 to 3.1 when drawn).
 *
 * A new node also lists the older documents near it (merge_adopt.c), and the
 * batch's other tokens move to it if it is nearer.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <float.h>
#include <math.h>

#include "base/clock.h"
#include "base/splitmix.h"
#include "base/vec.h"
#include "index/merge_internal.h"
#include "miscadmin.h"
#include "storage/pace.h"

/*
 * Node vectors are stored as binary16, so a token lies about 1e-7 of its
 * squared length from the node made from it. A token whose squared distance to
 * its node is at most this share of its squared length needs no node of its
 * own.
 */
#define SAME_TOKEN 1e-5

/*
 * A drawn token does not become a node if its nearest node is now closer than
 * this share of the squared distance at which it was drawn.
 */
#define SERVED_SHARE 0.5f

/*
 * Maximum number of new nodes that every token is compared with. Up to here,
 * comparing takes no longer than searching for the tokens' nodes again.
 */
#define FEW_NODES 64

/* A token of the batch that may become a node. */
typedef struct Drawn
{
	uint32 token;
	float  distance; /* squared distance to its node */
	float  rank;     /* order of the draw, highest first */
} Drawn;

/* Return the squared distance of a token to its node. */
static float
distance(const Merge *merge, uint32 token)
{
	return (float) hit_distance(merge->tokens + (size_t) token * merge->view->dim, merge->view->dim,
								merge->nearest[token].key);
}

static bool
is_its_node(const Merge *merge, uint32 token)
{
	float squared =
		vec_squared(merge->tokens + (size_t) token * merge->view->dim, merge->view->dim);

	return distance(merge, token) <= SAME_TOKEN * squared;
}

static int
compare_drawn(const void *a, const void *b)
{
	const Drawn *x = a;
	const Drawn *y = b;

	if (x->rank != y->rank)
		return x->rank > y->rank ? -1 : 1;
	return x->token < y->token ? -1 : x->token > y->token;
}

/*
 * Return the batch's tokens in the order of a weighted draw without
 * replacement, the weight of a token being its squared distance. Tokens are
 * sorted by log(u) / weight with u uniform (Efraimidis and Spirakis 2006,
 * algorithm A). The draw is deterministic for a given batch.
 */
static Drawn *
draw(const Merge *merge)
{
	Drawn *drawn = palloc_extended(mul_size(merge->ntokens, sizeof(Drawn)), MCXT_ALLOC_HUGE);

	for (uint32 i = 0; i < merge->ntokens; i++)
	{
		uint64 state = merge->view->index->meta.shape.seed ^ ((uint64) merge->owner[i] << 32 | i);
		double u = ((double) (splitmix_next(&state) >> 11) + 0.5) * 0x1p-53;
		float  d = distance(merge, i);

		drawn[i] = (Drawn) {i, d, d > 0 ? (float) (log(u) / d) : -FLT_MAX};
	}
	qsort(drawn, merge->ntokens, sizeof(Drawn), compare_drawn);
	return drawn;
}

/*
 * Make a token a node, unless a node added since the draw is near enough to
 * serve it. Returns true if a node was added; *adopted grows by the number of
 * older documents that its list adopts.
 */
static bool
make_node(Merge *merge, Adoption *adoption, const Drawn *drawn, uint64 *adopted)
{
	IndexView *view = merge->view;
	float     *vector = merge->tokens + (size_t) drawn->token * view->dim;
	FindQuery  query = {
		 .tokens = vector, .ntokens = 1, .probes = NODES_AROUND, .reach = 1, .ef = AROUND_EF};
	MetaGrowth *growth = &view->index->meta.growth;
	NodeHit     around[NODES_AROUND];
	uint32      naround;
	uint32      node;

	finder_find(merge->finder, &query, around, &naround);
	if (naround == 0)
		return false;
	merge->nearest[drawn->token] = around[0];
	if (distance(merge, drawn->token) < drawn->distance * SERVED_SHARE ||
		is_its_node(merge, drawn->token))
		return false;
	growth->adopting = parray_nitems(view->index, ARRAY_NODES) + 1;
	node = finder_add(merge->finder, vector);
	COLBERT_PAUSE("node-added");
	merge->nearest[drawn->token] = (NodeHit) {node, vec_squared(vector, view->dim) / 2};
	*adopted += adopt_docs(adoption, node, vector, &(Around) {around, naround}, false);
	growth->adopting = 0;
	return true;
}

/*
 * Return the number of nodes that the index lacks for the tokens merged so far
 * and those of the batch. Tokens that stay in the queue get theirs later.
 */
static uint64
lacking(const Merge *merge)
{
	const MetaPageData *meta = &merge->view->index->meta;
	uint64              later = 0;
	uint64              wanted;
	uint64              have = meta_nnodes(meta);

	if (!finder_adds(merge->finder))
		return 0;
	if (!merge->again && merge->queued_tokens > merge->ntokens)
		later = merge->queued_tokens - merge->ntokens;
	else if (merge->again)
		later = merge->queued_tokens;
	wanted = (meta->documents.live_tokens - Min(later, meta->documents.live_tokens)) /
			 meta->shape.tokens_per_node;
	return wanted - Min(wanted, have);
}

/* Return the maximum number of nodes that the batch may add, of those that the index lacks. */
static uint64
quota(const Merge *merge, uint64 lack)
{
	uint32 per_node = merge->view->index->meta.shape.tokens_per_node;
	uint64 most = merge->ntokens;

	if (merge->growth == 0)
		return 0;
	if (merge->growth != GROWTH_ALL)
		most = Min(most, 1 + (uint64) merge->ntokens * merge->growth / per_node);
	return Min(lack, most);
}

/* Move tokens of the batch to the new nodes made of other tokens, if these are nearer. */
static void
move_to(Merge *merge, const uint32 *made, uint32 nmade)
{
	uint32 dim = merge->view->dim;

	for (uint32 m = 0; m < nmade; m++)
	{
		const float *node = merge->tokens + (size_t) made[m] * dim;
		float        half_norm = vec_dot(node, node, dim) / 2;

		for (uint32 i = 0; i < merge->ntokens; i++)
		{
			float key = vec_dot(node, merge->tokens + (size_t) i * dim, dim) - half_norm;

			if (i != made[m] && key > merge->nearest[i].key)
				merge->nearest[i] = (NodeHit) {merge->nearest[made[m]].node, key};
		}
		CHECK_FOR_INTERRUPTS();
	}
}

/* Assign the batch again. A token keeps its node if the approximate search finds no nearer one. */
static void
assign_again(Merge *merge)
{
	NodeHit *nearest = palloc_extended(mul_size(merge->ntokens, sizeof(NodeHit)), MCXT_ALLOC_HUGE);

	finder_assign(merge->finder, merge->tokens, merge->ntokens, nearest);
	for (uint32 i = 0; i < merge->ntokens; i++)
		if (nearest[i].key > merge->nearest[i].key)
			merge->nearest[i] = nearest[i];
	pfree(nearest);
}

static bool
may_make_node(const Merge *merge)
{
	return merge->grow_ms == 0 || milliseconds_since(merge->start) < merge->grow_ms;
}

uint64
merge_grow(Merge *merge)
{
	uint64    lack = lacking(merge);
	uint64    most = quota(merge, lack);
	uint64    adopted = 0;
	uint32    nmade = 0;
	uint32   *made;
	Drawn    *drawn;
	Adoption *adoption;

	merge->stunted = most < lack;
	if (most == 0)
		return 0;
	drawn = draw(merge);
	made = palloc_extended(mul_size(most, sizeof(uint32)), MCXT_ALLOC_HUGE);
	adoption = adopt_begin(merge->view);
	for (uint32 i = 0; i < merge->ntokens && nmade < most && may_make_node(merge); i++)
	{
		pace_delay(merge->view->index, &merge->pace);
		if (!is_its_node(merge, drawn[i].token) && make_node(merge, adoption, &drawn[i], &adopted))
			made[nmade++] = drawn[i].token;
	}
	merge->stunted |= nmade < most && !may_make_node(merge);
	adopt_end(adoption);
	pfree(drawn);
	if (nmade <= FEW_NODES)
		move_to(merge, made, nmade);
	else
		assign_again(merge);
	pfree(made);
	return adopted;
}
