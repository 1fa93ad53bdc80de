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

static inline void
index_unlock(Relation index, IndexLock lock, LOCKMODE mode)
{
	ItemPointerData name = index_lock_name(lock);

	UnlockTuple(index, &name, mode);
}

#endif /* COLBERT_LOCKS_H */
