/*-------------------------------------------------------------------------
 *
 * change.c
 *	  Apply changes to pages; no other file writes WAL.
 *
 * Changes are logged as generic WAL, so the extension need not be preloaded. A
 * build changes pages in place and logs the whole index at its end.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "storage/storage.h"

void
change_begin(Change *change, ColbertIndex *index)
{
	change->index = index;
	change->npages = 0;
	change->wal = index->building ? NULL : GenericXLogStart(index->rel);
}

Page
change_page(Change *change, Buffer buffer, bool fresh)
{
	for (int i = 0; i < change->npages; i++)
		if (change->buffers[i] == buffer)
			return change->wal != NULL ? GenericXLogRegisterBuffer(change->wal, buffer, 0)
									   : BufferGetPage(buffer);

	Assert(change->npages < CHANGE_MAX_PAGES);
	change->buffers[change->npages++] = buffer;
	if (change->wal == NULL)
		return BufferGetPage(buffer);
	return GenericXLogRegisterBuffer(change->wal, buffer, fresh ? GENERIC_XLOG_FULL_IMAGE : 0);
}

void
change_commit(Change *change)
{
	if (change->wal != NULL)
		GenericXLogFinish(change->wal);
	else
		for (int i = 0; i < change->npages; i++)
			MarkBufferDirty(change->buffers[i]);
}

void
change_cancel(Change *change)
{
	Assert(change->wal != NULL);
	GenericXLogAbort(change->wal);
}
