/*-------------------------------------------------------------------------
 *
 * merge.h
 *	  Moving pending documents into the posting lists.
 *
 * One merge at a time, under the merge lock. A merge takes documents from the
 * front of the queue, a batch at a time. A batch writes postings (which is
 * idempotent), clears the documents' pending flags, and removes them from the
 * queue last: a crash in between leaves documents that are both pending and
 * posted, which the next merge posts again to no effect. What a batch has
 * done stays done, whatever becomes of the merge.
 *
 * A document that is larger than a batch is merged in parts: the meta page
 * counts the tokens of the first document in the queue that have postings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_MERGE_H
#define COLBERT_MERGE_H

#include "index/view.h"

typedef enum MergeWait
{
	MERGE_WAIT,
	MERGE_IF_FREE /* give up at once if somebody else merges */
} MergeWait;

/* Tokens after which a merge releases the merge lock, and the largest batch: it is held in memory. */
#define MERGE_TOKENS 65536

/* Take dead documents out of the queue, which needs no room on the disk. The merge lock is held. */
extern void merge_drop_dead(Relation rel);

extern bool merge_lock(Relation rel, MergeWait wait);
extern void merge_unlock(Relation rel);

/*
 * Merge what is pending now; trains the first nodes if there are none.
 * Returns the number of documents merged. The merge lock is taken and
 * released for each batch. urgent_above: see Pace.
 */
extern uint64 merge_pending(Relation rel, uint64 urgent_above);

/* A merge that inserts wait for: it has small batches, each of which leaves the queue when it ends. */
typedef struct MergeHaste
{
	uint32 batch_tokens;
	uint64 pressed_above; /* pending tokens above which no nodes are added */
} MergeHaste;

/*
 * Merge up to MERGE_TOKENS, for a caller that holds the merge lock; or train,
 * and merge all that is pending. haste: NULL if there is none. Returns the
 * number of documents merged.
 */
extern uint64 merge_locked(Relation rel, uint64 urgent_above, const MergeHaste *haste);

/*
 * Merge for about that many milliseconds, in small batches. The caller holds
 * the merge lock, and the index has nodes. grow: nodes may be added, which
 * takes most of the time. view->index->meta is refreshed.
 */
extern void merge_step(IndexView *view, double milliseconds, bool grow);

#endif /* COLBERT_MERGE_H */
