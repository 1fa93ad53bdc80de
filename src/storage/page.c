/*-------------------------------------------------------------------------
 *
 * page.c
 *	  Initialise, check and lock the pages of an index.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "storage/buf_internals.h"
#include "storage/storage.h"

void
page_init(Page page, PageKind kind, ArrayKind array)
{
	PageTrailer *trailer;

	PageInit(page, BLCKSZ, sizeof(PageTrailer));
	trailer = page_trailer(page);
	trailer->kind = kind;
	trailer->array = array;
	trailer->magic = COLBERT_MAGIC;

	/* Leave no hole between pd_lower and pd_upper: generic WAL would zero it. */
	if (kind != PAGE_POSTINGS)
	{
		((PageHeader) page)->pd_lower = ((PageHeader) page)->pd_special;
		((PageHeader) page)->pd_upper = ((PageHeader) page)->pd_special;
	}
}

void
page_check(Relation rel, BlockNumber block, Page page, PageKind kind, ArrayKind array)
{
	PageTrailer *trailer;

	/*
	 * PostgreSQL compares pd_lower, pd_upper and pd_special when it reads a page,
	 * but PageAddItem panics if pd_lower is too small.
	 */
	if (PageIsNew(page) || PageGetSpecialSize(page) != MAXALIGN(sizeof(PageTrailer)) ||
		PageGetPageSize(page) != BLCKSZ || ((PageHeader) page)->pd_lower < SizeOfPageHeaderData)
		ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
						errmsg("index \"%s\" has an unexpected page at block %u",
							   RelationGetRelationName(rel), block),
						errhint("REINDEX it.")));

	trailer = page_trailer(page);
	if (trailer->magic != COLBERT_MAGIC || trailer->kind != kind ||
		((kind == PAGE_ARRAY || kind == PAGE_MAP) && trailer->array != array))
		ereport(ERROR,
				(errcode(ERRCODE_INDEX_CORRUPTED),
				 errmsg("index \"%s\" has a page of the wrong kind at block %u",
						RelationGetRelationName(rel), block),
				 errdetail("Expected kind %d of array %d, not kind %d of array %d.", (int) kind,
						   (int) array, (int) trailer->kind, (int) trailer->array),
				 errhint("REINDEX it.")));
}

bool
storage_holds(Buffer buffer)
{
	return !BufferIsLocal(buffer) && compat_buffer_is_locked(buffer);
}

void
storage_lock(Relation rel, Buffer buffer, int mode)
{
	if (storage_holds(buffer))
		ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
						errmsg("index \"%s\" uses block %u for two purposes",
							   RelationGetRelationName(rel), BufferGetBlockNumber(buffer)),
						errhint("REINDEX it.")));
	LockBuffer(buffer, mode);
}
