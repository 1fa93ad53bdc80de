/*-------------------------------------------------------------------------
 *
 * parray.c
 *	  Page arrays: items of one size by ordinal, in extents of pages.
 *
 * Item i stands on logical page i / per_page; the extents, in order, hold the
 * logical pages. An extent is entered on the meta page together with an image
 * of its last page, so that after a crash, and on a standby, the file reaches
 * as far as the meta page says; the pages between stay zero until written.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "storage/lmgr.h"
#include "storage/smgr.h"
#include "storage/storage.h"

/* Extents grow by a sixteenth of the array, then by a quarter, then by all of it, so that MAX_EXTENTS reach 2^32 pages. */
#define EXTENTS_BY_SIXTEENTH	24
#define EXTENTS_BY_QUARTER		48

static uint32
array_pages(const ArrayMeta *array)
{
	uint32		npages = 0;

	for (uint32 i = 0; i < array->nextents; i++)
		npages += array->extents[i].npages;
	return npages;
}

static int
compare_placed(const void *a, const void *b)
{
	const PlacedExtent *x = a;
	const PlacedExtent *y = b;

	if (x->extent.start != y->extent.start)
		return x->extent.start < y->extent.start ? -1 : 1;
	return (int) x->array - (int) y->array;
}

int
parray_sorted_extents(const MetaPageData *meta, PlacedExtent *extents)
{
	int			n = 0;

	for (int kind = 0; kind < ARRAY_COUNT; kind++)
		for (uint32 i = 0; i < meta->arrays[kind].nextents; i++)
			extents[n++] = (PlacedExtent) {meta->arrays[kind].extents[i], kind};
	qsort(extents, n, sizeof(PlacedExtent), compare_placed);
	return n;
}

BlockNumber
parray_block(Relation rel, const MetaPageData *meta, ArrayKind kind, uint32 item, uint32 *slot)
{
	const ArrayMeta *array = &meta->arrays[kind];

	if (array->item_size > 0)
	{
		uint32		per_page = parray_per_page(array);
		uint32		page = item / per_page;

		*slot = item % per_page;
		for (uint32 i = 0; i < array->nextents; i++)
		{
			if (page < array->extents[i].npages)
				return array->extents[i].start + page;
			page -= array->extents[i].npages;
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_INDEX_CORRUPTED),
			 errmsg("index \"%s\" refers to item %u of array %d, which has %u",
					RelationGetRelationName(rel), item, (int) kind, array->nitems),
			 errhint("REINDEX it.")));
}

static char *
item_pointer(Page page, const ArrayMeta *array, uint32 slot)
{
	return PageGetContents(page) + (size_t) slot * array->item_size;
}

void
parray_prefetch(ColbertIndex *index, const MetaPageData *meta, ArrayKind kind, uint32 item)
{
	uint32		slot;
	const char *page;

	if (item >= meta->arrays[kind].nitems)
		return;
	page = storage_prefetch(index->rel, parray_block(index->rel, meta, kind, item, &slot));
	if (page == NULL)
		return;
	__builtin_prefetch(page + BLCKSZ - sizeof(PageTrailer));
	__builtin_prefetch(item_pointer((Page) page, &meta->arrays[kind], slot));
}

Buffer
parray_read(ColbertIndex *index, const MetaPageData *meta, ArrayKind kind, uint32 item, char **data)
{
	uint32		slot;
	BlockNumber block = parray_block(index->rel, meta, kind, item, &slot);
	Buffer		buffer = storage_read_buffer(index->rel, block);
	Page		page = BufferGetPage(buffer);

	/* What the lines below touch, and the item, come from memory while the lock is taken. */
	__builtin_prefetch(page);
	__builtin_prefetch((char *) page + BLCKSZ - sizeof(PageTrailer));
	*data = item_pointer(page, &meta->arrays[kind], slot);
	for (size_t i = 0; i < meta->arrays[kind].item_size; i += CACHE_LINE)
		__builtin_prefetch(*data + i);

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
	uint32		slot;
	BlockNumber block = parray_block(index->rel, meta, kind, item, &slot);
	Buffer		buffer = storage_read_buffer(index->rel, block);
	Page		page;

	storage_lock(index->rel, buffer, BUFFER_LOCK_EXCLUSIVE);
	page = BufferGetPage(buffer);
	if (!PageIsNew(page))
		page_check(index->rel, block, page, PAGE_ARRAY, kind);
	return buffer;
}

char *
parray_change(Change *change, Buffer buffer, const MetaPageData *meta, ArrayKind kind, uint32 item)
{
	bool		fresh = PageIsNew(BufferGetPage(buffer));
	Page		page = change_page(change, buffer, fresh);
	const ArrayMeta *array = &meta->arrays[kind];

	if (PageIsNew(page))
		page_init(page, PAGE_ARRAY, kind);
	return item_pointer(page, array, item % parray_per_page(array));
}

void
parray_copy_out(ColbertIndex *index, const MetaPageData *meta, ArrayKind kind, uint32 first, uint32 count, void *to)
{
	const ArrayMeta *array = &meta->arrays[kind];
	char	   *out = to;

	while (count > 0)
	{
		uint32		run = Min(parray_run(array, first), count);
		char	   *data;
		Buffer		buffer = parray_read(index, meta, kind, first, &data);

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
parray_copy_in(ColbertIndex *index, const MetaPageData *meta, ArrayKind kind, uint32 first, uint32 count, const void *from)
{
	const ArrayMeta *array = &meta->arrays[kind];
	const char *in = from;

	while (count > 0)
	{
		uint32		run = Min(parray_run(array, first), count);
		Buffer		buffer = parray_lock(index, meta, kind, first);
		Change		change;

		change_begin(&change, index);
		memcpy(parray_change(&change, buffer, meta, kind, first), in, (size_t) run * array->item_size);
		change_commit(&change);
		UnlockReleaseBuffer(buffer);

		in += (size_t) run * array->item_size;
		first += run;
		count -= run;
	}
}

/*
 * Add zeroed pages at the end of the relation; returns the first. The lock is
 * taken for a relation of one's own too: parallel workers extend it as well.
 */
static BlockNumber
extend_relation(Relation rel, uint32 npages)
{
	BlockNumber start;

	LockRelationForExtension(rel, ExclusiveLock);
	start = RelationGetNumberOfBlocks(rel);
	if (npages > MaxBlockNumber - start)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("index \"%s\" cannot grow by %u pages",
						RelationGetRelationName(rel), npages),
				 errhint("Partition the table.")));
	compat_zero_extend(RelationGetSmgr(rel), start, npages);
	UnlockRelationForExtension(rel, ExclusiveLock);
	return start;
}

/* Pages of the next extent of an array that needs at least so many more. */
static uint32
extent_size(const ArrayMeta *array, uint32 needed)
{
	uint32		have = array_pages(array);
	uint32		growth;

	if (array->nextents == 0)
		growth = 1;
	else if (array->nextents < EXTENTS_BY_SIXTEENTH)
		growth = have / 16;
	else if (array->nextents < EXTENTS_BY_QUARTER)
		growth = have / 4;
	else
		growth = have;
	return Max(needed, Max(growth, 1));
}

/* Enter an extent on the meta page, together with an image of its last page. */
static void
enter_extent(ColbertIndex *index, Buffer meta_buffer, MetaPageData *meta, ArrayKind kind, Extent extent)
{
	ArrayMeta  *array = &meta->arrays[kind];
	ArrayMeta  *stored;
	Buffer		last;
	Change		change;

	array->extents[array->nextents++] = extent;

	last = ReadBuffer(index->rel, extent.start + extent.npages - 1);
	LockBuffer(last, BUFFER_LOCK_EXCLUSIVE);
	change_begin(&change, index);
	stored = &meta_data(change_page(&change, meta_buffer, false))->arrays[kind];
	stored->nextents = array->nextents;
	stored->extents[array->nextents - 1] = extent;
	page_init(change_page(&change, last, true), PAGE_ARRAY, kind);
	change_commit(&change);
	UnlockReleaseBuffer(last);
}

bool
parray_has_room(const ArrayMeta *array, uint64 count)
{
	uint64		wanted = (uint64) array->nitems + count;

	return array->item_size == 0 ||
		(wanted <= COLBERT_MAX_ITEMS && wanted <= (uint64) array_pages(array) * parray_per_page(array));
}

void
parray_make_room(ColbertIndex *index, Buffer meta_buffer, MetaPageData *meta, ArrayKind kind, uint64 count)
{
	ArrayMeta  *array = &meta->arrays[kind];
	uint64		wanted = (uint64) array->nitems + count;
	uint64		pages_wanted;
	Extent		extent;

	if (parray_has_room(array, count))
		return;
	if (wanted > COLBERT_MAX_ITEMS || array->nextents >= MAX_EXTENTS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("index \"%s\" is full", RelationGetRelationName(index->rel)),
				 errdetail("An index holds %u tokens at the most, and those of deleted documents count until VACUUM.",
						   (unsigned) COLBERT_MAX_ITEMS),
				 errhint("VACUUM the table, REINDEX the index, or partition the table.")));

	pages_wanted = (wanted + parray_per_page(array) - 1) / parray_per_page(array);
	extent.npages = extent_size(array, (uint32) (pages_wanted - array_pages(array)));
	extent.start = extend_relation(index->rel, extent.npages);
	enter_extent(index, meta_buffer, meta, kind, extent);
}

uint32
parray_take(MetaPageData *meta, ArrayKind kind, uint32 count)
{
	uint32		first = meta->arrays[kind].nitems;

	meta->arrays[kind].nitems += count;
	return first;
}

int
compare_ordinals(const void *a, const void *b)
{
	uint32		x = *(const uint32 *) a;
	uint32		y = *(const uint32 *) b;

	return x < y ? -1 : x > y;
}

Buffer
storage_new_page(ColbertIndex *index)
{
	BlockNumber block = extend_relation(index->rel, 1);
	Buffer		buffer = storage_read_buffer(index->rel, block);

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	return buffer;
}
