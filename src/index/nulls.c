/*-------------------------------------------------------------------------
 *
 * nulls.c
 *	  Rows whose document is NULL.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "index/nulls.h"
#include "miscadmin.h"

/* Refuse a count that the page cannot have. */
static void
check_count(const IndexView *view, uint32 count, uint32 most)
{
	if (count > most)
		ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
						errmsg("index \"%s\" has a null page of %u rows",
							   RelationGetRelationName(view->index->rel), count),
						errhint("REINDEX it.")));
}

/* Leave what a changed null page does not use out of WAL. */
static void
set_used(NullPage *nulls)
{
	parray_set_used((char *) nulls,
					offsetof(NullPage, tids) + nulls->count * sizeof(ItemPointerData));
}

/* ---- adding ---- */

/* Add a row to a page that has room for more than one; false if it has not. No page is locked. */
static bool
append_to_page(IndexView *view, uint32 page, const ItemPointerData *tid)
{
	Buffer    buffer = parray_lock(view->index, ARRAY_NULLS, page);
	NullPage *nulls = (NullPage *) PageGetContents(BufferGetPage(buffer));
	bool      has_room = !PageIsNew(BufferGetPage(buffer)) && nulls->count < NULLS_PER_PAGE - 1;
	Change    change;

	if (has_room)
	{
		change_begin(&change, view->index);
		nulls = (NullPage *) parray_change(&change, buffer, ARRAY_NULLS, page);
		nulls->tids[nulls->count++] = *tid;
		set_used(nulls);
		change_commit(&change);
	}
	UnlockReleaseBuffer(buffer);
	return has_room;
}

/* Lock the meta page exclusively and copy it, with a page on the list or room for a new one. */
static Buffer
lock_with_room(IndexView *view)
{
	const ArrayDemand demand = {ARRAY_NULLS, 1};

	for (;;)
	{
		Buffer meta_buffer = meta_lock(view->index, BUFFER_LOCK_EXCLUSIVE);

		meta_copy(view->index, meta_buffer);
		if (view->index->meta.documents.null_head != INVALID_ORDINAL ||
			parray_have_room(view->index, &demand, 1))
			return meta_buffer;
		UnlockReleaseBuffer(meta_buffer);
		parray_make_room(view->index, &demand, 1);
	}
}

/* Add a row to the first page of the list, which leaves it if it is full then; or to a new one. */
static void
append_to_list(IndexView *view, const ItemPointerData *tid)
{
	Buffer         meta_buffer = lock_with_room(view);
	MetaDocuments *documents = &view->index->meta.documents;
	bool           fresh = documents->null_head == INVALID_ORDINAL;
	uint32         page;
	Buffer         buffer;
	NullPage      *nulls;
	Change         change;

	if (fresh)
		documents->null_head = parray_take(view->index, ARRAY_NULLS, 1);
	page = documents->null_head;
	buffer = parray_lock(view->index, ARRAY_NULLS, page);
	nulls = (NullPage *) PageGetContents(BufferGetPage(buffer));
	if (!fresh)
		check_count(view, nulls->count, NULLS_PER_PAGE - 1);

	change_begin(&change, view->index);
	nulls = (NullPage *) parray_change(&change, buffer, ARRAY_NULLS, page);
	if (fresh)
	{
		nulls->count = 0;
		nulls->next = INVALID_ORDINAL;
	}
	nulls->tids[nulls->count++] = *tid;
	set_used(nulls);
	if (nulls->count == NULLS_PER_PAGE)
		documents->null_head = nulls->next;
	meta_data(change_page(&change, meta_buffer, false))->documents = *documents;
	change_commit(&change);
	UnlockReleaseBuffer(buffer);
	UnlockReleaseBuffer(meta_buffer);
}

void
nulls_append(IndexView *view, const ItemPointerData *tid)
{
	/* The page may have filled up since the view was opened. It is a null page for good. */
	uint32 head = view->index->meta.documents.null_head;

	if (head == INVALID_ORDINAL || !append_to_page(view, head, tid))
		append_to_list(view, tid);
}

/* ---- reading ---- */

void
nulls_copy_page(IndexView *view, uint32 page, NullPage *copy)
{
	parray_copy_out(view->index, ARRAY_NULLS, page, 1, copy);
	check_count(view, copy->count, NULLS_PER_PAGE);
}

uint64
nulls_count(IndexView *view)
{
	uint32    npages = parray_nitems(view->index, ARRAY_NULLS);
	NullPage *copy = palloc(sizeof(NullPage));
	uint64    count = 0;

	for (uint32 page = 0; page < npages; page++)
	{
		CHECK_FOR_INTERRUPTS();
		nulls_copy_page(view, page, copy);
		count += copy->count;
	}
	pfree(copy);
	return count;
}

/* ---- VACUUM ---- */

/* Return true if row i of the page is one that was copied, and dead. */
static bool
is_dead_row(const NullPage *copy, const bool *dead, uint32 i, const ItemPointerData *tid)
{
	return i < copy->count && dead[i] && memcmp(&copy->tids[i], tid, sizeof(ItemPointerData)) == 0;
}

void
nulls_drop_dead(IndexView *view, uint32 page, const NullPage *copy, const bool *dead)
{
	Buffer         meta_buffer = meta_lock(view->index, BUFFER_LOCK_EXCLUSIVE);
	Buffer         buffer = parray_lock(view->index, ARRAY_NULLS, page);
	uint32         kept = 0;
	uint32         count;
	NullPage      *nulls;
	MetaDocuments *documents;
	Change         change;

	change_begin(&change, view->index);
	nulls = (NullPage *) parray_change(&change, buffer, ARRAY_NULLS, page);
	count = Min(nulls->count, NULLS_PER_PAGE);
	for (uint32 i = 0; i < count; i++)
		if (!is_dead_row(copy, dead, i, &nulls->tids[i]))
			nulls->tids[kept++] = nulls->tids[i];
	nulls->count = kept;
	if (count == NULLS_PER_PAGE && kept < count)
	{
		documents = &meta_data(change_page(&change, meta_buffer, false))->documents;
		nulls->next = documents->null_head;
		documents->null_head = page;
	}
	set_used(nulls);
	change_commit(&change);
	UnlockReleaseBuffer(buffer);
	UnlockReleaseBuffer(meta_buffer);
}
