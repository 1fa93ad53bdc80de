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
 * batch's other tokens move to it if it is nearer. These are looked for among
 * the tokens of the nodes around it.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <float.h>
#include <math.h>

#include "base/clock.h"
#include "base/prefetch.h"
#include "base/splitmix.h"
#include "base/vec.h"
#include "index/merge_internal.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
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

/* Number of nodes around a new one whose tokens are compared with it. */
#define NODES_NEAR 64

/* Tokens to prefetch ahead of the one that is compared with a new node. */
#define TOKENS_AHEAD 4

/* Tokens that are compared between two checks for interrupts. */
#define TOKENS_PER_CHECK 1024

/* In a list of tokens: the end. */
#define NO_TOKEN UINT32_MAX

/* A token of the batch that may become a node. */
typedef struct Drawn
{
	uint32 token;
	float  distance; /* squared distance to its node */
	float  rank;     /* order of the draw, highest first */
} Drawn;

/* State of merge_grow. */
typedef struct Growing
{
	Merge    *merge;
	Adoption *adoption;
	uint64    adopted; /* postings of older documents */

	/*
	 * Lists of the batch's tokens. All tokens of a node are in one list, which
	 * may hold those of other nodes: there are about as many lists as tokens,
	 * since an index may have many more nodes.
	 */
	uint32  mask; /* number of lists - 1 */
	uint32 *first;
	uint32 *next;     /* token after each token */
	uint32 *previous; /* and before it */
	uint32 *around;   /* tokens of the nodes around a new one */
} Growing;

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

/* ---- the tokens of each node ---- */

/* Return the list of a node's tokens: where its first token is. */
static uint32 *
list_of(const Growing *growing, uint32 node)
{
	return &growing->first[node & growing->mask];
}

static void
link_token(Growing *growing, uint32 token)
{
	uint32 *first = list_of(growing, growing->merge->nearest[token].node);

	growing->previous[token] = NO_TOKEN;
	growing->next[token] = *first;
	if (*first != NO_TOKEN)
		growing->previous[*first] = token;
	*first = token;
}

/* Assign a token to another node, in constant time. */
static void
move_token(Growing *growing, uint32 token, NodeHit to)
{
	NodeHit *nearest = &growing->merge->nearest[token];
	uint32   previous = growing->previous[token];
	uint32   next = growing->next[token];

	if (previous == NO_TOKEN)
		*list_of(growing, nearest->node) = next;
	else
		growing->next[previous] = next;
	if (next != NO_TOKEN)
		growing->previous[next] = previous;
	*nearest = to;
	link_token(growing, token);
}

static uint32 *
allocate(size_t n)
{
	return palloc_extended(mul_size(n, sizeof(uint32)), MCXT_ALLOC_HUGE);
}

/* List the batch's tokens by their nodes. */
static void
list_tokens(Growing *growing)
{
	uint32 ntokens = growing->merge->ntokens;
	size_t nlists = pg_nextpower2_size_t(Max(ntokens, 1));

	growing->mask = (uint32) (nlists - 1);
	growing->first = allocate(nlists);
	growing->next = allocate(ntokens);
	growing->previous = allocate(ntokens);
	growing->around = allocate(ntokens);
	memset(growing->first, 0xFF, nlists * sizeof(uint32));
	for (uint32 i = 0; i < ntokens; i++)
		link_token(growing, i);
}

/*
 * Collect the tokens of the nodes around a new one, without its own. Returns
 * their number. near names each node once, so that there is room for them.
 */
static uint32
tokens_around(Growing *growing, uint32 own, const NodeHit *near, uint32 nnear)
{
	const NodeHit *nearest = growing->merge->nearest;
	uint32         n = 0;

	for (uint32 i = 0; i < nnear; i++)
		for (uint32 t = *list_of(growing, near[i].node); t != NO_TOKEN; t = growing->next[t])
			if (nearest[t].node == near[i].node && t != own)
			{
				Assert(n < growing->merge->ntokens);
				growing->around[n++] = t;
			}
	return n;
}

/*
 * Move the tokens of the nodes around a new one to it, if it is nearer. They
 * are scattered in memory, so they are listed first and prefetched.
 */
static void
attract(Growing *growing, const Drawn *drawn, NodeHit node, const NodeHit *near, uint32 nnear)
{
	Merge       *merge = growing->merge;
	uint32       dim = merge->view->dim;
	const float *vector = merge->tokens + (size_t) drawn->token * dim;
	uint32       n = tokens_around(growing, drawn->token, near, nnear);

	for (uint32 i = 0; i < n; i++)
	{
		uint32 t = growing->around[i];
		float  key;

		if (i % TOKENS_PER_CHECK == 0)
			CHECK_FOR_INTERRUPTS();
		if (i + TOKENS_AHEAD < n)
			prefetch_bytes(merge->tokens + (size_t) growing->around[i + TOKENS_AHEAD] * dim,
						   dim * sizeof(float));
		key = vec_dot(vector, merge->tokens + (size_t) t * dim, dim) - node.key;
		if (key > merge->nearest[t].key)
			move_token(growing, t, (NodeHit) {node.node, key});
	}
}

/* ---- new nodes ---- */

/*
 * Make a token a node, unless a node added since the draw is near enough to
 * serve it. Returns true if a node was added.
 */
static bool
make_node(Growing *growing, const Drawn *drawn)
{
	Merge      *merge = growing->merge;
	IndexView  *view = merge->view;
	float      *vector = merge->tokens + (size_t) drawn->token * view->dim;
	MetaGrowth *growth = &view->index->meta.growth;
	NodeHit     near[NODES_NEAR];
	uint32      nnear = finder_near(merge->finder, vector, near, NODES_NEAR);
	NodeHit     node;

	if (nnear == 0)
		return false;
	if (near[0].key > merge->nearest[drawn->token].key)
		move_token(growing, drawn->token, near[0]);
	if (distance(merge, drawn->token) < drawn->distance * SERVED_SHARE ||
		is_its_node(merge, drawn->token))
		return false;
	growth->adopting = parray_nitems(view->index, ARRAY_NODES) + 1;
	node = (NodeHit) {finder_add(merge->finder, vector), vec_squared(vector, view->dim) / 2};
	COLBERT_PAUSE("node-added");
	growing->adopted += adopt_docs(growing->adoption, node.node, vector,
								   &(Around) {near, Min(nnear, NODES_AROUND)}, false);
	growth->adopting = 0;
	move_token(growing, drawn->token, node);
	attract(growing, drawn, node, near, nnear);
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

static bool
may_make_node(const Merge *merge)
{
	return merge->grow_ms == 0 || milliseconds_since(merge->start) < merge->grow_ms;
}

uint64
merge_grow(Merge *merge)
{
	uint64  lack = lacking(merge);
	uint64  most = quota(merge, lack);
	Growing growing = {.merge = merge};
	uint32  nmade = 0;
	Drawn  *drawn;

	merge->stunted = most < lack;
	if (most == 0)
		return 0;
	drawn = draw(merge);
	growing.adoption = adopt_begin(merge->view);
	list_tokens(&growing);
	for (uint32 i = 0; i < merge->ntokens && nmade < most && may_make_node(merge); i++)
	{
		pace_delay(merge->view->index, &merge->pace);
		if (!is_its_node(merge, drawn[i].token))
			nmade += make_node(&growing, &drawn[i]);
	}
	merge->stunted |= nmade < most && !may_make_node(merge);
	adopt_end(growing.adoption);
	pfree(growing.first);
	pfree(growing.next);
	pfree(growing.previous);
	pfree(growing.around);
	pfree(drawn);
	return growing.adopted;
}
