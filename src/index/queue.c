/*-------------------------------------------------------------------------
 *
 * queue.c
 *	  Queue of pending documents.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "index/queue.h"

uint32
queue_copy(ColbertIndex *index, uint32 n, uint32 *docs)
{
	const MetaPageData *meta = &index->meta;
	uint32              first = Min(n, queue_front(meta));
	uint32              second = Min(n - first, meta->documents.queue_wrapped);

	parray_copy_out(index, ARRAY_QUEUE, meta->documents.queue_head, first, docs);
	parray_copy_out(index, ARRAY_QUEUE, 0, second, docs + first);
	return first + second;
}

uint32
queue_append(ColbertIndex *index)
{
	MetaPageData *meta = &index->meta;
	bool          at_end = meta->documents.queue_tail == meta_nitems(meta, ARRAY_QUEUE);

	if ((at_end || meta->documents.queue_wrapped > 0) &&
		meta->documents.queue_wrapped < meta->documents.queue_head)
		return meta->documents.queue_wrapped++;
	if (at_end)
		parray_take(index, ARRAY_QUEUE, 1);
	return meta->documents.queue_tail++;
}

void
queue_remove(MetaPageData *meta, uint32 n)
{
	meta->documents.queue_head += Min(n, queue_front(meta));
	if (meta->documents.queue_head < meta->documents.queue_tail)
		return;
	meta->documents.queue_head = 0;
	meta->documents.queue_tail = meta->documents.queue_wrapped;
	meta->documents.queue_wrapped = 0;
}
