/*-------------------------------------------------------------------------
 *
 * array.c
 *	  Arrays that grow.
 *
 *-------------------------------------------------------------------------
 */
#include "base/array.h"

#include "utils/memutils.h"

#define MIN_CAPACITY 64

void *
array_grow(void *items, uint32 *capacity, Size needed, Size item_size, MemoryContext context)
{
	Size doubled = Min((Size) *capacity * 2, ARRAY_MAX_ITEMS);
	Size grown = Max(Max(needed, doubled), MIN_CAPACITY);

	if (grown > ARRAY_MAX_ITEMS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("an array of %zu items is too large", needed)));
	items = items == NULL ? MemoryContextAllocHuge(context, mul_size(grown, item_size))
						  : repalloc_huge(items, mul_size(grown, item_size));
	*capacity = (uint32) grown;
	return items;
}
