/*-------------------------------------------------------------------------
 *
 * lists_store.c
 *	  Store trained centroids as the nodes of an inverted-list index.
 *
 * The arrays are written first, behind the items of former generations. The
 * meta data then counts their items in one change, so a crash before that
 * leaves the index as it was.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "miscadmin.h"
#include "nodes/lists.h"

/* Vectors encoded per call. */
#define STORE_ROWS 256

/* Write vectors as code rows, behind those in use. */
static void
store_rows(Lists *lists, ArrayKind array, const float *vectors, uint32 n)
{
	uint32      start = parray_nitems(lists->index, array);
	const Coder coder = lists_coder(lists);
	uint8      *rows = palloc(STORE_ROWS * lists->row_size);

	for (uint32 first = 0; first < n; first += STORE_ROWS)
	{
		uint32 count = Min(n - first, STORE_ROWS);

		CHECK_FOR_INTERRUPTS();
		coder_encode(&coder, vectors + (size_t) first * lists->dim, count, rows, NULL);
		parray_copy_in(lists->index, array, start + first, count, rows);
	}
	pfree(rows);
}

void
lists_encode_edges(const Lists *lists, const uint8 *parent, const uint8 *children, uint32 count,
				   char *blocks)
{
	const Coder coder = lists_coder(lists);
	uint32      padded = lists->rotation->padded;
	float      *vector = palloc(lists->dim * sizeof(float));
	float      *from = palloc(padded * sizeof(float));
	float      *to = palloc(padded * sizeof(float));
	Edge        edge = {.signs = palloc(padded / 8)};

	memset(blocks, 0, edge_blocks_for(count) * edge_block_size(padded));
	coder_decode(&coder, parent, vector, NULL);
	rotation_apply(lists->rotation, vector, from);
	for (uint32 i = 0; i < count; i++)
	{
		EdgeBlock *block = (EdgeBlock *) (blocks + i / EDGE_LANES * edge_block_size(padded));

		coder_decode(&coder, children + i * lists->row_size, vector, NULL);
		rotation_apply(lists->rotation, vector, to);
		edge_encode(from, to, padded, &edge);
		edge_block_put(block, padded, i % EDGE_LANES, &edge);
	}
	pfree(vector);
	pfree(from);
	pfree(to);
	pfree(edge.signs);
}

/* Write the edges from one parent to its children. */
static void
store_edges(Lists *lists, const KmeansResult *trained, uint32 parent, const ListSpan *span)
{
	const Coder coder = lists_coder(lists);
	uint32      nblocks = edge_blocks_for(span->count);
	uint8      *parent_row = palloc(lists->row_size);
	uint8 *rows = palloc_extended(mul_size(Max(span->count, 1), lists->row_size), MCXT_ALLOC_HUGE);
	char  *blocks = palloc_extended(
        mul_size(Max(nblocks, 1), edge_block_size(lists->rotation->padded)), MCXT_ALLOC_HUGE);

	coder_encode(&coder, trained->parents + (size_t) parent * lists->dim, 1, parent_row, NULL);
	coder_encode(&coder, trained->centroids + (size_t) trained->child_start[parent] * lists->dim,
				 span->count, rows, NULL);
	lists_encode_edges(lists, parent_row, rows, span->count, blocks);
	parray_copy_in(lists->index, ARRAY_CHILD_EDGES, span->first_block, nblocks, blocks);
	pfree(parent_row);
	pfree(rows);
	pfree(blocks);
}

/* Return the span of children of each parent. */
static ListSpan *
lay_out_spans(const Lists *lists, const KmeansResult *trained)
{
	uint32    first = parray_nitems(lists->index, ARRAY_CENTROIDS);
	ListSpan *spans =
		palloc_extended(mul_size(trained->nparents, sizeof(ListSpan)), MCXT_ALLOC_HUGE);
	uint32 next_block = parray_nitems(lists->index, ARRAY_CHILD_EDGES);

	for (uint32 p = 0; p < trained->nparents; p++)
	{
		spans[p] = (ListSpan) {first + trained->child_start[p],
							   trained->child_start[p + 1] - trained->child_start[p], next_block};
		next_block += edge_blocks_for(spans[p].count);
	}
	return spans;
}

/* Write n nodes with empty posting lists. */
static void
store_nodes(Lists *lists, uint32 n)
{
	NodeEntry *nodes =
		palloc_extended(mul_size(n, sizeof(NodeEntry)), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	for (uint32 i = 0; i < n; i++)
	{
		nodes[i].postings.block = InvalidBlockNumber;
		nodes[i].upper = INVALID_ORDINAL;
	}
	parray_copy_in(lists->index, ARRAY_NODES, parray_nitems(lists->index, ARRAY_NODES), n, nodes);
	pfree(nodes);
}

/* Count the items of all arrays, for searches if there are no nodes, otherwise to be filled. */
static void
publish(Lists *lists, const ArrayDemand *arrays, int narrays)
{
	MetaPageData *meta = &lists->index->meta;

	if (has_nodes(meta))
	{
		meta->lists.next_parent = meta_nitems(meta, ARRAY_PARENTS);
		meta->lists.next_node = meta_nitems(meta, ARRAY_NODES);
		meta->lists.next_postings = 0;
	}
	for (int i = 0; i < narrays; i++)
		parray_take(lists->index, arrays[i].kind, (uint32) arrays[i].count);
	meta->nodes.entry_node = 0;
	meta_write_nodes(lists->index);
}

void
lists_store(Finder *finder, const KmeansResult *trained, uint32 *node_of)
{
	Lists            *lists = (Lists *) finder;
	ListSpan         *spans = lay_out_spans(lists, trained);
	const ListSpan   *last = &spans[trained->nparents - 1];
	const ArrayDemand arrays[] = {
		{ARRAY_PARENTS, trained->nparents},
		{ARRAY_CHILDREN, trained->nparents},
		{ARRAY_NODES, trained->ncentroids},
		{ARRAY_CENTROIDS, trained->ncentroids},
		{ARRAY_CHILD_EDGES,
		 last->first_block + edge_blocks_for(last->count) - spans[0].first_block}};

	parray_make_room(lists->index, arrays, lengthof(arrays));
	store_rows(lists, ARRAY_PARENTS, trained->parents, trained->nparents);
	store_rows(lists, ARRAY_CENTROIDS, trained->centroids, trained->ncentroids);
	for (uint32 p = 0; p < trained->nparents; p++)
	{
		CHECK_FOR_INTERRUPTS();
		if (p == trained->nparents / 2)
			COLBERT_PAUSE("nodes-stored");
		store_edges(lists, trained, p, &spans[p]);
	}
	parray_copy_in(lists->index, ARRAY_CHILDREN, parray_nitems(lists->index, ARRAY_CHILDREN),
				   trained->nparents, spans);
	pfree(spans);
	store_nodes(lists, trained->ncentroids);
	for (uint32 i = 0; i < trained->ncentroids; i++)
		node_of[i] = parray_nitems(lists->index, ARRAY_NODES) + i;
	publish(lists, arrays, lengthof(arrays));
}
