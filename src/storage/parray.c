/*-------------------------------------------------------------------------
 *
 * parray.c
 *	  Page arrays: items of one size by ordinal.
 *
 * Item i stands on logical page i / per_page; extents.c knows its block.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "base/prefetch.h"
#include "storage/storage.h"

static char *
item_pointer(Page page, const ArrayMeta *array, uint32 slot)
{
	return PageGetContents(page) + (size_t) slot * array->item_size;
}

void
parray_prefetch(ColbertIndex *index, const MetaPageData *meta, ArrayKind kind, uint32 item)
{
	uint32      slot;
	const char *page;

	if (item >= meta->arrays[kind].nitems)
		return;
	page = storage_prefetch(index->rel, parray_block(index, meta, kind, item, &slot));
	if (page == NULL)
		return;
	__builtin_prefetch(page + BLCKSZ - sizeof(PageTrailer));
	__builtin_prefetch(item_pointer((Page) page, &meta->arrays[kind], slot));
}

Buffer
parray_read(ColbertIndex *index, const MetaPageData *meta, ArrayKind kind, uint32 item, char **data)
{
	uint32      slot;
	BlockNumber block = parray_block(index, meta, kind, item, &slot);
	Buffer      buffer = storage_read_buffer(index->rel, block);
	Page        page = BufferGetPage(buffer);

	/* What the lines below touch, and the item, come from memory while the lock is taken. */
	__builtin_prefetch(page);
	__builtin_prefetch((char *) page + BLCKSZ - sizeof(PageTrailer));
	*data = item_pointer(page, &meta->arrays[kind], slot);
	prefetch_bytes(*data, meta->arrays[kind].item_size);

	storage_lock(index->rel, buffer, BUFFER_LOCK_SHARE);
	storage_check_snapshot(index, page);
	if (PageIsNew(page))
		*data = NULL;
	else
		page_check(index->rel, block, page, PAGE_ARRAY, kind);
	return buffer;
}

Buffer
parray_lock(ColbertIndex *index, const MetaPageData *meta, ArrayKind kind, uint32 item)
{
	uint32      slot;
	BlockNumber block = parray_block(index, meta, kind, item, &slot);
	Buffer      buffer = storage_read_buffer(index->rel, block);
	Page        page;

	storage_lock(index->rel, buffer, BUFFER_LOCK_EXCLUSIVE);
	page = BufferGetPage(buffer);
	if (!PageIsNew(page))
		page_check(index->rel, block, page, PAGE_ARRAY, kind);
	return buffer;
}

char *
parray_change(Change *change, Buffer buffer, const MetaPageData *meta, ArrayKind kind, uint32 item)
{
	bool             fresh = PageIsNew(BufferGetPage(buffer));
	Page             page = change_page(change, buffer, fresh);
	const ArrayMeta *array = &meta->arrays[kind];

	if (PageIsNew(page))
		page_init(page, PAGE_ARRAY, kind);
	return item_pointer(page, array, item % parray_per_page(array));
}

void
parray_set_used(char *item, Size used)
{
	PageHeader header = (PageHeader) (item - MAXALIGN(SizeOfPageHeaderData));

	header->pd_lower = (LocationIndex) (MAXALIGN(SizeOfPageHeaderData) + used);
}

void
parray_copy_out(ColbertIndex *index, const MetaPageData *meta, ArrayKind kind, uint32 first,
				uint32 count, void *to)
{
	const ArrayMeta *array = &meta->arrays[kind];
	char            *out = to;

	while (count > 0)
	{
		uint32 run = Min(parray_run(array, first), count);
		char  *data;
		Buffer buffer = parray_read(index, meta, kind, first, &data);

		if (data != NULL)
			memcpy(out, data, (size_t) run * array->item_size);
		else
			memset(out, 0, (size_t) run * array->item_size);
		UnlockReleaseBuffer(buffer);

		out += (size_t) run * array->item_size;
		first += run;
		count -= run;
	}
}

void
parray_copy_in(ColbertIndex *index, const MetaPageData *meta, ArrayKind kind, uint32 first,
			   uint32 count, const void *from)
{
	const ArrayMeta *array = &meta->arrays[kind];
	const char      *in = from;

	while (count > 0)
	{
		uint32 run = Min(parray_run(array, first), count);
		Buffer buffer = parray_lock(index, meta, kind, first);
		Change change;

		change_begin(&change, index);
		memcpy(parray_change(&change, buffer, meta, kind, first), in,
			   (size_t) run * array->item_size);
		change_commit(&change);
		UnlockReleaseBuffer(buffer);

		in += (size_t) run * array->item_size;
		first += run;
		count -= run;
	}
}

uint32
parray_take(MetaPageData *meta, ArrayKind kind, uint32 count)
{
	uint32 first = meta->arrays[kind].nitems;

	meta->arrays[kind].nitems += count;
	return first;
}

int
compare_ordinals(const void *a, const void *b)
{
	uint32 x = *(const uint32 *) a;
	uint32 y = *(const uint32 *) b;

	return x < y ? -1 : x > y;
}
