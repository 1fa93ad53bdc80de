/*-------------------------------------------------------------------------
 *
 * vacuum.c
 *	  VACUUM: mark dead documents, merge pending ones, free ordinals, replace
 *	  outgrown lists.
 *
 * bulkdelete removes dead row versions and marks documents without remaining
 * versions as dead (versions.h). cleanup sweeps the posting lists if at least a
 * tenth of the documents are dead. It then frees the ordinals that were dead
 * before the sweep began, since no list contains them any more. Reservations
 * and blocks left behind by an error or a crash are freed too. Finally it
 * merges the pending documents, and replaces the lists of a colbert_ivf index
 * that has outgrown them. These steps come last because they may need much
 * disk space.
 *
 * cleanup holds the merge lock until the dead are freed, and each of the last
 * steps takes it again. Nobody else can merge meanwhile, so cleanup itself
 * merges pending documents when there are many: between two documents that it
 * looks at, two pages or two lists that it sweeps, or two hash buckets. It
 * keeps the lock, so that no other session writes postings during a sweep;
 * postings_sweep.c says why its own merges leave no dead document in a list.
 * Inserts need no turn: they find the lock taken and go on, as during any merge
 * by another session. These merges add no nodes, and need little disk space;
 * with less than MERGE_PAGES of it they are left to the last steps.
 *
 * Between the sweep and the last steps, the append lock is taken for a few
 * reservations at a time: no merge waits while that lock is waited for.
 *
 * Lock order: merge lock, then page locks in the usual order. The append lock
 * is never taken under the merge lock.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "base/array.h"
#include "base/clock.h"
#include "commands/vacuum.h"
#include "index/docstore.h"
#include "index/drift.h"
#include "index/hashes.h"
#include "index/merge.h"
#include "index/nulls.h"
#include "index/postings.h"
#include "index/relist.h"
#include "index/versions.h"
#include "miscadmin.h"
#include "settings.h"
#include "storage/indexfsm.h"
#include "storage/locks.h"
#include "utils/memutils.h"

/*
 * Number of reservations freed at a time, milliseconds to wait for the append
 * lock, and microseconds between attempts.
 */
#define RESERVED_AT_A_TIME 64
#define APPEND_LOCK_WAIT   1000.0
#define APPEND_LOCK_NAP    5000L

/* Sweep if at least this share of documents is dead. Dead entries cost only search time. */
#define SWEEP_SHARE 0.1

/*
 * While much is pending, cleanup merges for MERGE_MS milliseconds after each
 * WORK_MS of its own work: three quarters of the time for the merges that
 * inserts wait for, and the rest so that it ends under any load.
 */
#define WORK_MS  20
#define MERGE_MS 60

/* Free pages of the disk below which it does not: a full disk must not keep it from freeing. */
#define MERGE_PAGES 2048

/* ---- bulkdelete ---- */

typedef struct BulkDelete
{
	IndexView              *view;
	IndexBulkDeleteResult  *stats;
	IndexBulkDeleteCallback callback;
	void                   *callback_state;
} BulkDelete;

/* Return true if a row is dead, and count it. */
static bool
is_dead(BulkDelete *bulk, ItemPointer tid)
{
	if (bulk->callback(tid, bulk->callback_state))
	{
		bulk->stats->tuples_removed++;
		return true;
	}
	bulk->stats->num_index_tuples++;
	return false;
}

/* Find the dead rows of a page of documents. Returns true if there are any. */
static bool
find_dead(BulkDelete *bulk, DirectoryPage *page)
{
	bool found = false;

	for (uint32 i = 0; i < page->ndocs; i++)
	{
		page->dead_firsts[i] = page->docs[i].state == DOC_LIVE && is_dead(bulk, &page->docs[i].tid);
		found |= page->dead_firsts[i];
	}
	for (uint32 i = 0; i < page->versions.count; i++)
	{
		page->dead_versions[i] = is_dead(bulk, &page->versions.versions[i].tid);
		found |= page->dead_versions[i];
	}
	return found;
}

static void
delete_documents(BulkDelete *bulk)
{
	IndexView     *view = bulk->view;
	uint32         nitems = parray_nitems(view->index, ARRAY_DOCS);
	uint32         per_page = parray_per_page(view->index, ARRAY_DOCS);
	DirectoryPage *page = palloc(sizeof(DirectoryPage));

	for (uint32 first = 0; first < nitems; first += per_page)
	{
		compat_vacuum_delay_point();
		versions_copy_page(view, first, page);
		if (find_dead(bulk, page))
			versions_drop_dead(view, page);
	}
	pfree(page);
}

static void
delete_nulls(BulkDelete *bulk)
{
	IndexView *view = bulk->view;
	uint32     npages = parray_nitems(view->index, ARRAY_NULLS);
	NullPage  *copy = palloc(sizeof(NullPage));
	bool       dead[NULLS_PER_PAGE];

	for (uint32 page = 0; page < npages; page++)
	{
		bool found = false;

		compat_vacuum_delay_point();
		nulls_copy_page(view, page, copy);
		for (uint32 i = 0; i < copy->count; i++)
		{
			dead[i] = is_dead(bulk, &copy->tids[i]);
			found |= dead[i];
		}
		if (found)
			nulls_drop_dead(view, page, copy, dead);
	}
	pfree(copy);
}

IndexBulkDeleteResult *
colbert_bulkdelete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
				   IndexBulkDeleteCallback callback, void *callback_state)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg vacuum", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	BulkDelete    bulk = {.callback = callback, .callback_state = callback_state};

	if (stats == NULL)
		stats = palloc0(sizeof(IndexBulkDeleteResult));
	old = MemoryContextSwitchTo(context);
	bulk.stats = stats;
	bulk.view = view_open(info->index, false, VIEW_WITHOUT_PENDING);
	stats->num_index_tuples = 0;
	delete_documents(&bulk);
	delete_nulls(&bulk);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return stats;
}

/* ---- cleanup ---- */

typedef struct OrdinalList
{
	uint32 *items;
	uint32  count;
	uint32  capacity;
} OrdinalList;

static void
ordinals_add(OrdinalList *list, uint32 doc)
{
	list->items = array_reserve(list->items, &list->capacity, (Size) list->count + 1,
								sizeof(uint32), CurrentMemoryContext);
	list->items[list->count++] = doc;
}

typedef struct Leftovers
{
	OrdinalList dead;     /* dead documents that are not in the queue */
	OrdinalList hashes;   /* their hashes */
	OrdinalList reserved; /* those of running inserts as well */
	Pace        pace;
} Leftovers;

static void
collect_leftovers(IndexView *view, uint32 doc, const DocEntry *entry, void *arg)
{
	Leftovers *leftovers = arg;

	pace_delay(view->index, &leftovers->pace);
	if (entry->state == DOC_DEAD && !(entry->flags & DOC_PENDING))
	{
		ordinals_add(&leftovers->dead, doc);
		ordinals_add(&leftovers->hashes, entry->hash);
	}
	else if (entry->state == DOC_RESERVED)
		ordinals_add(&leftovers->reserved, doc);
}

/* Merges of pending documents while cleanup holds the merge lock. */
typedef struct Meanwhile
{
	IndexView *view;
	instr_time merged_at; /* 0: not yet */
} Meanwhile;

/*
 * Merge some pending documents, unless this has just been done. Called by
 * pace_delay. The last step of cleanup adds the nodes that these merges leave
 * out.
 */
static void
merge_meanwhile(void *arg)
{
	Meanwhile *meanwhile = arg;

	if (!has_nodes(&meanwhile->view->index->meta) ||
		milliseconds_since(meanwhile->merged_at) < WORK_MS ||
		!storage_has_room(meanwhile->view->index->rel, MERGE_PAGES))
		return;
	merge_step(meanwhile->view, MERGE_MS, false);
	INSTR_TIME_SET_CURRENT(meanwhile->merged_at);
}

/* Remove the dead documents from the hash table. */
static void
drop_hashes(IndexView *view, Leftovers *leftovers)
{
	uint32    count = leftovers->dead.count;
	HashSlot *slots = palloc_extended(mul_size(count, sizeof(HashSlot)), MCXT_ALLOC_HUGE);

	for (uint32 i = 0; i < count; i++)
		slots[i] = (HashSlot) {leftovers->hashes.items[i], leftovers->dead.items[i]};
	hashes_remove(view, slots, count, &leftovers->pace);
	pfree(slots);
}

/* Write the numbers of postings, which are exact, to the meta page. */
static void
note_postings(IndexView *view, PostingCounts counts)
{
	view->index->meta.nodes.postings = counts.current;
	view->index->meta.lists.next_postings = counts.next;
	view->index->meta.nodes.postings_inexact = false;
	meta_write_nodes(view->index);
}

/*
 * Remove the dead documents from all posting lists and the hash table, then
 * free them. The caller holds the merge lock.
 */
static void
sweep(IndexView *view, Leftovers *leftovers)
{
	const OrdinalList *dead = &leftovers->dead;
	uint32             ndocs = parray_nitems(view->index, ARRAY_DOCS);
	uint8             *bits = palloc_extended(ndocs / 8 + 1, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	for (uint32 i = 0; i < dead->count; i++)
		bits[dead->items[i] >> 3] |= 1 << (dead->items[i] & 7);
	view->index->meta.nodes.postings_inexact = true;
	meta_write_nodes(view->index);
	note_postings(view, postings_sweep(view->index, bits, ndocs, &leftovers->pace));
	drop_hashes(view, leftovers);
	docstore_push_free(view, dead->items, dead->count);
	pfree(bits);
}

/*
 * Take the append lock exclusively at a moment without appenders. Returns false
 * if there is always one. Never waits in the lock's queue, because appenders
 * would wait behind it.
 */
static bool
lock_out_appenders(Relation index)
{
	COLBERT_PAUSE("append-lock");
	return index_lock_within(index, LOCK_APPEND, ExclusiveLock, APPEND_LOCK_WAIT, APPEND_LOCK_NAP);
}

static bool
is_reserved(IndexView *view, uint32 doc)
{
	DocEntry entry;

	return docstore_entry(view, doc, &entry) && entry.state == DOC_RESERVED;
}

/* Drop the reservations that have been published since they were listed. */
static void
keep_reserved(IndexView *view, OrdinalList *reserved)
{
	uint32 count = reserved->count;

	reserved->count = 0;
	for (uint32 i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (is_reserved(view, reserved->items[i]))
			reserved->items[reserved->count++] = reserved->items[i];
	}
}

/*
 * Free abandoned reservations. A reservation that exists while no appender is
 * active will never be published. Appenders wait meanwhile, so each round frees
 * only a few. If the append lock cannot be taken, the rest is left to the next
 * VACUUM.
 *
 * The caller does not hold the merge lock: no merge writes the entry of a
 * reservation, and no other VACUUM of the index runs.
 */
static void
free_reserved(IndexView *view, OrdinalList *reserved)
{
	keep_reserved(view, reserved);
	for (uint32 first = 0; first < reserved->count; first += RESERVED_AT_A_TIME)
	{
		uint32 end = Min(reserved->count, first + RESERVED_AT_A_TIME);
		uint32 kept[RESERVED_AT_A_TIME];
		uint32 nkept = 0;

		if (!lock_out_appenders(view->index->rel))
			return;
		COLBERT_PAUSE("append-locked");
		for (uint32 i = first; i < end; i++)
		{
			uint32 doc = reserved->items[i];

			if (!is_reserved(view, doc))
				continue;
			if (view->coder.codec->coarse)
				pending_rows_release(view, doc, true, 0);
			kept[nkept++] = doc;
		}
		docstore_push_free(view, kept, nkept);
		index_unlock(view->index->rel, LOCK_APPEND, ExclusiveLock);
	}
}

/*
 * Find the dead documents and free them, and list the reservations. The caller
 * holds the merge lock.
 */
static void
free_dead(IndexView *view, Leftovers *leftovers)
{
	Meanwhile meanwhile = {.view = view};

	leftovers->pace.help = merge_meanwhile;
	leftovers->pace.help_arg = &meanwhile;
	docstore_walk(view, collect_leftovers, leftovers);
	if (leftovers->dead.count > 0 &&
		leftovers->dead.count >=
			SWEEP_SHARE * ((double) view->index->meta.documents.live_docs + leftovers->dead.count))
		sweep(view, leftovers);
	else if (view->index->meta.nodes.postings_inexact)
		note_postings(view, postings_count(view->index, &leftovers->pace));
	leftovers->pace.help = NULL;
}

/*
 * Clean up an index. Returns the number of row versions that share a document
 * with another one, plus the number of rows whose document is NULL.
 */
static uint64
clean(Relation index)
{
	IndexView *view;
	uint64     nrows;
	Leftovers  leftovers = {.pace = pace_for((uint64) colbert_pending_limit)};

	merge_lock(index, MERGE_WAIT);
	COLBERT_PAUSE("vacuum-begun");
	merge_drop_dead(index);
	view = view_open(index, false, VIEW_WITHOUT_PENDING);
	free_dead(view, &leftovers);
	postings_reclaim(view->index);
	COLBERT_PAUSE("vacuum-swept");
	merge_unlock(index);
	free_reserved(view, &leftovers.reserved);
	nrows = versions_count(view) + nulls_count(view);
	/* These come last: a full disk can stop them, but none of the steps above. */
	merge_pending(index, (uint64) colbert_pending_limit, MERGE_WAIT);
	relist(index, (uint64) colbert_pending_limit);
	return nrows;
}

/*
 * Warn if an index has outgrown its lists although they have just been
 * replaced if possible: searches read more postings per list and find less.
 */
static void
warn_of_outgrown_lists(Relation index, const MetaPageData *meta)
{
	if (!drift_lists_outgrown(meta))
		return;
	ereport(WARNING, (errmsg("index \"%s\" has outgrown its lists", RelationGetRelationName(index)),
					  errdetail("It holds %.0f tokens per list; the best number is %u.",
								(double) meta->documents.live_tokens / meta_nnodes(meta),
								meta->shape.tokens_per_node),
					  errhint("Increase maintenance_work_mem if it is small, "
							  "and run REINDEX INDEX CONCURRENTLY to train new lists.")));
}

IndexBulkDeleteResult *
colbert_vacuumcleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats)
{
	MemoryContext context;
	MemoryContext old;
	ColbertIndex  index = {.rel = info->index};
	uint64        nrows;

	if (info->analyze_only)
		return stats;
	if (stats == NULL)
		stats = palloc0(sizeof(IndexBulkDeleteResult));

	context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg vacuum", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	nrows = clean(info->index);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);

	meta_read(&index);
	warn_of_outgrown_lists(info->index, &index.meta);
	IndexFreeSpaceMapVacuum(info->index);
	stats->num_pages = RelationGetNumberOfBlocks(info->index);
	stats->pages_free = 0;
	stats->num_index_tuples = (double) index.meta.documents.live_docs + nrows;
	stats->estimated_count = false;
	return stats;
}
