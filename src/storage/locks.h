/*-------------------------------------------------------------------------
 *
 * locks.h
 *	  The heavyweight locks of an index, and the order of all its locks.
 *
 * Lock order: merge lock, append lock, growth lock; then page locks: meta page,
 * map pages, documents, versions, hashes, sketches, code rows, pending rows,
 * queue, nodes, neighbours, upper entries, posting pages. Pages of one of
 * these are locked by block number, unless the meta page is held exclusively.
 * A reader holds one page lock at a time, except that it may hold the meta
 * page shared while it reads the queue.
 *
 * The heavyweight locks are tuple locks on the index, whose "tuples" are names
 * only: PostgreSQL lets nobody wait for another lock while holding one of a
 * page (it asserts that before 17), and looks for no deadlock through it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_LOCKS_H
#define COLBERT_LOCKS_H

#include "compat/pg_compat.h"

#include "storage/lmgr.h"
#include "utils/rel.h"

/* The block numbers of the tuples that name the locks. */
typedef enum IndexLock
{
	LOCK_APPEND =
		0, /* shared: an append, from reserving to publishing; exclusive: no append is under way */
	LOCK_MERGE = 1, /* exclusive: the one writer of nodes and postings; shared: there is none */
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

/* Return false at once, without the lock, if another backend's lock conflicts. */
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
