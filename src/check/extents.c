/*-------------------------------------------------------------------------
 *
 * extents.c
 *	  Check the extent maps.
 *
 * Extents lie within the file, do not overlap, and hold all items handed out.
 * Items have the size that the shape of the index implies.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "check/check.h"
#include "index/shape.h"

static void
check_array(Check *check, ArrayKind kind)
{
	const ColbertIndex *index = check->view->index;
	size_t              item_size = parray_item_size(index, kind);
	uint64              room;
	size_t              expected = shape_item_size(&index->meta.shape, kind);

	if (item_size != expected)
		findings_add(check->findings, FINDING_ERROR, NO_ITEM,
					 "array %d has items of %zu bytes, expected %zu", (int) kind, item_size,
					 expected);
	if (item_size == 0)
		return; /* an array that this index does not use */
	room = (uint64) index->meta.pages[kind].npages * parray_per_page(index, kind);
	if (parray_nitems(index, kind) > room)
		findings_add(check->findings, FINDING_ERROR, NO_ITEM,
					 "array %d has room for " UINT64_FORMAT " items, but %u were allocated",
					 (int) kind, room, parray_nitems(index, kind));
}

/* Check one extent or map page against the file's size and against its predecessor. */
static void
check_extent(Check *check, const PlacedExtent *extent, const PlacedExtent *before)
{
	if (extent->start == META_BLOCK || (uint64) extent->start + extent->npages > check->nblocks)
		findings_add(check->findings, FINDING_ERROR, extent->start,
					 "extent of array %d has %u pages from block %u, but the file has %u blocks",
					 (int) extent->array, extent->npages, extent->start, check->nblocks);
	if (before != NULL && (uint64) before->start + before->npages > extent->start)
		findings_add(check->findings, FINDING_ERROR, extent->start,
					 "extents of arrays %d and %d overlap", (int) before->array,
					 (int) extent->array);
}

void
check_extents(Check *check)
{
	ExtentList list;

	extents_list(check->view->index, &list);
	for (int kind = 0; kind < ARRAY_COUNT; kind++)
		check_array(check, kind);
	for (int i = 0; i < list.nextents; i++)
		check_extent(check, &list.extents[i], i > 0 ? &list.extents[i - 1] : NULL);
	check->extents_agree = check->findings->in_part == 0;
	pfree(list.extents);
}
