/*-------------------------------------------------------------------------
 *
 * lists.c
 *	  The two levels of trained centroids of an index, as a finder.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "index/lists.h"
#include "utils/memutils.h"

/* To find n nodes: children of so many parents, measured at 16,384 nodes and at 848,000 (doc/performance.md). */
#define FIND_PARENTS(n) Max((uint32) (.8 * (n)), 16)

size_t
lists_row_size(uint32 dim)
{
	return kernel_sq8_row_size(dim, true);
}

void
lists_corrupted(const Lists *lists, uint32 parent)
{
	ereport(ERROR,
			(errcode(ERRCODE_INDEX_CORRUPTED),
			 errmsg("index \"%s\" has damaged lists: parent %u",
					RelationGetRelationName(lists->index->rel), parent),
			 errhint("REINDEX it.")));
}

static bool
lists_fits(uint32 dim)
{
	return lists_row_size(dim) <= PAGE_PAYLOAD && edge_block_size(rotation_padded(dim)) <= PAGE_PAYLOAD;
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
		ereport(ERROR,
				(errcode(ERRCODE_INDEX_CORRUPTED),
				 errmsg("index \"%s\" has a damaged meta page", RelationGetRelationName(lists->index->rel)),
				 errhint("REINDEX it.")));
}

static void *
lists_open(ColbertIndex *index, MetaPageData *meta, const SketchParams *params)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "colbert lists", ALLOCSET_DEFAULT_SIZES);
	Lists	   *lists = MemoryContextAllocZero(context, sizeof(Lists));

	lists->index = index;
	lists->meta = meta;
	lists->context = context;
	lists->rotation = params->rotation;
	lists->dim = meta->dim;
	lists->row_size = lists_row_size(meta->dim);
	check_shape(lists);
	lists->packed = MemoryContextAlloc(context, kernel_sq8_query_size(LISTS_CHUNK, lists->dim));
	lists->rotated = MemoryContextAlloc(context, LISTS_CHUNK * lists->rotation->padded * sizeof(float));
	lists->edges_packed = MemoryContextAlloc(context, kernel_sketch_query_size(LISTS_CHUNK, lists->rotation->padded));
	lists->worst = MemoryContextAlloc(context, LISTS_CHUNK * sizeof(float));
	lists->keys = MemoryContextAlloc(context, PAGE_PAYLOAD / lists->row_size * LISTS_CHUNK * sizeof(float));
	return lists;
}

static void
lists_close(void *state)
{
	MemoryContextDelete(((Lists *) state)->context);
}

/* ---- finding ---- */

static void
lists_find(void *state, FindQuery *query, NodeHit *hits, uint32 *nhits)
{
	Lists	   *lists = state;
	uint32		parents = FIND_PARENTS(query->probes);

	lists->looked_at = 0;
	for (uint32 first = 0; first < query->ntokens; first += LISTS_CHUNK)
	{
		uint32		n = Min(query->ntokens - first, LISTS_CHUNK);

		lists_search(lists, query->tokens + (size_t) first * lists->dim, n, query->probes, parents);
		for (uint32 t = 0; t < n; t++)
		{
			const TopHits *best = &lists->best[t];

			nhits[first + t] = best->count;
			memcpy(hits + (size_t) (first + t) * query->probes, best->hits, best->count * sizeof(NodeHit));
		}
	}
	query->hops += lists->looked_at;
}

static void
lists_assign(void *state, const float *tokens, uint32 ntokens, NodeHit *nearest)
{
	Lists	   *lists = state;

	if (lists_assign_pays(lists, ntokens))
	{
		lists_assign_many(lists, tokens, ntokens, nearest);
		return;
	}
	for (uint32 first = 0; first < ntokens; first += LISTS_CHUNK)
	{
		uint32		n = Min(ntokens - first, LISTS_CHUNK);

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
