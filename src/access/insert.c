/*-------------------------------------------------------------------------
 *
 * insert.c
 *	  INSERT: append a document, which stays pending until a merge. An UPDATE
 *	  that keeps the document shares that of the old row (update.c).
 *
 * Merges begin when more than URGENT_SHARE of colbert.pending_limit is pending.
 * A background worker does them if one can be started; otherwise inserts do,
 * one step at a time. An insert that finds another session merging continues
 * without merging. When more than WAIT_SHARE is pending, it waits for its turn
 * instead, and the more is pending, the longer. This keeps documents from
 * arriving faster than they are merged. Above WAIT_SHARE, inserts that merge
 * add no nodes, which takes two thirds of a merge; later merges add them. An
 * insert spends at most MAX_MILLISECONDS on all of this.
 *
 * Training the first nodes takes longer, so it is left to the worker, VACUUM
 * and colbert_merge.
 *
 * Lock order: merge lock, then pages. No page is locked while an insert waits.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "access/merge_worker.h"
#include "base/clock.h"
#include "index/docstore.h"
#include "index/merge.h"
#include "index/nulls.h"
#include "index/train.h"
#include "miscadmin.h"
#include "settings.h"
#include "storage/pace.h"
#include "storage/predicate.h"
#include "utils/memutils.h"

/* Maximum time that an insert merges, and maximum time that it merges and waits. */
#define STEP_MILLISECONDS 7.0
#define MAX_MILLISECONDS  18.0

/*
 * Shares of colbert.pending_limit above which inserts wait, and wait for
 * MAX_MILLISECONDS. They merge above URGENT_SHARE.
 */
#define WAIT_SHARE      0.625
#define FULL_WAIT_SHARE 0.875

/* Microseconds between two attempts to take the merge lock. */
#define LOCK_NAP 500L

/* An insert's share of the maintenance of pending documents. */
typedef struct InsertDuty
{
	bool   train; /* the first nodes are due; only a worker trains them */
	double merge; /* milliseconds of merging; 0: none is due */
	bool   grow;  /* merging may add nodes */
	double wait;  /* milliseconds that it may wait for the merge lock */
} InsertDuty;

static InsertDuty
insert_duty(const MetaPageData *meta)
{
	double     pending = (double) meta->documents.pending_tokens;
	double     limit = colbert_pending_limit;
	InsertDuty duty = {0};

	if (pending >= limit * FULL_WAIT_SHARE)
		duty.wait = MAX_MILLISECONDS;
	else if (pending > limit * WAIT_SHARE)
		duty.wait = MAX_MILLISECONDS * (pending - limit * WAIT_SHARE) /
					(limit * (FULL_WAIT_SHARE - WAIT_SHARE));
	if (!has_nodes(meta))
		duty.train =
			pending > limit * WAIT_SHARE && meta->documents.live_tokens >= train_min_tokens(meta);
	else if (pending > limit * URGENT_SHARE)
		duty.merge = STEP_MILLISECONDS;
	duty.grow = pending <= limit * WAIT_SHARE;
	return duty;
}

/*
 * Keep the number of pending tokens within bounds.
 *
 * While this session holds the merge lock, no other session merges. A worker
 * that serves the index is then between two batches, or about to start.
 */
static void
do_duty(IndexView *view, InsertDuty duty)
{
	Relation   index = view->index->rel;
	instr_time start;
	double     left;

	INSTR_TIME_SET_CURRENT(start);
	if (!merge_lock_within(index, duty.wait, LOCK_NAP))
		return;
	left = Min(duty.merge, MAX_MILLISECONDS - milliseconds_since(start));
	if (left > 0 && !merge_worker_serves(index) &&
		!merge_worker_start(index, view->index->meta.documents.pending_tokens))
	{
		merge_worker_is_missing(index);
		merge_step(view, left, duty.grow);
	}
	else if (duty.train)
		(void) merge_worker_start(index, view->index->meta.documents.pending_tokens);
	merge_unlock(index);
}

/*
 * Append a document, and do the maintenance that is due. hash: hash of the
 * stored columns, or 0 if unknown.
 */
static void
insert_document(IndexView *view, ItemPointer tid, Datum value, uint32 hash)
{
	const MultiVector *mv = multivector_from_datum(value);
	InsertDuty         duty;

	docstore_append(view, tid, view_indexed_tokens(view, mv), hash,
					DOC_PENDING | view_token_flags(view, mv));
	merge_worker_watch(view->index->rel, view->index->meta.documents.pending_tokens);
	duty = insert_duty(&view->index->meta);
	if (duty.train || duty.merge > 0)
		do_duty(view, duty);
}

bool
colbert_insert(Relation index, Datum *values, bool *isnull, ItemPointer heap_tid, Relation heap,
			   IndexUniqueCheck check_unique, bool index_unchanged, IndexInfo *info)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg insert", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	uint32        hash = 0;

	if (isnull[0])
		nulls_append(view_open_directory(index), heap_tid);
	else if (!update_shares_document(index, heap, heap_tid, info, &hash))
		insert_document(view_open(index, false, VIEW_WITHOUT_PENDING), heap_tid, values[0], hash);
	/*
	 * Serializable scans lock the whole index before they open their view. A
	 * scan that locks after this check finds the row.
	 */
	CheckForSerializableConflictIn(index, NULL, InvalidBlockNumber);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return false;
}
