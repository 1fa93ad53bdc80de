/*-------------------------------------------------------------------------
 *
 * lists_check.c
 *	  Checking the two levels of centroids: each centroid is the child of one
 *	  parent, and rows are what a codec makes.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "codec/codec.h"
#include "index/lists.h"
#include "miscadmin.h"

/* Of the addend of a row, for the order of its sum. */
#define ADD_TOLERANCE 1e-4

typedef struct ListsCheck
{
	ColbertIndex *index;
	const MetaPageData *meta;
	Findings   *findings;
} ListsCheck;

/* Children are runs, one after another, of all centroids. */
static void
check_children(ListsCheck *check)
{
	uint32		nparents = check->meta->arrays[ARRAY_CHILDREN].nitems;
	uint32		ncentroids = check->meta->arrays[ARRAY_CENTROIDS].nitems;
	uint64		next = 0;

	for (uint32 parent = 0; parent < nparents; parent++)
	{
		ListSpan	span;

		CHECK_FOR_INTERRUPTS();
		parray_copy_out(check->index, check->meta, ARRAY_CHILDREN, parent, 1, &span);
		if (span.first != next || span.count > ncentroids - next)
		{
			findings_add(check->findings, FINDING_ERROR, parent,
						 "parent has %u children from %u on, expected them from " UINT64_FORMAT " on, of %u",
						 span.count, span.first, next, ncentroids);
			return;
		}
		next += span.count;
	}
	if (next != ncentroids)
		findings_add(check->findings, FINDING_ERROR, NO_ITEM, "parents have " UINT64_FORMAT " children, there are %u", next, ncentroids);
}

/* Is a row's addend -|x|^2/2 of what it decodes to? */
static bool
row_agrees(const Coder *coder, const uint8 *row, float *vector)
{
	double		square = 0;
	float		add;

	coder->codec->decode(coder, row, vector, NULL);
	for (uint32 i = 0; i < coder->shape.dim; i++)
		square += (double) vector[i] * vector[i];
	memcpy(&add, row + sizeof(float), sizeof(add));
	return fabs(add + square / 2) <= ADD_TOLERANCE * square;
}

static void
check_rows(ListsCheck *check, ArrayKind array, const char *name)
{
	const Coder coder = {&codec_sq8, {.dim = check->meta->dim, .has_add = true}};
	uint32		nrows = check->meta->arrays[array].nitems;
	uint8	   *row = palloc(coder_row_size(&coder));
	float	   *vector = palloc(check->meta->dim * sizeof(float));

	for (uint32 i = 0; i < nrows; i++)
	{
		CHECK_FOR_INTERRUPTS();
		parray_copy_out(check->index, check->meta, array, i, 1, row);
		if (!row_agrees(&coder, row, vector))
			findings_add(check->findings, FINDING_ERROR, i, "%s has a vector of another length than it says", name);
	}
	pfree(row);
	pfree(vector);
}

static void
check_nodes(ListsCheck *check)
{
	const MetaPageData *meta = check->meta;
	uint32		nnodes = meta->arrays[ARRAY_NODES].nitems;

	if (meta->entry_node != (nnodes > 0 ? 0 : INVALID_ORDINAL))
		findings_add(check->findings, FINDING_ERROR, NO_ITEM, "entry is node %u of %u", meta->entry_node, nnodes);
	for (uint32 node = 0; node < nnodes; node++)
	{
		NodeEntry	entry;

		CHECK_FOR_INTERRUPTS();
		parray_copy_out(check->index, meta, ARRAY_NODES, node, 1, &entry);
		if (entry.upper != INVALID_ORDINAL)
			findings_add(check->findings, FINDING_ERROR, node, "node leads to upper entry %u, of which lists have none", entry.upper);
	}
}

void
lists_check(ColbertIndex *index, MetaPageData *meta, const SketchParams *params, Findings *findings, bool encodings)
{
	ListsCheck	check = {index, meta, findings};

	/* Sizes and counts are looked at on opening. */
	lists_finder.close(lists_finder.open(index, meta, params));
	check_nodes(&check);
	check_children(&check);
	check_rows(&check, ARRAY_PARENTS, "parent");
	check_rows(&check, ARRAY_CENTROIDS, "centroid");
}
