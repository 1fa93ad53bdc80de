/*-------------------------------------------------------------------------
 *
 * parray.c
 *	  Page arrays: items of one size, addressed by ordinal.
 *
 * Item i is on logical page i / per_page; extents.c maps it to a block.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "base/prefetch.h"
#include "storage/storage.h"

static char *
item_pointer(Page page, const ColbertIndex *index, ArrayKind kind, uint32 slot)
{
	return PageGetContents(page) + slot * parray_item_size(index, kind);
}

void
parray_prefetch(ColbertIndex *index, ArrayKind kind, uint32 item)
{
	uint32      slot;
	const char *page;

	if (item >= parray_nitems(index, kind))
		return;
	page = storage_prefetch(index->rel, parray_block(index, kind, item, &slot));
	if (page == NULL)
		return;
	__builtin_prefetch(page + BLCKSZ - sizeof(PageTrailer));
	__builtin_prefetch(item_pointer((Page) page, index, kind, slot));
}

Buffer
parray_read(ColbertIndex *index, ArrayKind kind, uint32 item, char **data)
{
	uint32      slot;
	BlockNumber block = parray_block(index, kind, item, &slot);
	Buffer      buffer = storage_read_buffer(index->rel, block);
	Page        page = BufferGetPage(buffer);

	/* Prefetch the memory that the code below accesses, and the item, while the lock is taken. */
	__builtin_prefetch(page);
	__builtin_prefetch((char *) page + BLCKSZ - sizeof(PageTrailer));
	*data = item_pointer(page, index, kind, slot);
	prefetch_bytes(*data, parray_item_size(index, kind));

	storage_lock(index->rel, buffer, BUFFER_LOCK_SHARE);
	storage_check_snapshot(index, page);
	if (PageIsNew(page))
		*data = NULL;
	else
		page_check(index->rel, block, page, PAGE_ARRAY, kind);
	return buffer;
}

Buffer
parray_lock(ColbertIndex *index, ArrayKind kind, uint32 item)
{
	uint32      slot;
	BlockNumber block = parray_block(index, kind, item, &slot);
	Buffer      buffer = storage_read_buffer(index->rel, block);
	Page        page;

	storage_lock(index->rel, buffer, BUFFER_LOCK_EXCLUSIVE);
	page = BufferGetPage(buffer);
	if (!PageIsNew(page))
		page_check(index->rel, block, page, PAGE_ARRAY, kind);
	return buffer;
}

char *
parray_change(Change *change, Buffer buffer, ArrayKind kind, uint32 item)
{
	const ColbertIndex *index = change->index;
	bool                fresh = PageIsNew(BufferGetPage(buffer));
	Page                page = change_page(change, buffer, fresh);

	if (PageIsNew(page))
		page_init(page, PAGE_ARRAY, kind);
	return item_pointer(page, index, kind, item % parray_per_page(index, kind));
}

void
parray_set_used(char *item, Size used)
{
	PageHeader header = (PageHeader) (item - MAXALIGN(SizeOfPageHeaderData));

	header->pd_lower = (LocationIndex) (MAXALIGN(SizeOfPageHeaderData) + used);
}

void
parray_copy_out(ColbertIndex *index, ArrayKind kind, uint32 first, uint32 count, void *to)
{
	size_t size = parray_item_size(index, kind);
	char  *out = to;

	while (count > 0)
	{
		uint32 run = Min(parray_run(index, kind, first), count);
		char  *data;
		Buffer buffer = parray_read(index, kind, first, &data);

		if (data != NULL)
			memcpy(out, data, run * size);
		else
			memset(out, 0, run * size);
		UnlockReleaseBuffer(buffer);

		out += run * size;
		first += run;
		count -= run;
	}
}

void
parray_copy_in(ColbertIndex *index, ArrayKind kind, uint32 first, uint32 count, const void *from)
{
	size_t      size = parray_item_size(index, kind);
	const char *in = from;

	while (count > 0)
	{
		uint32 run = Min(parray_run(index, kind, first), count);
		Buffer buffer = parray_lock(index, kind, first);
		Change change;

		change_begin(&change, index);
		memcpy(parray_change(&change, buffer, kind, first), in, run * size);
		change_commit(&change);
		UnlockReleaseBuffer(buffer);

		in += run * size;
		first += run;
		count -= run;
	}
}

uint32
parray_take(ColbertIndex *index, ArrayKind kind, uint32 count)
{
	uint32 first = parray_nitems(index, kind);

	meta_set_nitems(&index->meta, kind, first + count);
	return first;
}

void
parray_refresh(ColbertIndex *index, ArrayKind kind, Buffer meta_buffer)
{
	const MetaPageData *stored = meta_data(BufferGetPage(meta_buffer));

	index->meta.pages[kind] = stored->pages[kind];
	meta_set_nitems(&index->meta, kind, meta_nitems(stored, kind));
}

int
compare_ordinals(const void *a, const void *b)
{
	uint32 x = *(const uint32 *) a;
	uint32 y = *(const uint32 *) b;

	return x < y ? -1 : x > y;
}
