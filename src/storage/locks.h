/*-------------------------------------------------------------------------
 *
 * locks.h
 *	  Heavyweight locks of an index, and the order of all its locks.
 *
 * Lock order: merge lock, append lock, growth lock; then page locks: meta
 * page, map pages, documents, versions, hashes, sketches, code rows, pending
 * rows, queue, nodes, neighbours, upper entries, posting pages. Pages of one
 * array are locked in block order, unless the meta page is held exclusively. A
 * reader holds one page lock at a time, except that it may hold the meta page
 * in share mode while it reads the queue.
 *
 * The heavyweight locks are tuple locks on the index, whose "tuples" are mere
 * names. Page locks do not serve: PostgreSQL does not allow waiting for
 * another lock while holding one (asserted before version 17), and excludes
 * them from deadlock detection.
 *
 * PostgreSQL cancels an autovacuum that holds a lock in whose queue another
 * session has waited for deadlock_timeout. A session that waits often would
 * keep autovacuum from ever finishing. Therefore nobody waits in the queue of a
 * lock that a VACUUM of the index may hold at that time:
 *
 *	merge lock: VACUUM itself waits in the queue, which gives it the next turn;
 *		no other VACUUM runs on the table. All others poll, or do not wait.
 *	append lock: inserts poll. VACUUM, its only exclusive holder, does not wait.
 *	growth lock: VACUUM and colbert_index_check wait in the queue for share
 *		mode, both with the merge lock, without which VACUUM extends no array.
 *
 * The deadlock detector does not see a session that polls. So nobody who holds
 * the merge lock exclusively or the append lock runs user code, or waits for a
 * lock that a session can keep until its transaction ends. colbert_index_check
 * evaluates the expressions of an index while it holds the merge lock in share
 * mode; lock_timeout or a cancel ends a wait for one that waits for a table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_LOCKS_H
#define COLBERT_LOCKS_H

#include "compat/pg_compat.h"

#include "storage/lmgr.h"
#include "utils/rel.h"

/* Block numbers of the tuples that name the locks. */
typedef enum IndexLock
{
	/* Shared: held by an append, from reserving to publishing; exclusive: no append is running. */
	LOCK_APPEND = 0,
	LOCK_MERGE = 1, /* exclusive: only writer of nodes and postings; shared: no such writer */
	LOCK_GROWTH = 2 /* exclusive: extends the arrays; shared: no array is being extended */
} IndexLock;

static inline ItemPointerData
index_lock_name(IndexLock lock)
{
	ItemPointerData name;

	ItemPointerSet(&name, (BlockNumber) lock, FirstOffsetNumber);
	return name;
}

/* Take a lock, waiting in its queue. The comment above says for which locks and callers. */
static inline void
index_lock(Relation index, IndexLock lock, LOCKMODE mode)
{
	ItemPointerData name = index_lock_name(lock);

	LockTuple(index, &name, mode);
}

/* Try to take a lock without waiting. Returns false if another backend's lock conflicts. */
static inline bool
index_lock_if_free(Relation index, IndexLock lock, LOCKMODE mode)
{
	ItemPointerData name = index_lock_name(lock);

	return compat_conditional_lock_tuple(index, &name, mode);
}

/*
 * Take a lock by attempts, with naps of this many microseconds in between.
 * Returns false if other backends hold it for this many milliseconds.
 */
extern bool index_lock_within(Relation index, IndexLock lock, LOCKMODE mode, double milliseconds,
							  long nap);

/*
 * Take a lock by attempts, without waiting in its queue. Raises 55P03 after
 * lock_timeout, if that is set.
 */
extern void index_lock_poll(Relation index, IndexLock lock, LOCKMODE mode);

static inline void
index_unlock(Relation index, IndexLock lock, LOCKMODE mode)
{
	ItemPointerData name = index_lock_name(lock);

	UnlockTuple(index, &name, mode);
}

#endif /* COLBERT_LOCKS_H */
