/*-------------------------------------------------------------------------
 *
 * totals.c
 *	  Cumulative counters of each index, over the searches of all backends.
 *
 * A hash table of fixed size in shared memory has an entry for each index that
 * was searched. If it is full, the indexes that were not searched for longest
 * lose their entries.
 *
 * A search adds its counters once, when it ends. That takes the lock of the
 * table in shared mode, and the spinlock of the entry for the sums. Only adding
 * and removing entries takes the lock in exclusive mode. Nothing is allocated
 * and no error raised under either lock, except by readers, which allocate a
 * copy of the entries under the lock; an error releases it.
 *
 *-------------------------------------------------------------------------
 */
#include "access/totals.h"

#include <math.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "settings.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#define TRANCHE "colbert_pg"

/* Entries that a full table gives up at once: a sixteenth, and at most this many. */
#define MAX_EVICTED 16

typedef struct TotalsShared
{
	LWLock     *lock;    /* of the table, and of evicted */
	uint64      evicted; /* entries, since the start of the server */
	TimestampTz since;
} TotalsShared;

static TotalsShared *shared = NULL; /* NULL: there are no counters */
static HTAB         *table = NULL;

static shmem_request_hook_type previous_request_hook;
static shmem_startup_hook_type previous_startup_hook;

/* ---- shared memory ---- */

static void
request_memory(void)
{
	if (previous_request_hook != NULL)
		previous_request_hook();
	RequestAddinShmemSpace(add_size(MAXALIGN(sizeof(TotalsShared)),
									hash_estimate_size(colbert_stat_indexes, sizeof(IndexTotals))));
	RequestNamedLWLockTranche(TRANCHE, 1);
}

/* Create the table, or attach to it. Also called after a crash, for new memory. */
static void
create_table(void)
{
	HASHCTL control = {.keysize = sizeof(TotalsKey), .entrysize = sizeof(IndexTotals)};
	bool    found;

	if (previous_startup_hook != NULL)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("colbert_pg totals", sizeof(TotalsShared), &found);
	if (!found)
		*shared = (TotalsShared) {.lock = &GetNamedLWLockTranche(TRANCHE)->lock,
								  .since = GetCurrentTimestamp()};
	table = compat_shared_hash("colbert_pg totals of indexes", colbert_stat_indexes, &control,
							   HASH_ELEM | HASH_BLOBS);
	LWLockRelease(AddinShmemInitLock);
}

void
totals_init(void)
{
	if (!process_shared_preload_libraries_in_progress || colbert_stat_indexes == 0)
		return;
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = create_table;
	totals_drop_init();
}

bool
totals_exist(void)
{
	return shared != NULL;
}

/* ---- counting ---- */

static void
clear(IndexTotals *totals, TimestampTz since)
{
	memset((char *) totals + offsetof(IndexTotals, since), 0,
		   sizeof(IndexTotals) - offsetof(IndexTotals, since));
	totals->since = since;
}

/* Remove the entries that were not searched for longest. The lock is held exclusively. */
static void
evict(void)
{
	IndexTotals    *oldest[MAX_EVICTED];
	int             wanted = Min(1 + colbert_stat_indexes / 16, MAX_EVICTED);
	int             n = 0;
	HASH_SEQ_STATUS scan;
	IndexTotals    *totals;

	hash_seq_init(&scan, table);
	while ((totals = hash_seq_search(&scan)) != NULL)
	{
		int place = n < wanted ? n++ : wanted;

		/* In ascending order; the last one gives way if there are enough. */
		for (; place > 0 && oldest[place - 1]->last_search > totals->last_search; place--)
			if (place < wanted)
				oldest[place] = oldest[place - 1];
		if (place < wanted)
			oldest[place] = totals;
	}
	for (int i = 0; i < n; i++)
		hash_search(table, &oldest[i]->key, HASH_REMOVE, NULL);
	shared->evicted += n;
}

/* Return the entry of an index, a new one if there is none. The lock is held exclusively. */
static IndexTotals *
find_or_enter(const TotalsKey *key)
{
	IndexTotals *totals = hash_search(table, key, HASH_FIND, NULL);

	if (totals != NULL)
		return totals;
	if (hash_get_num_entries(table) >= colbert_stat_indexes)
		evict();
	totals = hash_search(table, key, HASH_ENTER_NULL, NULL);
	if (totals != NULL)
	{
		SpinLockInit(&totals->mutex);
		clear(totals, GetCurrentTimestamp());
	}
	return totals;
}

static void
add_search(IndexTotals *totals, const SearchCounters *search, bool aborted)
{
	SpinLockAcquire(&totals->mutex);
	counters_add(&totals->sum, search);
	totals->last_search = Max(totals->last_search, GetCurrentStatementStartTimestamp());
	totals->aborted += aborted;
	totals->exhaustive += search->exhaustive;
	totals->query_tokens += search->query_tokens;
	if (isfinite(search->expected_misses))
		totals->expected_misses += search->expected_misses;
	SpinLockRelease(&totals->mutex);
}

void
totals_add(const SearchCounters *search, bool aborted)
{
	TotalsKey    key = {MyDatabaseId, search->index};
	IndexTotals *totals;

	if (shared == NULL)
		return;
	LWLockAcquire(shared->lock, LW_SHARED);
	totals = hash_search(table, &key, HASH_FIND, NULL);
	if (totals == NULL)
	{
		LWLockRelease(shared->lock);
		LWLockAcquire(shared->lock, LW_EXCLUSIVE);
		totals = find_or_enter(&key);
	}
	if (totals != NULL)
		add_search(totals, search, aborted);
	LWLockRelease(shared->lock);
}

/* ---- reading and resetting ---- */

IndexTotals *
totals_read(int *count)
{
	HASH_SEQ_STATUS scan;
	IndexTotals    *copies;
	IndexTotals    *totals;

	LWLockAcquire(shared->lock, LW_SHARED);
	copies = MemoryContextAllocHuge(CurrentMemoryContext,
									mul_size(hash_get_num_entries(table) + 1, sizeof(IndexTotals)));
	*count = 0;
	hash_seq_init(&scan, table);
	while ((totals = hash_seq_search(&scan)) != NULL)
	{
		if (totals->key.database != MyDatabaseId)
			continue;
		SpinLockAcquire(&totals->mutex);
		copies[(*count)++] = *totals;
		SpinLockRelease(&totals->mutex);
	}
	LWLockRelease(shared->lock);
	return copies;
}

void
totals_reset(Oid index)
{
	TimestampTz     now = GetCurrentTimestamp();
	HASH_SEQ_STATUS scan;
	IndexTotals    *totals;

	LWLockAcquire(shared->lock, LW_SHARED);
	hash_seq_init(&scan, table);
	while ((totals = hash_seq_search(&scan)) != NULL)
	{
		if (totals->key.database != MyDatabaseId ||
			(OidIsValid(index) && totals->key.index != index))
			continue;
		SpinLockAcquire(&totals->mutex);
		clear(totals, now);
		SpinLockRelease(&totals->mutex);
	}
	LWLockRelease(shared->lock);
}

bool
totals_have(TotalsKey key)
{
	bool have;

	LWLockAcquire(shared->lock, LW_SHARED);
	have = hash_search(table, &key, HASH_FIND, NULL) != NULL;
	LWLockRelease(shared->lock);
	return have;
}

void
totals_remove(TotalsKey key)
{
	HASH_SEQ_STATUS scan;
	IndexTotals    *totals;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (OidIsValid(key.index))
		hash_search(table, &key, HASH_REMOVE, NULL);
	else
	{
		hash_seq_init(&scan, table);
		while ((totals = hash_seq_search(&scan)) != NULL)
			if (totals->key.database == key.database)
				hash_search(table, &totals->key, HASH_REMOVE, NULL);
	}
	LWLockRelease(shared->lock);
}

TotalsUse
totals_use(void)
{
	TotalsUse use;

	LWLockAcquire(shared->lock, LW_SHARED);
	use = (TotalsUse) {.indexes = (int) hash_get_num_entries(table),
					   .evicted = shared->evicted,
					   .since = shared->since};
	LWLockRelease(shared->lock);
	return use;
}
