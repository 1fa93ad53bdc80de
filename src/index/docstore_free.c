/*-------------------------------------------------------------------------
 *
 * docstore_free.c
 *	  Free lists of document slots, by capacity in sketch blocks.
 *
 * A slot keeps its sketch blocks and code rows for good, so a free slot is
 * reused for a document that is no larger. The lists are chained through the
 * directory: DocEntry.ntokens of a free slot is the next slot of its list.
 *
 * Lock order: meta page, directory pages by block number.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "index/docstore.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"

/*
 * Lists for up to this many blocks have one capacity each. Above, each list
 * covers a power of two.
 */
#define EXACT_CLASSES 48

/* Maximum slots examined per list, and number of lists of larger slots tried. */
#define FREE_LOOKS     16
#define LARGER_CLASSES 2

uint32
docstore_free_class(uint32 ntokens)
{
	uint32 nblocks = sketch_blocks_for(ntokens);

	if (nblocks <= EXACT_CLASSES)
		return Max(nblocks, 1) - 1;
	return Min(EXACT_CLASSES + pg_leftmost_one_pos32(nblocks / EXACT_CLASSES), FREE_CLASSES - 1);
}

/*
 * Read the entry of a slot on a free list. Returns false at the list's end or
 * if the entry is damaged. The slots after a damaged one are lost until
 * REINDEX.
 */
static bool
free_entry(IndexView *view, uint32 doc, DocEntry *entry)
{
	return doc != INVALID_ORDINAL && docstore_entry(view, doc, entry) && entry->state == DOC_FREE;
}

/* Find a slot with room on one list. */
static bool
find_in_class(IndexView *view, uint32 class, uint32 ntokens, FreeSlot *free, DocEntry *entry)
{
	free->class = class;
	free->before = INVALID_ORDINAL;
	free->doc = view->index->meta.documents.free_head[class];
	for (int looks = 0; looks < FREE_LOOKS && free_entry(view, free->doc, entry); looks++)
	{
		free->next = entry->ntokens;
		if (entry->capacity >= ntokens)
			return true;
		free->before = free->doc;
		free->doc = free->next;
	}
	return false;
}

bool
docstore_find_free(IndexView *view, uint32 ntokens, FreeSlot *free, DocEntry *entry)
{
	uint32 class = docstore_free_class(ntokens);

	if (view->index->meta.documents.free_docs == 0)
		return false;
	for (uint32 c = class; c <= class + LARGER_CLASSES && c < FREE_CLASSES; c++)
	{
		if (!find_in_class(view, c, ntokens, free, entry))
			continue;
		if (free->before == INVALID_ORDINAL)
			view->index->meta.documents.free_head[c] = free->next;
		view->index->meta.documents.free_docs--;
		return true;
	}
	return false;
}

void
docstore_push_free(IndexView *view, const uint32 *docs, uint32 ndocs)
{
	uint32 i = 0;

	while (i < ndocs)
	{
		uint32        end = docs[i] + parray_run(view->index, ARRAY_DOCS, docs[i]);
		Buffer        meta_buffer;
		Buffer        buffer;
		Change        change;
		MetaPageData *stored;

		CHECK_FOR_INTERRUPTS();
		meta_buffer = meta_lock(view->index, BUFFER_LOCK_EXCLUSIVE);
		buffer = parray_lock(view->index, ARRAY_DOCS, docs[i]);
		change_begin(&change, view->index);
		stored = meta_data(change_page(&change, meta_buffer, false));
		for (; i < ndocs && docs[i] < end; i++)
		{
			DocEntry *entry = (DocEntry *) parray_change(&change, buffer, ARRAY_DOCS, docs[i]);
			uint32 class = docstore_free_class(entry->capacity);

			if (entry->state == DOC_DEAD && stored->documents.dead_docs > 0)
				stored->documents.dead_docs--;
			entry->state = DOC_FREE;
			entry->flags = 0;
			entry->ntokens = stored->documents.free_head[class];
			stored->documents.free_head[class] = docs[i];
			stored->documents.free_docs++;
		}
		change_commit(&change);
		UnlockReleaseBuffer(buffer);
		UnlockReleaseBuffer(meta_buffer);
	}
}
