/*-------------------------------------------------------------------------
 *
 * merge_worker.c
 *	  A background worker that merges the documents that inserts leave
 *	  pending.
 *
 * It runs one transaction per batch, so that nobody waits for its lock on the
 * index longer than one batch takes. It runs no user code, because a merge
 * reads only the index.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "access/merge_worker.h"
#include "access/relation.h"
#include "access/xact.h"
#include "index/merge.h"
#include "index/queue.h"
#include "index/train.h"
#include "miscadmin.h"
#include "nodes/graph.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "settings.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

/* Milliseconds before a session starts another worker, if the last one made no progress. */
#define START_INTERVAL 1000

/*
 * Shares of colbert.pending_limit. The worker ends when less than LOW_SHARE is
 * pending. It trains the first nodes only when more than TRAIN_SHARE is
 * pending.
 */
#define LOW_SHARE   0.125
#define TRAIN_SHARE 0.5

/*
 * Share of the limit that a batch takes, and minimum tokens of a batch; share
 * of the limit above which no nodes are added. Inserts that wait for a worker
 * continue after a while, so each batch must leave the queue soon.
 */
#define BATCH_SHARE      0.0625
#define MIN_BATCH_TOKENS 1024
#define GROW_SHARE       0.5

/* Number of attempts to take the merge lock, and microseconds between them. */
#define LOCK_TRIES 200
#define LOCK_NAP   2000

/* A worker's task, passed in bgw_extra. */
typedef struct WorkerTask
{
	Oid database;
	Oid index;
	int limit;
} WorkerTask;

StaticAssertDecl(sizeof(WorkerTask) <= BGW_EXTRALEN, "the task fits");

/* The last worker that this session started. */
typedef struct StartedWorker
{
	Oid                     index;  /* InvalidOid: none yet */
	BackgroundWorkerHandle *handle; /* NULL: it could not be started */
	TimestampTz             at;
	uint64                  pending; /* number of pending tokens at that time */
} StartedWorker;

static StartedWorker last;

/* ---- the session that starts a worker ---- */

/* Return true if the last worker may still be running. */
static bool
is_running(void)
{
	pid_t pid;

	return last.handle != NULL && GetBackgroundWorkerPid(last.handle, &pid) != BGWH_STOPPED;
}

bool
merge_worker_serves(Relation index)
{
	return RelationGetRelid(index) == last.index && is_running();
}

/*
 * Return true if another worker may be started. One may follow at once if the
 * last one was for another index, or reduced the number of pending tokens. If
 * it did not, or could not be started, another one would not help before
 * START_INTERVAL has passed.
 */
static bool
is_due(Relation index, uint64 pending)
{
	if (is_running())
		return false;
	return RelationGetRelid(index) != last.index ||
		   (last.handle != NULL && pending < last.pending) ||
		   TimestampDifferenceExceeds(last.at, GetCurrentTimestamp(), START_INTERVAL);
}

/* Register a worker. The handle outlives the statement. */
static BackgroundWorkerHandle *
register_worker(const WorkerTask *task)
{
	BackgroundWorker        worker = {0};
	BackgroundWorkerHandle *handle = NULL;
	MemoryContext           old = MemoryContextSwitchTo(TopMemoryContext);

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "colbert_pg");
	snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "colbert_merge_worker");
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "colbert_pg merge of index %u", task->index);
	snprintf(worker.bgw_type, sizeof(worker.bgw_type), "colbert_pg merge");
	memcpy(worker.bgw_extra, task, sizeof(WorkerTask));
	if (!RegisterDynamicBackgroundWorker(&worker, &handle))
		handle = NULL;
	MemoryContextSwitchTo(old);
	return handle;
}

bool
merge_worker_start(Relation index, uint64 pending)
{
	WorkerTask task = {MyDatabaseId, RelationGetRelid(index), colbert_pending_limit};

	if (!colbert_background_merge || !IsUnderPostmaster || RelationUsesLocalBuffers(index) ||
		compat_created_here(index) || !is_due(index, pending))
		return false;
	if (last.handle != NULL)
		pfree(last.handle);
	last = (StartedWorker) {.index = task.index, .at = GetCurrentTimestamp(), .pending = pending};
	last.handle = register_worker(&task);
	return last.handle != NULL;
}

/* ---- the worker ---- */

/*
 * Open and lock the index of a task. Returns NULL if it does not exist, is not
 * an index of this extension, or is locked in a conflicting mode.
 */
static Relation
open_index(const WorkerTask *task)
{
	Relation index;

	if (!ConditionalLockRelationOid(task->index, RowExclusiveLock))
		return NULL;
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(task->index)))
		return NULL;
	index = relation_open(task->index, NoLock);
	if (index->rd_indam != NULL && index->rd_indam->ambuild == colbert_build &&
		index->rd_index->indisready && !RelationUsesLocalBuffers(index))
		return index;
	relation_close(index, NoLock);
	return NULL;
}

static bool
has_work(Relation rel, const WorkerTask *task)
{
	ColbertIndex index = {.rel = rel};

	meta_read(&index);
	if (!has_nodes(&index.meta))
		return index.meta.documents.pending_tokens > task->limit * TRAIN_SHARE &&
			   index.meta.documents.live_tokens >= train_min_tokens(&index.meta);
	return index.meta.documents.pending_tokens > task->limit * LOW_SHARE;
}

/*
 * Try to take the merge lock for LOCK_TRIES * LOCK_NAP microseconds. Inserts
 * that merge hold it for some milliseconds.
 */
static bool
lock_soon(Relation index)
{
	for (int tries = 0; tries < LOCK_TRIES; tries++)
	{
		CHECK_FOR_INTERRUPTS();
		if (merge_lock(index, MERGE_IF_FREE))
			return true;
		pg_usleep(LOCK_NAP);
	}
	return false;
}

/* Return true if documents were merged while the index lacked nodes. */
static bool
has_unsettled(Relation rel)
{
	ColbertIndex index = {.rel = rel};

	meta_read(&index);
	return index.meta.growth.unsettled_end > 0;
}

/*
 * Merge some batches in a transaction, or settle some documents if no batch is
 * due. Returns false if nothing is left to do,
 * or if another session does it.
 */
static bool
merge_once(const WorkerTask *task)
{
	const MergeHaste haste = {Min(Max(task->limit * BATCH_SHARE, MIN_BATCH_TOKENS), MERGE_TOKENS),
							  task->limit * GROW_SHARE};
	Relation         index;
	bool             merged = false;

	StartTransactionCommand();
	index = open_index(task);
	if (index != NULL)
	{
		bool due = has_work(index, task);

		if ((due || has_unsettled(index)) && lock_soon(index))
		{
			merged = due ? merge_locked(index, 0, &haste) > 0
						 : merge_settle(index, haste.batch_tokens, 0);
			merge_unlock(index);
		}
		relation_close(index, NoLock);
	}
	CommitTransactionCommand();
	return merged;
}

PGDLLEXPORT void colbert_merge_worker(Datum arg);

void
colbert_merge_worker(Datum arg)
{
	WorkerTask task;

	memcpy(&task, MyBgworkerEntry->bgw_extra, sizeof(task));
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(task.database, InvalidOid, 0);
	pgstat_report_activity(STATE_RUNNING, MyBgworkerEntry->bgw_name);
	graph_keep_groups();
	COLBERT_PAUSE("merge-worker");
	while (merge_once(&task))
		CHECK_FOR_INTERRUPTS();
}
