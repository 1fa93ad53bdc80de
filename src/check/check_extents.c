/*-------------------------------------------------------------------------
 *
 * check_extents.c
 *	  Extent maps: extents lie within the file and apart from each other,
 *	  have room for the items handed out, and items have the right size.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "check/check.h"

static void
check_array(Check *check, ArrayKind kind)
{
	const ArrayMeta *array = &check->view->meta.arrays[kind];
	uint64		npages = 0;
	uint64		room;
	size_t		size;

	for (uint32 i = 0; i < array->nextents; i++)
	{
		Extent		extent = array->extents[i];

		npages += extent.npages;
		if (extent.npages == 0 || extent.start == META_BLOCK ||
			(uint64) extent.start + extent.npages > check->nblocks)
			findings_add(check->findings, FINDING_ERROR, extent.start,
						 "extent %u of array %d has %u pages from block %u on, the file has %u",
						 i, (int) kind, extent.npages, extent.start, check->nblocks);
	}
	if (view_item_size(&check->view->meta, kind, &size) && array->item_size != size)
		findings_add(check->findings, FINDING_ERROR, NO_ITEM, "array %d has items of %u bytes, expected %zu",
					 (int) kind, array->item_size, size);
	if (array->item_size == 0)
		return;					/* an array that this index does without */
	room = npages * parray_per_page(array);
	if (array->nitems > room)
		findings_add(check->findings, FINDING_ERROR, NO_ITEM,
					 "array %d has room for " UINT64_FORMAT " items, and %u were handed out",
					 (int) kind, room, array->nitems);
}

void
check_extents(Check *check)
{
	PlacedExtent *extents = palloc(ARRAY_COUNT * MAX_EXTENTS * sizeof(PlacedExtent));
	int			n = parray_sorted_extents(&check->view->meta, extents);

	for (int kind = 0; kind < ARRAY_COUNT; kind++)
		check_array(check, kind);
	for (int i = 1; i < n; i++)
		if ((uint64) extents[i - 1].extent.start + extents[i - 1].extent.npages > extents[i].extent.start)
			findings_add(check->findings, FINDING_ERROR, extents[i].extent.start,
						 "extents of arrays %d and %d overlap", (int) extents[i - 1].array, (int) extents[i].array);
	check->extents_agree = check->findings->in_part == 0;
	pfree(extents);
}
