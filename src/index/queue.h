/*-------------------------------------------------------------------------
 *
 * queue.h
 *	  Queue of pending documents: ordinals, oldest first.
 *
 * The queue consists of items head .. tail - 1 of its array, followed by items
 * 0 .. wrapped - 1. A merge removes documents at the front. Once the array is
 * full, appends reuse the items before head; the array is extended only when
 * every item is in use. It thus has at most as many items as documents were
 * ever pending at one time. When the first part is empty, the second takes its
 * place.
 *
 * These functions change only the meta data passed to them or the index's
 * copy; the caller writes it back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_QUEUE_H
#define COLBERT_QUEUE_H

#include "storage/storage.h"

/* Return the number of queued documents. */
static inline uint32
queue_count(const MetaPageData *meta)
{
	return meta->documents.queue_tail - meta->documents.queue_head + meta->documents.queue_wrapped;
}

/*
 * Return the number of documents at the front with stable positions: later
 * appends come after them, possibly before those of the second part. At least
 * one if the queue is not empty.
 */
static inline uint32
queue_front(const MetaPageData *meta)
{
	return meta->documents.queue_tail - meta->documents.queue_head;
}

/* Return true if the two parts lie within the array and do not overlap. */
static inline bool
queue_is_valid(const MetaPageData *meta)
{
	return meta->documents.queue_head <= meta->documents.queue_tail &&
		   meta->documents.queue_tail <= meta_nitems(meta, ARRAY_QUEUE) &&
		   meta->documents.queue_wrapped <= meta->documents.queue_head;
}

/* Copy the first n documents of the queue, or all if there are fewer. Returns their number. */
extern uint32 queue_copy(ColbertIndex *index, uint32 n, uint32 *docs);

/* Return true if an append needs a new item because all are in use. */
static inline bool
queue_wants_room(const MetaPageData *meta)
{
	return meta->documents.queue_tail == meta_nitems(meta, ARRAY_QUEUE) &&
		   meta->documents.queue_wrapped >= meta->documents.queue_head;
}

/* Append an item and return its ordinal. The array has room if queue_wants_room. */
extern uint32 queue_append(ColbertIndex *index);

/* Remove the first n documents, at most queue_front of them. */
extern void queue_remove(MetaPageData *meta, uint32 n);

#endif /* COLBERT_QUEUE_H */
