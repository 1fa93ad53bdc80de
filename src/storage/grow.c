/*-------------------------------------------------------------------------
 *
 * grow.c
 *	  Growth of an index file: extents for the arrays, pages for postings.
 *
 * An array grows by an eighth, at most by COLBERT_EXTENT_PAGES unless more is
 * needed at once. The file is extended in short steps, with no page locked and
 * interrupts accepted between them:
 *
 *		take the growth lock
 *		repeat
 *			extend the relation by a step, under its extension lock
 *			lock the meta page; enter the pages; unlock it
 *		release the growth lock
 *
 * Pages that follow the array's last extent lengthen it. An extent is entered
 * in one change with an image of its last page, so that after a crash, and on
 * a standby, the file reaches as far as the meta page says. The pages between
 * stay zero until they are written.
 *
 * A crash or an error between the two halves of a step leaves zero pages that
 * belong to nothing: VACUUM makes them posting pages (postings_reclaim.c). On
 * a full disk, pages that could be added are entered all the same, and the
 * growth ends without an error as soon as they are enough.
 *
 * Those who find the growth lock taken look every millisecond whether its
 * holder has made room for them too, which takes one step. Its holder waits
 * for no lock but the extension lock and page locks.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <sys/statvfs.h>

#include "miscadmin.h"
#include "storage/locks.h"
#include "storage/smgr.h"
#include "storage/storage.h"

/* An array grows by this share of its pages. */
#define GROWTH_SHARE 8

/* Pages beyond those that are needed take at most this share of the free disk: other arrays grow too. */
#define FREE_DISK_SHARE 16

#define GROWTH_POLL_US 1000L

/* ---- the file ---- */

/* Blocks that were added to the file; and why they are fewer than wanted, if they are. */
typedef struct Extension
{
	BlockRun   run;
	ErrorData *error;
} Extension;

/*
 * Add zeroed pages at the end of the relation. The lock is taken for a
 * relation of one's own too: parallel workers extend it as well.
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
 * Extend the relation as far as the disk has room. A full disk is no error
 * here: the storage manager holds nothing when it reports one, and no page is
 * locked, so that the error can be caught without a subtransaction, which a
 * parallel operation could not begin.
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

/* Pages that the disk of a relation has room for; many if that is not known. */
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

/* ---- entering extents ---- */

/* Return true if blocks from start on follow the last extent of an array. */
static bool
follows(const ArrayMeta *array, BlockNumber start)
{
	const Extent *last;

	if (array->nextents == 0)
		return false;
	last = &array->extents[array->nextents - 1];
	return last->start + (array->npages - last->first_page) == start;
}

static void
add_run(ArrayMeta *array, const BlockRun *run)
{
	if (!follows(array, run->start))
		array->extents[array->nextents++] = (Extent) {array->npages, run->start};
	array->npages += run->npages;
}

/* Copy an array's meta data from the meta page, but for items that its one writer has taken and not yet counted there. */
static void
copy_array(MetaPageData *meta, ArrayKind kind, const MetaPageData *stored)
{
	uint32 nitems = meta->arrays[kind].nitems;

	meta->arrays[kind] = stored->arrays[kind];
	if (kind >= ARRAY_NODES)
		meta->arrays[kind].nitems = nitems;
}

/* Enter blocks as an array's pages. One of them may become a map page. */
static void
enter_run(ColbertIndex *index, MetaPageData *meta, ArrayKind kind, BlockRun run)
{
	Buffer     last = ReadBuffer(index->rel, run.start + run.npages - 1);
	Buffer     meta_buffer = meta_lock(index, BUFFER_LOCK_EXCLUSIVE);
	Buffer     map_buffer = InvalidBuffer;
	ArrayMeta *stored;
	Change     change;

	change_begin(&change, index);
	stored = &meta_data(change_page(&change, meta_buffer, false))->arrays[kind];
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
	copy_array(meta, kind, meta_data(BufferGetPage(meta_buffer)));
	UnlockReleaseBuffer(meta_buffer);
}

/* ---- arrays ---- */

bool
parray_has_room(const ArrayMeta *array, uint64 count)
{
	uint64 wanted = (uint64) array->nitems + count;

	return array->item_size == 0 || (wanted <= COLBERT_MAX_ITEMS &&
									 wanted <= (uint64) array->npages * parray_per_page(array));
}

bool
parray_have_room(const MetaPageData *meta, const ArrayDemand *demands, int n)
{
	for (int i = 0; i < n; i++)
		if (!parray_has_room(&meta->arrays[demands[i].kind], demands[i].count))
			return false;
	return true;
}

/* Take the growth lock; false, without it, if somebody else has made room meanwhile. */
static bool
lock_growth(ColbertIndex *index, MetaPageData *meta, const ArrayDemand *demand)
{
	bool locked = false;

	while (!locked)
	{
		MetaPageData stored;

		CHECK_FOR_INTERRUPTS();
		locked = index_lock_if_free(index->rel, LOCK_GROWTH, ExclusiveLock);
		meta_read(index, &stored);
		copy_array(meta, demand->kind, &stored);
		if (parray_has_room(&meta->arrays[demand->kind], demand->count))
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

/* Pages that an array grows by beyond those that it needs. */
static uint32
spare_pages(const ColbertIndex *index, const ArrayMeta *array, uint32 needed)
{
	uint32 step = Min(array->npages / GROWTH_SHARE, COLBERT_EXTENT_PAGES);

	if (step <= needed)
		return 0;
	return (uint32) Min(step - needed, free_pages(index->rel) / FREE_DISK_SHARE);
}

/* Extend the relation and enter what it grew by; returns the error of a full disk, or NULL. */
static ErrorData *
grow_step(ColbertIndex *index, MetaPageData *meta, ArrayKind kind, uint32 npages)
{
	Extension extension;

	CHECK_FOR_INTERRUPTS();
	extend_if_possible(index->rel, Min(npages, COMPAT_EXTEND_STEP), &extension);
	COLBERT_PAUSE("grow-extended");
	if (extension.run.npages > 0)
		enter_run(index, meta, kind, extension.run);
	return extension.error;
}

/* Let an array grow until it has enough pages, and then some. The growth lock is held. */
static void
grow(ColbertIndex *index, MetaPageData *meta, ArrayKind kind, uint32 enough)
{
	const ArrayMeta *array = &meta->arrays[kind];
	uint32           wanted = enough + spare_pages(index, array, enough - array->npages);

	while (array->npages < wanted)
	{
		ErrorData *error = grow_step(index, meta, kind, wanted - array->npages);

		if (error == NULL)
			continue;
		if (array->npages < enough && wanted == enough)
			ReThrowError(error);
		/* The disk is full: the least will do. */
		FreeErrorData(error);
		wanted = enough;
	}
}

static void
make_room(ColbertIndex *index, MetaPageData *meta, const ArrayDemand *demand)
{
	const ArrayMeta *array = &meta->arrays[demand->kind];
	uint64           wanted = (uint64) array->nitems + demand->count;

	if (wanted > COLBERT_MAX_ITEMS)
		ereport(
			ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("index \"%s\" is full", RelationGetRelationName(index->rel)),
			 errdetail(
				 "An index holds %u tokens at the most, and those of deleted documents count until VACUUM.",
				 (unsigned) COLBERT_MAX_ITEMS),
			 errhint("VACUUM the table, REINDEX the index, or partition the table.")));
	if (!lock_growth(index, meta, demand))
		return;
	wanted = (uint64) array->nitems + demand->count;
	grow(index, meta, demand->kind,
		 (uint32) ((wanted + parray_per_page(array) - 1) / parray_per_page(array)));
	index_unlock(index->rel, LOCK_GROWTH, ExclusiveLock);
}

void
parray_make_room(ColbertIndex *index, MetaPageData *meta, const ArrayDemand *demands, int n)
{
	for (int i = 0; i < n; i++)
		if (!parray_has_room(&meta->arrays[demands[i].kind], demands[i].count))
			make_room(index, meta, &demands[i]);
}

/* ---- blocks without an owner ---- */

BlockNumber
storage_settled(ColbertIndex *index, MetaPageData *meta)
{
	BlockNumber nblocks;

	index_lock(index->rel, LOCK_GROWTH, ShareLock);
	nblocks = RelationGetNumberOfBlocks(index->rel);
	meta_read(index, meta);
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
