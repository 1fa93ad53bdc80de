/*-------------------------------------------------------------------------
 *
 * merge.h
 *	  Merge pending documents into the posting lists.
 *
 * The merge lock admits one merge at a time. A merge takes documents from the
 * front of the queue in batches. A batch writes postings, clears the
 * documents' pending flags, and removes the documents from the queue last. A
 * crash in between leaves documents that are both pending and posted; the next
 * merge posts them again, which adds nothing because writing postings is
 * idempotent. A completed batch is kept even if the merge fails later.
 *
 * A document larger than a batch is merged in parts: the meta page counts the
 * posted tokens of the first document in the queue (queue_posted).
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_MERGE_H
#define COLBERT_MERGE_H

#include "index/view.h"

typedef enum MergeWait
{
	MERGE_WAIT,
	MERGE_IF_FREE /* give up at once if another backend is merging */
} MergeWait;

/*
 * Remove dead documents from the queue without extending the relation. The
 * caller holds the merge lock.
 */
extern void merge_drop_dead(Relation rel);

extern bool merge_lock(Relation rel, MergeWait wait);
extern void merge_unlock(Relation rel);

/*
 * Merge the documents that are pending now; train the first nodes if there are
 * none. Returns the number of documents merged. Takes and releases the merge
 * lock for each batch. urgent_above: see Pace.
 */
extern uint64 merge_pending(Relation rel, uint64 urgent_above);

/*
 * Merge one batch for a caller that holds the merge lock. If this call trains
 * the nodes or begins a document larger than a batch, it continues: to the end
 * of the queue, or of that document. Returns the number of documents merged.
 */
extern uint64 merge_batch_locked(Relation rel, uint64 urgent_above);

/*
 * Merge for about this many milliseconds, in small batches. The caller holds
 * the merge lock, and the index has nodes. Refreshes the view's meta data.
 */
extern void merge_step(IndexView *view, double milliseconds);

#endif /* COLBERT_MERGE_H */
