/*-------------------------------------------------------------------------
 *
 * lists.c
 *	  The two levels of trained centroids of an index, as a finder.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "kmeans/kmeans.h"
#include "nodes/lists.h"
#include "utils/memutils.h"

/*
 * Parents whose children are looked at, for each token, to find n nodes: .8 n,
 * measured at 16,384 nodes and at 848,000 (doc/performance.md). The best
 * children of few parents are often not the best of all: short queries, whose
 * lists are many, can afford MAX_SPARE_PARENTS.
 */
#define PARENTS_PER_NODE  .8
#define SPARE_VISITS      384
#define MIN_PARENTS       16
#define MAX_SPARE_PARENTS 64

size_t
lists_row_size(uint32 dim)
{
	return kernel_sq8_row_size(dim, true);
}

void
lists_corrupted(const Lists *lists, uint32 parent)
{
	ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
					errmsg("index \"%s\" has damaged lists: parent %u",
						   RelationGetRelationName(lists->index->rel), parent),
					errhint("REINDEX it.")));
}

static bool
lists_fits(uint32 dim)
{
	return lists_row_size(dim) <= PAGE_PAYLOAD &&
		   edge_block_size(rotation_padded(dim)) <= PAGE_PAYLOAD;
}

static void
lists_lay_out(MetaPageData *meta)
{
	meta->arrays[ARRAY_NODES].item_size = sizeof(NodeEntry);
	meta->arrays[ARRAY_PARENTS].item_size = lists_row_size(meta->dim);
	meta->arrays[ARRAY_CHILDREN].item_size = sizeof(ListSpan);
	meta->arrays[ARRAY_CENTROIDS].item_size = lists_row_size(meta->dim);
	meta->arrays[ARRAY_CHILD_EDGES].item_size = edge_block_size(rotation_padded(meta->dim));
}

static void
check_shape(const Lists *lists)
{
	const ArrayMeta *arrays = lists->meta->arrays;

	if (arrays[ARRAY_NODES].item_size != sizeof(NodeEntry) ||
		arrays[ARRAY_PARENTS].item_size != lists->row_size ||
		arrays[ARRAY_CENTROIDS].item_size != lists->row_size ||
		arrays[ARRAY_CHILDREN].item_size != sizeof(ListSpan) ||
		arrays[ARRAY_CHILD_EDGES].item_size != edge_block_size(lists->rotation->padded) ||
		arrays[ARRAY_NODES].nitems != arrays[ARRAY_CENTROIDS].nitems ||
		arrays[ARRAY_PARENTS].nitems != arrays[ARRAY_CHILDREN].nitems)
		ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
						errmsg("index \"%s\" has a damaged meta page",
							   RelationGetRelationName(lists->index->rel)),
						errhint("REINDEX it.")));
}

static void *
lists_open(ColbertIndex *index, MetaPageData *meta, const SketchParams *params)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg lists", ALLOCSET_DEFAULT_SIZES);
	Lists *lists = MemoryContextAllocZero(context, sizeof(Lists));

	lists->index = index;
	lists->meta = meta;
	lists->context = context;
	lists->rotation = params->rotation;
	lists->dim = meta->dim;
	lists->row_size = lists_row_size(meta->dim);
	check_shape(lists);
	lists->reached = MemoryContextAlloc(context, LISTS_CHUNK * lists->dim * sizeof(float));
	lists->packed = MemoryContextAlloc(context, kernel_sq8_query_size(LISTS_CHUNK, lists->dim));
	lists->rotated =
		MemoryContextAlloc(context, LISTS_CHUNK * lists->rotation->padded * sizeof(float));
	lists->edges_packed =
		MemoryContextAlloc(context, kernel_sketch_query_size(LISTS_CHUNK, lists->rotation->padded));
	lists->worst = MemoryContextAlloc(context, LISTS_CHUNK * sizeof(float));
	lists->keys =
		MemoryContextAlloc(context, PAGE_PAYLOAD / lists->row_size * LISTS_CHUNK * sizeof(float));
	return lists;
}

static void
lists_close(void *state)
{
	MemoryContextDelete(((Lists *) state)->context);
}

/* ---- finding ---- */

static uint32
parents_to_visit(const FindQuery *query)
{
	uint32 spare = SPARE_VISITS / Max(query->ntokens, 1);

	return Max((uint32) (PARENTS_PER_NODE * query->probes),
			   Max(Min(spare, MAX_SPARE_PARENTS), MIN_PARENTS));
}

/* A chunk of the query's tokens, at the length that gives keys for its reach. */
static const float *
reach_tokens(Lists *lists, const FindQuery *query, uint32 first, uint32 n)
{
	const float *tokens = query->tokens + (size_t) first * lists->dim;

	for (size_t k = 0; k < (size_t) n * lists->dim; k++)
		lists->reached[k] = tokens[k] * query->reach;
	return lists->reached;
}

static void
lists_find(void *state, FindQuery *query, NodeHit *hits, uint32 *nhits)
{
	Lists *lists = state;
	uint32 parents = parents_to_visit(query);

	lists->looked_at = 0;
	for (uint32 first = 0; first < query->ntokens; first += LISTS_CHUNK)
	{
		uint32 n = Min(query->ntokens - first, LISTS_CHUNK);

		const float *tokens = reach_tokens(lists, query, first, n);

		lists_search(lists, tokens, n, query->probes, parents);
		for (uint32 t = 0; t < n; t++)
		{
			const TopHits *best = &lists->best[t];

			nhits[first + t] = best->count;
			memcpy(hits + (size_t) (first + t) * query->probes, best->hits,
				   best->count * sizeof(NodeHit));
		}
	}
	query->hops += lists->looked_at;
}

static void
lists_assign(void *state, const float *tokens, uint32 ntokens, NodeHit *nearest)
{
	Lists *lists = state;

	if (lists_assign_pays(lists, ntokens))
	{
		lists_assign_many(lists, tokens, ntokens, nearest);
		return;
	}
	for (uint32 first = 0; first < ntokens; first += LISTS_CHUNK)
	{
		uint32 n = Min(ntokens - first, LISTS_CHUNK);

		lists_search(lists, tokens + (size_t) first * lists->dim, n, 1, ASSIGN_PARENTS);
		for (uint32 t = 0; t < n; t++)
		{
			if (lists->best[t].count == 0)
				lists_corrupted(lists, 0);
			nearest[first + t] = lists->best[t].hits[0];
		}
	}
}

const Finder lists_finder = {
	.kind = FINDER_IVF,
	.fits = lists_fits,
	.lay_out = lists_lay_out,
	.open = lists_open,
	.close = lists_close,
	.find = lists_find,
	.assign = lists_assign,
	.store = lists_store,
	.check = lists_check,
};
