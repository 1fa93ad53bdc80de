/*-------------------------------------------------------------------------
 *
 * array.h
 *	  Arrays that grow.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_ARRAY_H
#define COLBERT_ARRAY_H

#include "compat/pg_compat.h"

#define ARRAY_MAX_ITEMS PG_UINT32_MAX

extern void *array_grow(void *items, uint32 *capacity, Size needed, Size item_size,
						MemoryContext context);

/*
 * Make room for this many items; returns the array, which may have moved. It
 * doubles, so that adding n items one by one copies less than 2 n. A new array,
 * NULL until then, is allocated in the context.
 */
static inline void *
array_reserve(void *items, uint32 *capacity, Size needed, Size item_size, MemoryContext context)
{
	return needed <= *capacity ? items : array_grow(items, capacity, needed, item_size, context);
}

#endif /* COLBERT_ARRAY_H */
