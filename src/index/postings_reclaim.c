/*-------------------------------------------------------------------------
 *
 * postings_reclaim.c
 *	  Make posting pages of blocks without an owner.
 *
 * A crash or an error just after the file was extended leaves all-zero blocks
 * that are neither posting pages nor part of an array (src/storage/grow.c).
 * They become empty posting pages, and their free space is recorded.
 *
 * The owner of a block never changes, so only blocks added since the last call
 * are examined: from MetaPageData.settled_blocks on.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "index/postings_internal.h"
#include "miscadmin.h"
#include "storage/freespace.h"

void
postings_init_page(ColbertIndex *index, BlockNumber block)
{
	Buffer buffer = ReadBuffer(index->rel, block);
	Size   room = 0;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	if (PageIsNew(BufferGetPage(buffer)))
	{
		Change change;
		Page   page;

		change_begin(&change, index);
		page = change_page(&change, buffer, true);
		page_init(page, PAGE_POSTINGS, 0);
		room = PageGetFreeSpace(page);
		change_commit(&change);
	}
	UnlockReleaseBuffer(buffer);
	if (room > 0)
		RecordPageWithFreeSpace(index->rel, block, room);
}

void
postings_reclaim(ColbertIndex *index)
{
	BlockNumber nblocks = storage_settled(index);
	BlockNumber first = Max(index->meta.settled_blocks, META_BLOCK + 1);
	ExtentList  arrays;

	if (first >= nblocks)
		return;
	extents_list(index, &arrays);
	for (BlockNumber block = extents_skip(&arrays, first); block < nblocks;
		 block = extents_skip(&arrays, block + 1))
	{
		CHECK_FOR_INTERRUPTS();
		postings_init_page(index, block);
	}
	pfree(arrays.extents);
	FreeSpaceMapVacuumRange(index->rel, first, nblocks);
	storage_set_settled(index, nblocks);
}
