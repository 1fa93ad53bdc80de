/*-------------------------------------------------------------------------
 *
 * queue.c
 *	  The queue of pending documents.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "index/queue.h"

uint32
queue_copy(ColbertIndex *index, const MetaPageData *meta, uint32 n, uint32 *docs)
{
	uint32 first = Min(n, queue_front(meta));
	uint32 second = Min(n - first, meta->queue_wrapped);

	parray_copy_out(index, meta, ARRAY_QUEUE, meta->queue_head, first, docs);
	parray_copy_out(index, meta, ARRAY_QUEUE, 0, second, docs + first);
	return first + second;
}

uint32
queue_append(MetaPageData *meta)
{
	bool at_end = meta->queue_tail == meta->arrays[ARRAY_QUEUE].nitems;

	if ((at_end || meta->queue_wrapped > 0) && meta->queue_wrapped < meta->queue_head)
		return meta->queue_wrapped++;
	if (at_end)
		parray_take(meta, ARRAY_QUEUE, 1);
	return meta->queue_tail++;
}

void
queue_remove(MetaPageData *meta, uint32 n)
{
	meta->queue_head += Min(n, queue_front(meta));
	if (meta->queue_head < meta->queue_tail)
		return;
	meta->queue_head = 0;
	meta->queue_tail = meta->queue_wrapped;
	meta->queue_wrapped = 0;
}
