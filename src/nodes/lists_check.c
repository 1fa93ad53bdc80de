/*-------------------------------------------------------------------------
 *
 * lists_check.c
 *	  Check the two levels of centroids.
 *
 * Each centroid must be the child of one parent, rows must be valid codes, and
 * edges must agree with the rows.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "miscadmin.h"
#include "nodes/lists.h"

/*
 * Tolerance for the addend of a row, relative to its squared length; it allows
 * for another order of summation.
 */
#define ADD_TOLERANCE 1e-4

typedef struct ListsCheck
{
	ColbertIndex *index;
	const Lists  *lists;
	Findings     *findings;
} ListsCheck;

/* Encode a parent's edges again and compare them with the stored ones. */
static void
check_edges(ListsCheck *check, uint32 parent, const ListSpan *span)
{
	const Lists *lists = check->lists;
	uint32       nblocks = edge_blocks_for(span->count);
	Size         size = mul_size(nblocks, parray_item_size(check->index, ARRAY_CHILD_EDGES));
	uint8       *parent_row = palloc(lists->row_size);
	uint8 *rows = palloc_extended(Max(mul_size(span->count, lists->row_size), 1), MCXT_ALLOC_HUGE);
	char  *stored = palloc_extended(Max(size, 1), MCXT_ALLOC_HUGE);
	char  *again = palloc_extended(Max(size, 1), MCXT_ALLOC_HUGE);

	parray_copy_out(check->index, ARRAY_PARENTS, parent, 1, parent_row);
	parray_copy_out(check->index, ARRAY_CENTROIDS, span->first, span->count, rows);
	parray_copy_out(check->index, ARRAY_CHILD_EDGES, span->first_block, nblocks, stored);
	lists_encode_edges(lists, parent_row, rows, span->count, again);
	if (memcmp(stored, again, size) != 0)
		findings_add(check->findings, FINDING_ERROR, parent,
					 "edges of a parent do not match its children");
	pfree(parent_row);
	pfree(rows);
	pfree(stored);
	pfree(again);
}

/*
 * Check the children of all parents: their spans and the blocks of their edges
 * must follow each other without gaps.
 */
static void
check_children(ListsCheck *check, bool edges)
{
	uint32 nparents = parray_nitems(check->index, ARRAY_CHILDREN);
	uint32 ncentroids = parray_nitems(check->index, ARRAY_CENTROIDS);
	uint32 nblocks = parray_nitems(check->index, ARRAY_CHILD_EDGES);
	uint64 next = 0;
	uint64 next_block = 0;

	for (uint32 parent = 0; parent < nparents; parent++)
	{
		ListSpan span;

		CHECK_FOR_INTERRUPTS();
		parray_copy_out(check->index, ARRAY_CHILDREN, parent, 1, &span);
		if (span.first != next || span.count > ncentroids - next)
		{
			findings_add(
				check->findings, FINDING_ERROR, parent,
				"parent has %u children from centroid %u on, expected centroid " UINT64_FORMAT
				" of %u",
				span.count, span.first, next, ncentroids);
			return;
		}
		if (span.first_block != next_block || edge_blocks_for(span.count) > nblocks - next_block)
		{
			findings_add(check->findings, FINDING_ERROR, parent,
						 "edges of parent begin at block %u, expected block " UINT64_FORMAT
						 " of %u",
						 span.first_block, next_block, nblocks);
			return;
		}
		if (edges)
			check_edges(check, parent, &span);
		next += span.count;
		next_block += edge_blocks_for(span.count);
	}
	if (next != ncentroids)
		findings_add(check->findings, FINDING_ERROR, NO_ITEM,
					 "parents have " UINT64_FORMAT " children, expected %u", next, ncentroids);
	if (next_block != nblocks)
		findings_add(check->findings, FINDING_ERROR, NO_ITEM,
					 "parents have " UINT64_FORMAT " blocks of edges, expected %u", next_block,
					 nblocks);
}

/* Return true if a row's addend equals -|x|^2/2 of the vector it decodes to. */
static bool
row_agrees(const Coder *coder, const uint8 *row, float *vector)
{
	double square = 0;
	float  add;

	coder_decode(coder, row, vector, NULL);
	for (uint32 i = 0; i < coder->shape.dim; i++)
		square += (double) vector[i] * vector[i];
	memcpy(&add, row + sizeof(float), sizeof(add));
	return fabs(add + square / 2) <= ADD_TOLERANCE * square;
}

static void
check_rows(ListsCheck *check, ArrayKind array, const char *name)
{
	const Coder coder = lists_coder(check->lists);
	uint32      nrows = parray_nitems(check->index, array);
	uint8      *row = palloc(coder_row_size(&coder));
	float      *vector = palloc(check->lists->dim * sizeof(float));

	for (uint32 i = 0; i < nrows; i++)
	{
		CHECK_FOR_INTERRUPTS();
		parray_copy_out(check->index, array, i, 1, row);
		if (!row_agrees(&coder, row, vector))
			findings_add(check->findings, FINDING_ERROR, i, "%s has a wrong stored length", name);
	}
	pfree(row);
	pfree(vector);
}

static void
check_nodes(ListsCheck *check)
{
	const MetaPageData *meta = &check->index->meta;
	uint32              nnodes = meta_nitems(meta, ARRAY_NODES);

	if (meta->nodes.entry_node != (nnodes > 0 ? 0 : INVALID_ORDINAL))
		findings_add(check->findings, FINDING_ERROR, NO_ITEM, "entry point is node %u of %u",
					 meta->nodes.entry_node, nnodes);
	for (uint32 node = 0; node < nnodes; node++)
	{
		NodeEntry entry;

		CHECK_FOR_INTERRUPTS();
		parray_copy_out(check->index, ARRAY_NODES, node, 1, &entry);
		if (entry.upper != INVALID_ORDINAL)
			findings_add(check->findings, FINDING_ERROR, node,
						 "node refers to upper entry %u, expected none", entry.upper);
	}
}

void
lists_check(ColbertIndex *index, const SketchParams *params, Findings *findings, bool encodings)
{
	/* Opening the finder checks sizes and counts. */
	Finder    *finder = finder_open(index, params);
	ListsCheck check = {index, (Lists *) finder, findings};

	check_nodes(&check);
	check_children(&check, encodings);
	check_rows(&check, ARRAY_PARENTS, "parent");
	check_rows(&check, ARRAY_CENTROIDS, "centroid");
	finder_close(finder);
}
