/*-------------------------------------------------------------------------
 *
 * lists.c
 *	  The two levels of trained centroids of an index: storing them, and the
 *	  finder that they make.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "codec/codec.h"
#include "index/lists.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* Parents whose children are looked at, to assign a token: as many as the build looks at. */
#define ASSIGN_PARENTS 4

/* To find so many nodes: a parent for each two of them, at least these. Measured on MedQuAD (doc/tuning.md). */
#define LEAST_FIND_PARENTS 16
#define FIND_NODES_A_PARENT 1

/* Rows that are encoded at a time. */
#define STORE_ROWS 256

static inline CodecShape
row_shape(uint32 dim)
{
	return (CodecShape) {.dim = dim, .has_add = true};
}

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
	return lists_row_size(dim) <= PAGE_PAYLOAD;
}

static void
lists_lay_out(MetaPageData *meta)
{
	meta->arrays[ARRAY_NODES].item_size = sizeof(NodeEntry);
	meta->arrays[ARRAY_PARENTS].item_size = lists_row_size(meta->dim);
	meta->arrays[ARRAY_CHILDREN].item_size = sizeof(ListSpan);
	meta->arrays[ARRAY_CENTROIDS].item_size = lists_row_size(meta->dim);
}

static void
check_shape(const Lists *lists)
{
	const ArrayMeta *arrays = lists->meta->arrays;

	if (arrays[ARRAY_NODES].item_size != sizeof(NodeEntry) ||
		arrays[ARRAY_PARENTS].item_size != lists->row_size ||
		arrays[ARRAY_CENTROIDS].item_size != lists->row_size ||
		arrays[ARRAY_CHILDREN].item_size != sizeof(ListSpan) ||
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
	lists->dim = meta->dim;
	lists->row_size = lists_row_size(meta->dim);
	check_shape(lists);
	lists->packed = MemoryContextAlloc(context, kernel_sq8_query_size(LISTS_CHUNK, lists->dim));
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
	uint32		parents = Max(query->probes / FIND_NODES_A_PARENT, LEAST_FIND_PARENTS);

	lists->looked_at = 0;
	for (uint32 first = 0; first < query->ntokens; first += LISTS_CHUNK)
	{
		uint32		n = Min(query->ntokens - first, LISTS_CHUNK);

		lists_search(lists, query->tokens + (size_t) first * lists->dim, n, query->probes, parents);
		for (uint32 t = 0; t < n; t++)
			nhits[first + t] = pool_best(&lists->pools[t], query->probes, hits + (size_t) (first + t) * query->probes);
	}
	query->hops += lists->looked_at;
}

static void
lists_assign(void *state, const float *tokens, uint32 ntokens, NodeHit *nearest)
{
	Lists	   *lists = state;

	for (uint32 first = 0; first < ntokens; first += LISTS_CHUNK)
	{
		uint32		n = Min(ntokens - first, LISTS_CHUNK);

		lists_search(lists, tokens + (size_t) first * lists->dim, n, 1, ASSIGN_PARENTS);
		for (uint32 t = 0; t < n; t++)
			if (pool_best(&lists->pools[t], 1, &nearest[first + t]) == 0)
				lists_corrupted(lists, 0);
	}
}

/* ---- storing ---- */

/* Write vectors as rows, from item 0 on. */
static void
store_rows(Lists *lists, ArrayKind array, const float *vectors, uint32 n)
{
	const Coder coder = {&codec_sq8, row_shape(lists->dim)};
	uint8	   *rows = palloc(STORE_ROWS * lists->row_size);

	for (uint32 first = 0; first < n; first += STORE_ROWS)
	{
		uint32		count = Min(n - first, STORE_ROWS);

		CHECK_FOR_INTERRUPTS();
		codec_sq8.encode(&coder, vectors + (size_t) first * lists->dim, count, rows, NULL);
		parray_copy_in(lists->index, lists->meta, array, first, count, rows);
	}
	pfree(rows);
}

/* The runs of children, and nodes without postings. */
static void
store_ordinals(Lists *lists, const KmeansResult *trained)
{
	ListSpan   *spans = palloc_extended(mul_size(trained->nparents, sizeof(ListSpan)), MCXT_ALLOC_HUGE);
	NodeEntry  *nodes = palloc_extended(mul_size(trained->ncentroids, sizeof(NodeEntry)), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	for (uint32 p = 0; p < trained->nparents; p++)
		spans[p] = (ListSpan) {trained->child_start[p], trained->child_start[p + 1] - trained->child_start[p]};
	for (uint32 i = 0; i < trained->ncentroids; i++)
	{
		nodes[i].postings.block = InvalidBlockNumber;
		nodes[i].upper = INVALID_ORDINAL;
	}
	parray_copy_in(lists->index, lists->meta, ARRAY_CHILDREN, 0, trained->nparents, spans);
	parray_copy_in(lists->index, lists->meta, ARRAY_NODES, 0, trained->ncentroids, nodes);
	pfree(spans);
	pfree(nodes);
}

static void
lists_store(void *state, const KmeansResult *trained, uint32 *node_of)
{
	static const ArrayKind of_parents[] = {ARRAY_PARENTS, ARRAY_CHILDREN};
	static const ArrayKind of_nodes[] = {ARRAY_NODES, ARRAY_CENTROIDS};
	Lists	   *lists = state;
	MetaPageData *meta = lists->meta;
	Buffer		buffer = meta_lock(lists->index, BUFFER_LOCK_EXCLUSIVE);

	for (int i = 0; i < 2; i++)
	{
		parray_make_room(lists->index, buffer, meta, of_parents[i], trained->nparents);
		parray_make_room(lists->index, buffer, meta, of_nodes[i], trained->ncentroids);
	}
	UnlockReleaseBuffer(buffer);

	store_rows(lists, ARRAY_PARENTS, trained->parents, trained->nparents);
	store_rows(lists, ARRAY_CENTROIDS, trained->centroids, trained->ncentroids);
	store_ordinals(lists, trained);
	for (uint32 i = 0; i < trained->ncentroids; i++)
		node_of[i] = i;

	/* From here on there are nodes. */
	for (int i = 0; i < 2; i++)
	{
		parray_take(meta, of_parents[i], trained->nparents);
		parray_take(meta, of_nodes[i], trained->ncentroids);
	}
	meta->entry_node = 0;
	meta_write_nodes(lists->index, meta);
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
