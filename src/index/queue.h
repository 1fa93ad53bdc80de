/*-------------------------------------------------------------------------
 *
 * queue.h
 *	  The queue of pending documents: ordinals, the oldest first.
 *
 * The queue is items head .. tail - 1 of its array, followed by items
 * 0 .. wrapped - 1. A merge removes documents at the front. An append fills
 * the items before head once the array is full, and extends the array only
 * when every item is in use, so that the array holds no more items than
 * documents were ever pending at one time. When the first part is empty, the
 * second takes its place.
 *
 * These functions work on the meta data that they are given, or on the index's
 * copy; the caller writes it back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_QUEUE_H
#define COLBERT_QUEUE_H

#include "storage/storage.h"

/* The number of queued documents. */
static inline uint32
queue_count(const MetaPageData *meta)
{
	return meta->documents.queue_tail - meta->documents.queue_head + meta->documents.queue_wrapped;
}

/*
 * The number of documents at the front whose places stay as they are: appends
 * may come between those and the second part. At least one if there is any.
 */
static inline uint32
queue_front(const MetaPageData *meta)
{
	return meta->documents.queue_tail - meta->documents.queue_head;
}

/* Return true if the two parts lie within the array and apart from each other. */
static inline bool
queue_is_valid(const MetaPageData *meta)
{
	return meta->documents.queue_head <= meta->documents.queue_tail &&
		   meta->documents.queue_tail <= meta_nitems(meta, ARRAY_QUEUE) &&
		   meta->documents.queue_wrapped <= meta->documents.queue_head;
}

/* Copy the first n documents of the queue, or all if there are fewer; return their number. */
extern uint32 queue_copy(ColbertIndex *index, uint32 n, uint32 *docs);

/* Return true if an append needs a new item: every one is in use. */
static inline bool
queue_wants_room(const MetaPageData *meta)
{
	return meta->documents.queue_tail == meta_nitems(meta, ARRAY_QUEUE) &&
		   meta->documents.queue_wrapped >= meta->documents.queue_head;
}

/* The item to append at. The array has room for a new one if that is wanted. */
extern uint32 queue_append(ColbertIndex *index);

/* Remove the first n documents, at most those of queue_front as it was. */
extern void queue_remove(MetaPageData *meta, uint32 n);

#endif /* COLBERT_QUEUE_H */
