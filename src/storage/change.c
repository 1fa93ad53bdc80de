/*-------------------------------------------------------------------------
 *
 * change.c
 *	  Apply changes to pages; no other file writes WAL.
 *
 * Changes are logged as generic WAL records, so the extension need not be
 * preloaded. A build changes pages in place and logs the whole index at its
 * end.
 *
 * A change works on copies of its pages. The commit writes what differs into
 * the record and onto the pages, as GenericXLogFinish does. It builds the record
 * itself, because the comparison of delta.c takes a tenth of the time.
 *
 * Lock order: the caller holds the pages of the change exclusively.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/rmgr.h"
#include "access/xloginsert.h"
#include "miscadmin.h"
#include "storage/delta.h"
#include "storage/storage.h"

void
change_begin(Change *change, ColbertIndex *index)
{
	change->index = index;
	change->npages = 0;
	change->in_place = index->building;
	change->logged = !index->building && RelationNeedsWAL(index->rel);
}

Page
change_page(Change *change, Buffer buffer, bool fresh)
{
	ChangedPage *changed;

	for (int i = 0; i < change->npages; i++)
		if (change->pages[i].buffer == buffer)
			return change->pages[i].image;

	Assert(change->npages < CHANGE_MAX_PAGES);
	changed = &change->pages[change->npages];
	changed->buffer = buffer;
	changed->whole = fresh;
	changed->delta = NULL;
	if (change->in_place)
		changed->image = BufferGetPage(buffer);
	else
	{
		changed->image = palloc(BLCKSZ);
		memcpy(changed->image, BufferGetPage(buffer), BLCKSZ);
	}
	change->npages++;
	return changed->image;
}

/* ---- the commit ---- */

/* Raise an error if a page claims a hole that is not on it. */
static void
check_hole(const Change *change, Buffer buffer, Page page)
{
	PageHeader header = (PageHeader) page;

	if (header->pd_lower > header->pd_upper || header->pd_upper > BLCKSZ)
		ereport(ERROR,
				(errcode(ERRCODE_INDEX_CORRUPTED),
				 errmsg("index \"%s\" has a damaged page header at block %u",
						RelationGetRelationName(change->index->rel), BufferGetBlockNumber(buffer)),
				 errhint("REINDEX it.")));
}

/* The part of a page header that changes set: flags, pd_lower, pd_upper, pd_special. */
#define HEADER_START offsetof(PageHeaderData, pd_flags)
#define HEADER_END   offsetof(PageHeaderData, pd_pagesize_version)

/*
 * Compare a page with its image. If most of it differs, the record gets the
 * whole page.
 *
 * A replay zeroes the hole between pd_lower and pd_upper, and crashes if the
 * hole ends before it begins. The page that it finds may be damaged, so a record
 * that changes one of them has both.
 */
static void
compare(const Change *change, ChangedPage *changed)
{
	const char *page = BufferGetPage(changed->buffer);
	PageHeader  old = (PageHeader) page;
	PageHeader new = (PageHeader) changed->image;
	Delta delta = {.room = BLCKSZ};
	bool  moved;

	check_hole(change, changed->buffer, changed->image);
	if (changed->whole)
		return;
	check_hole(change, changed->buffer, (Page) page);
	delta.data = changed->delta = palloc(BLCKSZ);
	moved =
		memcmp(page + HEADER_START, changed->image + HEADER_START, HEADER_END - HEADER_START) != 0;
	delta_add(&delta, page, changed->image, (DeltaPart) {HEADER_START, new->pd_lower},
			  (DeltaPart) {moved ? HEADER_END : HEADER_START, old->pd_lower});
	delta_add(&delta, page, changed->image, (DeltaPart) {new->pd_upper, BLCKSZ},
			  (DeltaPart) {old->pd_upper, BLCKSZ});
	changed->whole = delta.full;
	changed->delta_length = delta.length;
}

/* Bring a page to its new state. A replay zeroes the hole as well. */
static void
apply(const ChangedPage *changed)
{
	char *page = BufferGetPage(changed->buffer);
	PageHeader new = (PageHeader) changed->image;

	if (changed->whole)
		memcpy(page, changed->image, BLCKSZ);
	else
		delta_apply(&(Delta) {.data = changed->delta, .length = changed->delta_length}, page);
	memset(page + new->pd_lower, 0, new->pd_upper - new->pd_lower);
}

static void
write_record(Change *change)
{
	XLogRecPtr lsn;

	for (int i = 0; i < change->npages; i++)
		compare(change, &change->pages[i]);
	XLogBeginInsert();
	START_CRIT_SECTION();
	for (int i = 0; i < change->npages; i++)
	{
		ChangedPage *changed = &change->pages[i];

		apply(changed);
		MarkBufferDirty(changed->buffer);
		XLogRegisterBuffer(i, changed->buffer,
						   REGBUF_STANDARD | (changed->whole ? REGBUF_FORCE_IMAGE : 0));
		if (!changed->whole)
			XLogRegisterBufData(i, changed->delta, changed->delta_length);
	}
	lsn = XLogInsert(RM_GENERIC_ID, 0);
	for (int i = 0; i < change->npages; i++)
		PageSetLSN(BufferGetPage(change->pages[i].buffer), lsn);
	END_CRIT_SECTION();
}

/* Bring the pages of a relation that is not logged to their new state. */
static void
write_unlogged(Change *change)
{
	START_CRIT_SECTION();
	for (int i = 0; i < change->npages; i++)
	{
		if (!change->in_place)
			memcpy(BufferGetPage(change->pages[i].buffer), change->pages[i].image, BLCKSZ);
		MarkBufferDirty(change->pages[i].buffer);
	}
	END_CRIT_SECTION();
}

static void
release(Change *change)
{
	for (int i = 0; i < change->npages && !change->in_place; i++)
	{
		pfree(change->pages[i].image);
		if (change->pages[i].delta != NULL)
			pfree(change->pages[i].delta);
	}
}

void
change_commit(Change *change)
{
	if (change->logged)
		write_record(change);
	else
		write_unlogged(change);
	release(change);
}

void
change_cancel(Change *change)
{
	Assert(!change->in_place);
	release(change);
}
