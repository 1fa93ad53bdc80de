/*-------------------------------------------------------------------------
 *
 * grow.c
 *	  Extend an index file: extents for the arrays, pages for postings.
 *
 * An array grows by an eighth of its pages, or by the pages needed if these
 * are more; the spare pages are limited by COLBERT_EXTENT_PAGES. The file is
 * extended in short steps. No page is locked and interrupts are accepted
 * between steps:
 *
 * 	take the growth lock
 * 	repeat
 * 		extend the relation by a step, under its extension lock
 * 		lock the meta page; record the pages; unlock it
 * 	release the growth lock
 *
 * Pages that directly follow the array's last extent lengthen it. The change
 * that records an extent includes an image of its last page. The file
 * therefore reaches as far as the meta page says, also after a crash and on a
 * standby. The pages in between stay zero until they are written.
 *
 * A crash or an error between the two halves of a step leaves zero pages
 * without an owner; VACUUM makes them posting pages (postings_reclaim.c). On a
 * full disk, the pages that could be added are recorded nevertheless, and
 * growth ends without an error if they suffice.
 *
 * A backend that finds the growth lock taken checks every millisecond whether
 * its holder has made enough room. The holder waits only for the extension
 * lock and for page locks.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <sys/statvfs.h>

#include "miscadmin.h"
#include "storage/locks.h"
#include "storage/smgr.h"
#include "storage/storage.h"

/* An array grows by 1 / GROWTH_SHARE of its pages. */
#define GROWTH_SHARE 8

/*
 * Spare pages take at most 1 / FREE_DISK_SHARE of the free disk space, since
 * other arrays grow too.
 */
#define FREE_DISK_SHARE 16

/* Interval between checks by a backend that waits for growth. */
#define GROWTH_POLL_US 1000L

/* ---- the file ---- */

/* Blocks added to the file, and the error if there are fewer than requested. */
typedef struct Extension
{
	BlockRun   run;
	ErrorData *error;
} Extension;

/*
 * Add zeroed pages at the end of the relation. The extension lock is needed
 * even if this backend created the relation: parallel workers extend it as
 * well.
 */
static void
extend_relation(Relation rel, uint32 npages, BlockRun *run)
{
	LockRelationForExtension(rel, ExclusiveLock);
	run->start = RelationGetNumberOfBlocks(rel);
	if (run->start >= MaxBlockNumber)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("index \"%s\" cannot grow beyond %u pages",
							   RelationGetRelationName(rel), MaxBlockNumber),
						errhint("Partition the table.")));
	run->npages = Min(npages, MaxBlockNumber - run->start);
	compat_zero_extend(RelationGetSmgr(rel), run->start, run->npages);
	UnlockRelationForExtension(rel, ExclusiveLock);
}

/*
 * Extend the relation as far as the disk has room. A full disk sets
 * extension->error instead of raising it.
 *
 * The storage manager holds no resource when it reports a full disk, and no
 * page is locked. The error can therefore be caught without a subtransaction,
 * which a parallel operation could not start.
 */
static void
extend_if_possible(Relation rel, uint32 npages, Extension *extension)
{
	MemoryContext context = CurrentMemoryContext;

	extension->error = NULL;
	PG_TRY();
	{
		extend_relation(rel, npages, &extension->run);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		extension->error = CopyErrorData();
		if (extension->error->sqlerrcode != ERRCODE_DISK_FULL)
			PG_RE_THROW();
		FlushErrorState();
		extension->run.npages = RelationGetNumberOfBlocks(rel) - extension->run.start;
		UnlockRelationForExtension(rel, ExclusiveLock);
	}
	PG_END_TRY();
}

/*
 * Return the number of pages that fit in the free space of a relation's disk;
 * PG_UINT32_MAX if unknown.
 */
static uint64
free_pages(Relation rel)
{
	char          *path = compat_relation_path(rel);
	struct statvfs disk;
	uint64         pages = PG_UINT32_MAX;

	if (statvfs(path, &disk) == 0)
		pages = (uint64) disk.f_bavail * disk.f_frsize / BLCKSZ;
	pfree(path);
	return pages;
}

bool
storage_has_room(Relation rel, uint32 npages)
{
	return free_pages(rel) >= npages;
}

BlockRun
storage_extend(ColbertIndex *index, uint32 npages)
{
	uint32 spare =
		npages > 1 ? (uint32) Min(npages - 1, free_pages(index->rel) / FREE_DISK_SHARE) : 0;
	Extension extension;

	extend_if_possible(index->rel, 1 + spare, &extension);
	if (extension.run.npages == 0 && spare > 0)
		extend_if_possible(index->rel, 1, &extension);
	if (extension.run.npages == 0)
		ReThrowError(extension.error);
	return extension.run;
}

Buffer
storage_new_page(ColbertIndex *index)
{
	BlockRun run;
	Buffer   buffer;

	extend_relation(index->rel, 1, &run);
	buffer = storage_read_buffer(index->rel, run.start);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	return buffer;
}

/* ---- recording extents ---- */

/* Return true if block start directly follows the last extent of an array. */
static bool
follows(const ArrayPages *array, BlockNumber start)
{
	const Extent *last;

	if (array->nextents == 0)
		return false;
	last = &array->extents[array->nextents - 1];
	return last->start + (array->npages - last->first_page) == start;
}

static void
add_run(ArrayPages *array, const BlockRun *run)
{
	if (!follows(array, run->start))
		array->extents[array->nextents++] = (Extent) {array->npages, run->start};
	array->npages += run->npages;
}

/*
 * Copy an array's part of the meta page. For node arrays the number of items
 * is not copied: their only writer may have taken more items than the meta
 * page counts.
 */
static void
copy_array(ColbertIndex *index, ArrayKind kind, Buffer meta_buffer)
{
	if (kind < ARRAY_NODES)
		parray_refresh(index, kind, meta_buffer);
	else
		index->meta.pages[kind] = meta_data(BufferGetPage(meta_buffer))->pages[kind];
}

/* Record blocks as pages of an array. The first one may become a map page. */
static void
enter_run(ColbertIndex *index, ArrayKind kind, BlockRun run)
{
	Buffer      last = ReadBuffer(index->rel, run.start + run.npages - 1);
	Buffer      meta_buffer = meta_lock(index, BUFFER_LOCK_EXCLUSIVE);
	Buffer      map_buffer = InvalidBuffer;
	ArrayPages *stored;
	Change      change;

	change_begin(&change, index);
	stored = &meta_data(change_page(&change, meta_buffer, false))->pages[kind];
	if (stored->nextents == MAX_EXTENTS && !follows(stored, run.start))
		map_buffer = extents_move_to_map(&change, stored, kind, &run);
	if (run.npages > 0)
	{
		LockBuffer(last, BUFFER_LOCK_EXCLUSIVE);
		page_init(change_page(&change, last, true), PAGE_ARRAY, kind);
		add_run(stored, &run);
	}
	change_commit(&change);

	if (run.npages > 0)
		LockBuffer(last, BUFFER_LOCK_UNLOCK);
	ReleaseBuffer(last);
	if (BufferIsValid(map_buffer))
		UnlockReleaseBuffer(map_buffer);
	copy_array(index, kind, meta_buffer);
	UnlockReleaseBuffer(meta_buffer);
}

/* ---- arrays ---- */

static bool
has_room(const ColbertIndex *index, const ArrayDemand *demand)
{
	uint64 room;
	uint64 wanted = parray_nitems(index, demand->kind) + demand->count;

	if (parray_item_size(index, demand->kind) == 0)
		return true;
	room = (uint64) index->meta.pages[demand->kind].npages * parray_per_page(index, demand->kind);
	return wanted <= Min(COLBERT_MAX_ITEMS, room);
}

bool
parray_have_room(const ColbertIndex *index, const ArrayDemand *demands, int n)
{
	for (int i = 0; i < n; i++)
		if (!has_room(index, &demands[i]))
			return false;
	return true;
}

/*
 * Take the growth lock. Returns false, without the lock, if another backend
 * has made room meanwhile.
 */
static bool
lock_growth(ColbertIndex *index, const ArrayDemand *demand)
{
	bool locked = false;

	while (!locked)
	{
		Buffer meta_buffer;

		CHECK_FOR_INTERRUPTS();
		locked = index_lock_if_free(index->rel, LOCK_GROWTH, ExclusiveLock);
		meta_buffer = meta_lock(index, BUFFER_LOCK_SHARE);
		copy_array(index, demand->kind, meta_buffer);
		UnlockReleaseBuffer(meta_buffer);
		if (has_room(index, demand))
		{
			if (locked)
				index_unlock(index->rel, LOCK_GROWTH, ExclusiveLock);
			return false;
		}
		if (!locked)
			pg_usleep(GROWTH_POLL_US);
	}
	return true;
}

/* Return the number of pages to add to an array beyond those needed. */
static uint32
spare_pages(const ColbertIndex *index, const ArrayPages *array, uint32 needed)
{
	uint32 step = Min(array->npages / GROWTH_SHARE, COLBERT_EXTENT_PAGES);

	if (step <= needed)
		return 0;
	return (uint32) Min(step - needed, free_pages(index->rel) / FREE_DISK_SHARE);
}

/*
 * Extend the relation by one step and record the new pages. Returns the error
 * if the disk is full, otherwise NULL.
 */
static ErrorData *
grow_step(ColbertIndex *index, ArrayKind kind, uint32 npages)
{
	Extension extension;

	CHECK_FOR_INTERRUPTS();
	extend_if_possible(index->rel, Min(npages, COMPAT_EXTEND_STEP), &extension);
	COLBERT_PAUSE("grow-extended");
	if (extension.run.npages > 0)
		enter_run(index, kind, extension.run);
	return extension.error;
}

/* Extend an array to enough pages plus spare ones. The caller holds the growth lock. */
static void
grow(ColbertIndex *index, ArrayKind kind, uint32 enough)
{
	const ArrayPages *array = &index->meta.pages[kind];
	uint32            wanted = enough + spare_pages(index, array, enough - array->npages);

	while (array->npages < wanted)
	{
		ErrorData *error = grow_step(index, kind, wanted - array->npages);

		if (error == NULL)
			continue;
		if (array->npages < enough && wanted == enough)
			ReThrowError(error);
		/* The disk is full: go without the spare pages. */
		FreeErrorData(error);
		wanted = enough;
	}
}

static void
make_room(ColbertIndex *index, const ArrayDemand *demand)
{
	uint64 wanted = parray_nitems(index, demand->kind) + demand->count;
	uint32 per_page = parray_per_page(index, demand->kind);

	if (wanted > COLBERT_MAX_ITEMS)
		ereport(
			ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("index \"%s\" is full", RelationGetRelationName(index->rel)),
			 errdetail("An index holds at most %u tokens. Deleted documents count until VACUUM.",
					   (unsigned) COLBERT_MAX_ITEMS),
			 errhint("VACUUM the table, REINDEX the index, or partition the table.")));
	if (!lock_growth(index, demand))
		return;
	wanted = parray_nitems(index, demand->kind) + demand->count;
	grow(index, demand->kind, (uint32) ((wanted + per_page - 1) / per_page));
	index_unlock(index->rel, LOCK_GROWTH, ExclusiveLock);
}

void
parray_make_room(ColbertIndex *index, const ArrayDemand *demands, int n)
{
	for (int i = 0; i < n; i++)
		if (!has_room(index, &demands[i]))
			make_room(index, &demands[i]);
}

/* ---- blocks without an owner ---- */

BlockNumber
storage_settled(ColbertIndex *index)
{
	BlockNumber nblocks;

	index_lock(index->rel, LOCK_GROWTH, ShareLock);
	nblocks = RelationGetNumberOfBlocks(index->rel);
	meta_read(index);
	index_unlock(index->rel, LOCK_GROWTH, ShareLock);
	return nblocks;
}

void
storage_set_settled(ColbertIndex *index, BlockNumber nblocks)
{
	Buffer buffer = meta_lock(index, BUFFER_LOCK_EXCLUSIVE);
	Change change;

	change_begin(&change, index);
	meta_data(change_page(&change, buffer, false))->settled_blocks = nblocks;
	change_commit(&change);
	UnlockReleaseBuffer(buffer);
}
