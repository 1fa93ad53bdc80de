/*-------------------------------------------------------------------------
 *
 * pending_rows.c
 *	  Runs of pending rows: taken with a slot, freed by the merge.
 *
 * If the codec is coarse, a pending document has sq8 rows in addition to those
 * of the codec. They are a run of ARRAY_PENDING_ROWS whose length is a power
 * of two. The merge that clears DOC_PENDING puts the run on the free list of
 * its length, in the same change. VACUUM does so for an abandoned reservation.
 * The array therefore has at most as many runs of each length as were ever
 * pending at one time.
 *
 * A free list is chained through the first rows of its runs. Each is sealed
 * with a hash of its location, so that a run reached through damage is not
 * handed out.
 *
 * Lock order: meta page, directory page, row page.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "common/hashfn.h"
#include "index/docstore.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"

static uint32
run_class(uint32 ntokens)
{
	return Min(pg_ceil_log2_32(Max(ntokens, 1)), RUN_CLASSES - 1);
}

uint32
pending_rows_length(uint32 class)
{
	return (uint32) 1 << class;
}

uint32
pending_rows_capacity(uint32 ntokens)
{
	return pending_rows_length(run_class(ntokens));
}

static uint32
seal(uint32 first, uint32 next)
{
	return hash_combine(murmurhash32(first), murmurhash32(next));
}

bool
pending_rows_next(IndexView *view, uint32 first, uint32 *next)
{
	FreeRun run;
	char   *data;
	Buffer  buffer;

	if (first >= parray_nitems(view->index, ARRAY_PENDING_ROWS))
		return false;
	buffer = parray_read(view->index, ARRAY_PENDING_ROWS, first, &data);
	if (data != NULL)
		memcpy(&run, data, sizeof(FreeRun));
	UnlockReleaseBuffer(buffer);
	if (data == NULL || run.seal != seal(first, run.next))
		return false;
	*next = run.next;
	return true;
}

uint32
pending_rows_wanted(IndexView *view, uint32 ntokens)
{
	uint32 first = view->index->meta.documents.free_runs[run_class(ntokens)];
	uint32 next;

	return first != INVALID_ORDINAL && pending_rows_next(view, first, &next)
			   ? 0
			   : pending_rows_capacity(ntokens);
}

uint32
pending_rows_take(IndexView *view, uint32 ntokens)
{
	uint32 *head = &view->index->meta.documents.free_runs[run_class(ntokens)];
	uint32  first = *head;

	if (first != INVALID_ORDINAL)
	{
		if (pending_rows_next(view, first, head))
			return first;
		*head = INVALID_ORDINAL; /* damaged: the runs are lost until REINDEX */
	}
	return parray_take(view->index, ARRAY_PENDING_ROWS, pending_rows_capacity(ntokens));
}

/*
 * Clear the pending flag of a document, set other flags, and free its run, in
 * one change. The meta page is held exclusively.
 */
static void
release_locked(IndexView *view, Buffer meta_buffer, uint32 doc, const DocEntry *entry, uint8 set)
{
	Buffer doc_buffer = parray_lock(view->index, ARRAY_DOCS, doc);
	uint32 first = entry->first_pending_row;
	bool   has_run = (uint64) first + pending_rows_capacity(entry->ntokens) <=
				   parray_nitems(view->index, ARRAY_PENDING_ROWS);
	Buffer row_buffer =
		has_run ? parray_lock(view->index, ARRAY_PENDING_ROWS, first) : InvalidBuffer;
	Change    change;
	DocEntry *stored;

	change_begin(&change, view->index);
	stored = (DocEntry *) parray_change(&change, doc_buffer, ARRAY_DOCS, doc);
	stored->flags = (stored->flags & ~DOC_PENDING) | set;
	if (has_run)
	{
		uint32 *head = &meta_data(change_page(&change, meta_buffer, false))
							->documents.free_runs[run_class(entry->ntokens)];
		FreeRun run = {*head, seal(first, *head)};

		memcpy(parray_change(&change, row_buffer, ARRAY_PENDING_ROWS, first), &run,
			   sizeof(FreeRun));
		*head = first;
	}
	change_commit(&change);
	if (has_run)
		UnlockReleaseBuffer(row_buffer);
	UnlockReleaseBuffer(doc_buffer);
}

void
pending_rows_release(IndexView *view, uint32 doc, bool reserved, uint8 set)
{
	Buffer   meta_buffer;
	DocEntry entry;

	CHECK_FOR_INTERRUPTS();
	meta_buffer = meta_lock(view->index, BUFFER_LOCK_EXCLUSIVE);
	parray_refresh(view->index, ARRAY_PENDING_ROWS, meta_buffer);
	/* Every other writer of directory entries holds the meta page or the merge lock. */
	if (docstore_entry(view, doc, &entry) && (entry.flags & DOC_PENDING) &&
		docstore_releases(&entry, reserved))
		release_locked(view, meta_buffer, doc, &entry, set);
	UnlockReleaseBuffer(meta_buffer);
}
