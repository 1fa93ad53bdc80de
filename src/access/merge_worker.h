/*-------------------------------------------------------------------------
 *
 * merge_worker.h
 *	  A background worker that merges what inserts leave pending.
 *
 * Started by an insert, through max_worker_processes; nothing is preloaded.
 * It trains the first nodes, merges until little is pending, and ends. It
 * gives up where somebody else merges, or holds a lock on the index that
 * conflicts. Inserts go on without it: they merge in small steps.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_MERGE_WORKER_H
#define COLBERT_MERGE_WORKER_H

#include "compat/pg_compat.h"

#include "utils/rel.h"

/* Start a worker, with so many tokens pending, if there can be one and it would be of use; returns true if it was started. */
extern bool merge_worker_start(Relation index, uint64 pending);

/* Return true if a worker that this session started is at work on the index, or about to be. */
extern bool merge_worker_serves(Relation index);

#endif /* COLBERT_MERGE_WORKER_H */
