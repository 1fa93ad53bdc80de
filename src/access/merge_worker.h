/*-------------------------------------------------------------------------
 *
 * merge_worker.h
 *	  A background worker that merges the documents that inserts leave
 *	  pending.
 *
 * An insert starts it as a dynamic background worker, which counts against
 * max_worker_processes. The library need not be preloaded. The worker trains
 * the first nodes, merges until little is pending, waits a little for more, and
 * exits. An index has one at a time, a session may have several. It gives up if
 * another session merges or holds a conflicting lock on the index. Without a
 * worker, inserts merge in small steps.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_MERGE_WORKER_H
#define COLBERT_MERGE_WORKER_H

#include "compat/pg_compat.h"

#include "utils/rel.h"

/*
 * Start a worker if it is allowed and likely to help. pending: number of
 * pending tokens. Returns true if a worker was started.
 */
extern bool merge_worker_start(Relation index, uint64 pending);

/*
 * Tell how many tokens are pending in an index. If they are fewer than when a
 * worker was started for it, another one may follow as soon as that has ended.
 */
extern void merge_worker_watch(Relation index, uint64 pending);

/* Tell that this session merges itself: if fewer tokens are pending then, no worker has helped. */
extern void merge_worker_is_missing(Relation index);

/*
 * Return true if a worker serves the index, or one that this session started is
 * about to. One that was started with a higher limit than this session's does
 * not count.
 */
extern bool merge_worker_serves(Relation index);

#endif /* COLBERT_MERGE_WORKER_H */
