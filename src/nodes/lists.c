/*-------------------------------------------------------------------------
 *
 * lists.c
 *	  Two levels of trained centroids as a finder.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "kmeans/kmeans.h"
#include "nodes/lists.h"
#include "utils/memutils.h"

/*
 * Parents whose children are estimated per token, to find n nodes: .8 n,
 * measured at 16,384 and at 848,000 nodes (doc/performance.md). With few
 * parents the best children of all are often missed, so short queries, which
 * search more lists per token, visit up to MAX_SPARE_PARENTS.
 */
#define PARENTS_PER_NODE  .8
#define SPARE_VISITS      384
#define MIN_PARENTS       16
#define MIN_SHARE_PARENTS 4
#define MAX_SPARE_PARENTS 64

/*
 * Rows scored per token to find n nodes. On MedQuAD they include 93% of the
 * nearest 8 nodes and 90% of the nearest 32. One of several indexes finds fewer
 * nodes per token, and needs fewer spare rows (src/search/README.md).
 */
#define ROWS_PER_NODE    2
#define SPARE_ROWS       16
#define SHARE_SPARE_ROWS 6

void
lists_corrupted(const Lists *lists, uint32 parent)
{
	ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
					errmsg("index \"%s\" has damaged lists: parent %u",
						   RelationGetRelationName(lists->index->rel), parent),
					errhint("REINDEX it.")));
}

static size_t
lists_item_size(const MetaShape *shape, ArrayKind kind)
{
	switch (kind)
	{
		case ARRAY_NODES:
			return sizeof(NodeEntry);
		case ARRAY_PARENTS:
		case ARRAY_CENTROIDS:
			return kernel_sq8_row_size(shape->dim, true);
		case ARRAY_CHILDREN:
			return sizeof(ListSpan);
		case ARRAY_CHILD_EDGES:
			return edge_block_size(rotation_padded(shape->dim));
		default:
			return 0;
	}
}

static void
check_counts(const Lists *lists)
{
	const ColbertIndex *index = lists->index;

	if (parray_nitems(index, ARRAY_NODES) != parray_nitems(index, ARRAY_CENTROIDS) ||
		parray_nitems(index, ARRAY_PARENTS) != parray_nitems(index, ARRAY_CHILDREN))
		ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
						errmsg("index \"%s\" has a damaged meta page",
							   RelationGetRelationName(lists->index->rel)),
						errhint("REINDEX it.")));
}

static Finder *
open_generation(ColbertIndex *index, const SketchParams *params, bool next)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg lists", ALLOCSET_DEFAULT_SIZES);
	Lists *lists = MemoryContextAllocZero(context, sizeof(Lists));

	lists->finder.ops = &lists_finder;
	lists->index = index;
	lists->next = next;
	lists->context = context;
	lists->rotation = params->rotation;
	lists->dim = index->meta.shape.dim;
	lists->row_size = parray_item_size(index, ARRAY_CENTROIDS);
	check_counts(lists);
	lists->reached = MemoryContextAlloc(context, LISTS_CHUNK * lists->dim * sizeof(float));
	lists->packed = MemoryContextAlloc(context, kernel_sq8_query_size(LISTS_CHUNK, lists->dim));
	lists->rotated =
		MemoryContextAlloc(context, LISTS_CHUNK * lists->rotation->padded * sizeof(float));
	lists->edges_packed =
		MemoryContextAlloc(context, kernel_sketch_query_size(LISTS_CHUNK, lists->rotation->padded));
	lists->worst = MemoryContextAlloc(context, LISTS_CHUNK * sizeof(float));
	lists->keys =
		MemoryContextAlloc(context, PAGE_PAYLOAD / lists->row_size * LISTS_CHUNK * sizeof(float));
	return &lists->finder;
}

static Finder *
lists_open(ColbertIndex *index, const SketchParams *params)
{
	return open_generation(index, params, false);
}

static Finder *
lists_open_next(ColbertIndex *index, const SketchParams *params)
{
	return open_generation(index, params, true);
}

static bool
lists_replaced(Finder *finder)
{
	ColbertIndex       *index = ((Lists *) finder)->index;
	Buffer              buffer = meta_lock(index, BUFFER_LOCK_SHARE);
	const MetaPageData *stored = meta_data(BufferGetPage(buffer));
	bool                replaced = stored->lists.first_node != index->meta.lists.first_node;

	if (replaced)
	{
		index->meta.nodes = stored->nodes;
		index->meta.lists = stored->lists;
		for (int kind = ARRAY_NODES; kind < ARRAY_COUNT; kind++)
			index->meta.pages[kind] = stored->pages[kind];
	}
	UnlockReleaseBuffer(buffer);
	return replaced;
}

static void
lists_close(Finder *finder)
{
	MemoryContextDelete(((Lists *) finder)->context);
}

/* ---- finding ---- */

static uint32
parents_to_visit(const FindQuery *query)
{
	uint32 spare = Min(SPARE_VISITS / Max(query->ntokens, 1), MAX_SPARE_PARENTS);

	spare = Max(spare, MIN_PARENTS);
	/* Each of several indexes has fewer parents. */
	if (query->share > 0)
		spare = Max((uint32) (spare * sqrt(query->share)), MIN_SHARE_PARENTS);
	return Max((uint32) (PARENTS_PER_NODE * query->probes), spare);
}

static ListsWidth
width_of(const FindQuery *query)
{
	bool one_of_several = query->share > 0 && query->share < 1;

	return (ListsWidth) {
		.parents = parents_to_visit(query),
		.rows = ROWS_PER_NODE * query->probes + (one_of_several ? SHARE_SPARE_ROWS : SPARE_ROWS),
		.nodes = query->probes,
	};
}

/* Multiply a chunk of the query's tokens by its reach. Returns lists->reached. */
static const float *
reach_tokens(Lists *lists, const FindQuery *query, uint32 first, uint32 n)
{
	const float *tokens = query->tokens + (size_t) first * lists->dim;

	for (size_t k = 0; k < (size_t) n * lists->dim; k++)
		lists->reached[k] = tokens[k] * query->reach;
	return lists->reached;
}

static void
lists_find(Finder *finder, FindQuery *query, NodeHit *hits, uint32 *nhits)
{
	Lists     *lists = (Lists *) finder;
	ListsWidth width = width_of(query);

	lists->looked_at = 0;
	lists_share_edges(lists, query);
	for (uint32 first = 0; first < query->ntokens; first += LISTS_CHUNK)
	{
		uint32 n = Min(query->ntokens - first, LISTS_CHUNK);

		const float *tokens = reach_tokens(lists, query, first, n);

		lists_search(lists, tokens, n, &width);
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
lists_assign(Finder *finder, const float *tokens, uint32 ntokens, NodeHit *nearest)
{
	const ListsWidth width = {ASSIGN_PARENTS, ROWS_PER_NODE + SPARE_ROWS, 1};
	Lists           *lists = (Lists *) finder;

	if (lists_assign_pays(lists, ntokens))
	{
		lists_assign_many(lists, tokens, ntokens, nearest);
		return;
	}
	for (uint32 first = 0; first < ntokens; first += LISTS_CHUNK)
	{
		uint32 n = Min(ntokens - first, LISTS_CHUNK);

		lists_search(lists, tokens + (size_t) first * lists->dim, n, &width);
		for (uint32 t = 0; t < n; t++)
		{
			if (lists->best[t].count == 0)
				lists_corrupted(lists, 0);
			nearest[first + t] = lists->best[t].hits[0];
		}
	}
}

const FinderOps lists_finder = {
	.kind = FINDER_IVF,
	.item_size = lists_item_size,
	.open = lists_open,
	.open_next = lists_open_next,
	.close = lists_close,
	.replaced = lists_replaced,
	.find = lists_find,
	.assign = lists_assign,
	.store = lists_store,
	.check = lists_check,
};
