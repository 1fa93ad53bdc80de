/*-------------------------------------------------------------------------
 *
 * merge.h
 *	  Moving pending documents into the posting lists.
 *
 * One merge at a time, under the merge lock. A merge writes postings (which
 * is idempotent), clears the documents' pending flags, and advances the
 * queue's head last: a crash in between leaves documents that are both
 * pending and posted, which the next merge posts again to no effect.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_MERGE_H
#define COLBERT_MERGE_H

#include "index/view.h"

typedef enum MergeWait
{
	MERGE_WAIT,
	MERGE_IF_FREE				/* give up at once where somebody else merges */
} MergeWait;

/* Returns the number of documents merged. The merge lock is taken and released here. */
extern uint64 merge_pending(Relation rel, MergeWait wait);

/* The same for a caller that holds the merge lock. */
extern uint64 merge_pending_locked(Relation rel);

/* Take dead documents out of the queue, which needs no room on the disk. The merge lock is held. */
extern void merge_drop_dead(Relation rel);

extern bool merge_lock(Relation rel, MergeWait wait);
extern void merge_unlock(Relation rel);

#endif							/* COLBERT_MERGE_H */
