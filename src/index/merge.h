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
	MERGE_WAIT,   /* in the queue of the lock: VACUUM alone (locks.h) */
	MERGE_POLL,   /* by attempts, so that no autovacuum is cancelled */
	MERGE_IF_FREE /* give up at once if another backend is merging */
} MergeWait;

/*
 * Tokens after which a merge releases the merge lock. Also the maximum tokens
 * per batch, which are held in memory: maintenance_work_mem bounds them as well.
 */
#define MERGE_TOKENS 65536

/*
 * Remove dead documents from the queue without extending the relation. The
 * caller holds the merge lock.
 */
extern void merge_drop_dead(Relation rel);

extern bool merge_lock(Relation rel, MergeWait wait);

/*
 * Take the merge lock by attempts, with naps of this many microseconds. Returns
 * false if other backends hold it for this many milliseconds.
 */
extern bool merge_lock_within(Relation rel, double milliseconds, long nap);
extern void merge_unlock(Relation rel);

/*
 * Merge the documents that are pending now; train the first nodes if there are
 * none. Then settle the unsettled ones. Returns the number of documents
 * merged. Takes and releases the merge lock for each batch, waiting for it in
 * this way. pending_limit: the value of colbert.pending_limit, from
 * which the pace of VACUUM follows (pace.h).
 */
extern uint64 merge_pending(Relation rel, uint64 pending_limit, MergeWait wait);

/* A merge that inserts wait for: its batches are small, and each leaves the queue when it ends. */
typedef struct MergeHaste
{
	uint32 batch_tokens;  /* maximum tokens per batch */
	uint64 pressed_above; /* pending tokens above which no nodes are added */
	bool (*stops)(void);  /* called between batches: true ends the merge; NULL: none */
} MergeHaste;

/* Return the haste of a merge for a value of colbert.pending_limit. */
extern MergeHaste merge_haste(uint64 pending_limit);

/*
 * Merge up to MERGE_TOKENS for a caller that holds the merge lock. If this call
 * trains the nodes or begins a document larger than a batch, it continues: to
 * the end of the queue, or of that document, unless haste->stops returns true.
 * haste: NULL if nothing is known of inserts; those batches are in haste during
 * which documents come and more than URGENT_SHARE of pending_limit is pending.
 * Returns the number of documents merged.
 */
extern uint64 merge_locked(Relation rel, uint64 pending_limit, const MergeHaste *haste);

/*
 * Merge the first documents again that were merged while the index lacked
 * nodes (merge_settle.c): about this many tokens. The caller holds the merge
 * lock. Returns true if there are more.
 */
extern bool merge_settle(Relation rel, uint32 tokens, uint64 pending_limit);

/*
 * Do the same for all that exist now, or until more than URGENT_SHARE of
 * pending_limit is pending. Takes and releases the merge lock for each
 * MERGE_TOKENS, or less while documents come.
 */
extern void merge_settle_all(Relation rel, uint64 pending_limit, MergeWait wait);

/*
 * Merge for about this many milliseconds, in small batches. The caller holds
 * the merge lock, and the index has nodes. grow: add nodes, which takes most of
 * the time. Refreshes the view's meta data.
 */
extern void merge_step(IndexView *view, double milliseconds, bool grow);

#endif /* COLBERT_MERGE_H */
