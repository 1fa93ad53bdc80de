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
 * A statement such as DROP DATABASE locks the database, and fails if a process
 * is connected to it five seconds later. PostgreSQL ends autovacuum workers
 * then, but background workers only since 19. A worker therefore looks for such
 * a lock before each batch. While there is one it merges nothing, and so it
 * soon ends, as if nothing were left to do. The next insert starts another one.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "access/merge_worker.h"
#include "access/relation.h"
#include "access/xact.h"
#include "base/clock.h"
#include "catalog/pg_database.h"
#include "index/merge.h"
#include "index/queue.h"
#include "index/train.h"
#include "miscadmin.h"
#include "nodes/graph.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "settings.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
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
 * Milliseconds that a worker waits for another batch before it ends, and between
 * two looks. Under a steady load it then serves all inserts, and starts and
 * groups the nodes once. After LIFETIME milliseconds it waits no longer, so that
 * other indexes get its place.
 */
#define LINGER     100
#define LINGER_NAP 10
#define LIFETIME   10000

/*
 * Milliseconds to wait for the merge lock, and microseconds between attempts.
 * Inserts that merge hold it for some milliseconds.
 */
#define LOCK_WAIT 400.0
#define LOCK_NAP  2000L

/* Number of attempts to claim an index, and microseconds between them. */
#define CLAIM_TRIES 20
#define CLAIM_NAP   1000

/* A worker's task, passed in bgw_extra. */
typedef struct WorkerTask
{
	Oid database;
	Oid index;
	int limit;
} WorkerTask;

StaticAssertDecl(sizeof(WorkerTask) <= BGW_EXTRALEN, "the task fits");

/* The last worker that this session started for an index. */
typedef struct StartedWorker
{
	Oid                     index;  /* InvalidOid: none yet */
	BackgroundWorkerHandle *handle; /* NULL: it could not be started */
	TimestampTz             at;
	int                     limit;   /* colbert.pending_limit at that time */
	uint64                  pending; /* number of pending tokens at that time */
	bool                    helped;  /* fewer have been pending since */
	bool                    alone;   /* this session has just merged itself */
} StartedWorker;

/* A session has at most this many workers at a time. */
#define MAX_WORKERS 4

static StartedWorker workers[MAX_WORKERS];

/* ---- the session that starts a worker ---- */

/* Return the last worker that was started for an index; NULL: none is known. */
static StartedWorker *
worker_of(Relation index)
{
	for (int i = 0; i < MAX_WORKERS; i++)
		if (workers[i].index == RelationGetRelid(index))
			return &workers[i];
	return NULL;
}

/* Return true if a worker may still be running. */
static bool
is_running(const StartedWorker *worker)
{
	pid_t pid;

	return worker->handle != NULL && GetBackgroundWorkerPid(worker->handle, &pid) != BGWH_STOPPED;
}

/* Return true if START_INTERVAL has passed since a worker was to be started. */
static bool
is_old(const StartedWorker *worker)
{
	return TimestampDifferenceExceeds(worker->at, GetCurrentTimestamp(), START_INTERVAL);
}

/*
 * Return a place for a worker of another index; NULL: there is none. A failed
 * start keeps its place for a while, because another one would not do better.
 */
static StartedWorker *
free_place(void)
{
	for (int i = 0; i < MAX_WORKERS; i++)
	{
		StartedWorker *worker = &workers[i];

		if (worker->handle != NULL ? !is_running(worker) : is_old(worker))
			return worker;
	}
	return NULL;
}

/* Of advisory locks, user functions use the classes 1 and 2. */
#define CLAIM_CLASS 0xC01B

/*
 * Return the name of the lock of the worker that serves an index. It is an
 * advisory lock, since those are released whenever a process ends.
 */
static LOCKTAG
claim_of(Oid database, Oid index)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, database, index, 0, CLAIM_CLASS);
	return tag;
}

/* Return true if a worker that any session has started serves an index. */
static bool
is_claimed(Relation index)
{
	LOCKTAG tag = claim_of(MyDatabaseId, RelationGetRelid(index));

	if (LockAcquire(&tag, ShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return true;
	LockRelease(&tag, ShareLock, false);
	return false;
}

bool
merge_worker_serves(Relation index)
{
	const StartedWorker *worker = worker_of(index);

	if (worker != NULL && is_running(worker))
		return worker->limit <= colbert_pending_limit;
	return is_claimed(index);
}

/*
 * Return true if a worker may follow this one. It may do so at once if this one
 * reduced the number of pending tokens. If it did not, or could not be started,
 * another one would not help before START_INTERVAL has passed.
 */
static bool
may_follow(const StartedWorker *worker)
{
	return !is_running(worker) && (worker->helped || is_old(worker));
}

void
merge_worker_watch(Relation index, uint64 pending)
{
	StartedWorker *worker = worker_of(index);

	if (worker == NULL)
		return;
	if (worker->alone)
		worker->pending = Min(worker->pending, pending);
	else if (pending < worker->pending)
		worker->helped = true;
	worker->alone = false;
}

void
merge_worker_is_missing(Relation index)
{
	StartedWorker *worker = worker_of(index);

	if (worker != NULL)
		worker->alone = true;
}

/* Register a worker. The handle outlives the statement. */
static BackgroundWorkerHandle *
register_worker(const WorkerTask *task)
{
	BackgroundWorker        worker = {0};
	BackgroundWorkerHandle *handle = NULL;
	MemoryContext           old = MemoryContextSwitchTo(TopMemoryContext);

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION |
					   COMPAT_BGWORKER_INTERRUPTIBLE;
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
	WorkerTask     task = {MyDatabaseId, RelationGetRelid(index), colbert_pending_limit};
	StartedWorker *worker = worker_of(index);

	if (!colbert_background_merge || !IsUnderPostmaster || RelationUsesLocalBuffers(index) ||
		compat_created_here(index) || (worker != NULL && !may_follow(worker)))
		return false;
	if (worker == NULL)
		worker = free_place();
	if (worker == NULL)
		return false;
	if (worker->handle != NULL)
		pfree(worker->handle);
	*worker = (StartedWorker) {
		.index = task.index, .at = GetCurrentTimestamp(), .limit = task.limit, .pending = pending};
	worker->handle = register_worker(&task);
	return worker->handle != NULL;
}

/* ---- the worker ---- */

/*
 * Return true if a statement has locked the database, or waits for that: DROP
 * DATABASE, ALTER DATABASE ... RENAME and SET TABLESPACE, CREATE DATABASE from
 * this template. Called in a transaction.
 */
static bool
database_is_wanted(void)
{
	LOCKTAG tag;

	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, MyDatabaseId, 0);
	/* the weakest mode that conflicts with the ShareLock on a template */
	if (LockAcquire(&tag, RowExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return true;
	LockRelease(&tag, RowExclusiveLock, false);
	return false;
}

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

/*
 * Return true if nodes can be trained, or more than LOW_SHARE of the limit and
 * this many tokens are pending.
 */
static bool
has_work(Relation rel, const WorkerTask *task, uint32 more)
{
	ColbertIndex index = {.rel = rel};

	meta_read(&index);
	if (!has_nodes(&index.meta))
		return index.meta.documents.pending_tokens > task->limit * TRAIN_SHARE &&
			   index.meta.documents.live_tokens >= train_min_tokens(&index.meta);
	return index.meta.documents.pending_tokens > task->limit * LOW_SHARE + more;
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
 * Claim the index of a task until this process ends. Returns false if another
 * worker serves it. A session that looks for one holds the lock for a moment.
 */
static bool
claim_soon(const WorkerTask *task)
{
	LOCKTAG tag = claim_of(task->database, task->index);
	bool    claimed = false;

	for (int tries = 0; !claimed && tries < CLAIM_TRIES; tries++)
	{
		StartTransactionCommand();
		claimed = LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
		CommitTransactionCommand();
		if (!claimed)
			pg_usleep(CLAIM_NAP);
		CHECK_FOR_INTERRUPTS();
	}
	return claimed;
}

/*
 * Merge some batches in a transaction if more than an eighth of the limit and
 * this many tokens are pending, or settle some documents. Returns false if
 * nothing is left to do, if another session does it, or if a statement waits
 * for this process to disconnect.
 */
static bool
merge_once(const WorkerTask *task, const MergeHaste *haste, uint32 more)
{
	Relation index;
	bool     merged = false;

	StartTransactionCommand();
	index = database_is_wanted() ? NULL : open_index(task);
	if (index != NULL)
	{
		bool due = has_work(index, task, more);

		if ((due || has_unsettled(index)) && merge_lock_within(index, LOCK_WAIT, LOCK_NAP))
		{
			merged = due ? merge_locked(index, 0, haste) > 0
						 : merge_settle(index, haste->batch_tokens, 0);
			merge_unlock(index);
		}
		relation_close(index, NoLock);
	}
	CommitTransactionCommand();
	pgstat_report_stat(false);
	return merged;
}

/* Wait for LINGER_NAP. No transaction is open, so nothing waits for this process. */
static void
nap(void)
{
	pgstat_report_activity(STATE_IDLE, NULL);
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LINGER_NAP,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	pgstat_report_activity(STATE_RUNNING, MyBgworkerEntry->bgw_name);
}

/*
 * Merge until no batch has come up for LINGER milliseconds, or until a
 * statement has locked the database for that long.
 */
static void
merge_all(const WorkerTask *task)
{
	MergeHaste haste = merge_haste((uint64) task->limit);
	bool       waits = false; /* all there was has been done */
	instr_time start;
	instr_time idle;

	haste.stops = database_is_wanted;
	INSTR_TIME_SET_CURRENT(start);
	idle = start;
	do
	{
		CHECK_FOR_INTERRUPTS();
		waits = !merge_once(task, &haste, waits ? haste.batch_tokens : 0);
		if (!waits)
			INSTR_TIME_SET_CURRENT(idle);
		else if (milliseconds_since(start) < LIFETIME)
			nap();
		else
			break;
	} while (milliseconds_since(idle) < LINGER);
}

/* Disable timeouts that are meant for sessions, as autovacuum does. */
static void
disable_timeouts(void)
{
	static const char *const names[] = {"statement_timeout", "lock_timeout",
										"idle_in_transaction_session_timeout",
										COMPAT_TRANSACTION_TIMEOUT};

	for (int i = 0; i < lengthof(names); i++)
		if (names[i] != NULL)
			SetConfigOption(names[i], "0", PGC_SUSET, PGC_S_OVERRIDE);
}

PGDLLEXPORT void colbert_merge_worker(Datum arg);

void
colbert_merge_worker(Datum arg)
{
	WorkerTask task;

	memcpy(&task, MyBgworkerEntry->bgw_extra, sizeof(task));
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	disable_timeouts();
	BackgroundWorkerInitializeConnectionByOid(task.database, InvalidOid, 0);
	pgstat_report_activity(STATE_RUNNING, MyBgworkerEntry->bgw_name);
	graph_keep_groups();
	if (!claim_soon(&task))
		return;
	COLBERT_PAUSE("merge-worker");
	merge_all(&task);
}
