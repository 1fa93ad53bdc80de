/*-------------------------------------------------------------------------
 *
 * pages.c
 *	  Check every block of the file.
 *
 * Each block can be read (if the cluster has checksums, they are verified) and
 * has the page kind that its position implies. On posting pages, each segment
 * is intact. Every block belongs to an array or holds postings.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/xlog.h"
#include "base/array.h"
#include "check/check.h"
#include "index/postings_internal.h"
#include "miscadmin.h"

typedef struct PageCheck
{
	Check      *check;
	ExtentList  arrays;
	BlockNumber block;
	/* runs of empty blocks that belong to no array; capacity: allocated length */
	ExtentList     unowned;
	uint32         capacity;
	PGAlignedBlock copy; /* copy of the block's page */
} PageCheck;

/* ---- blocks that belong to nothing ---- */

/* Record that the current block is empty and belongs to no array. */
static void
note_unowned(PageCheck *pages)
{
	ExtentList   *unowned = &pages->unowned;
	PlacedExtent *last = unowned->nextents > 0 ? &unowned->extents[unowned->nextents - 1] : NULL;

	if (last != NULL && last->start + last->npages == pages->block)
	{
		last->npages++;
		return;
	}
	unowned->extents =
		array_reserve(unowned->extents, &pages->capacity, (Size) unowned->nextents + 1,
					  sizeof(PlacedExtent), CurrentMemoryContext);
	unowned->extents[unowned->nextents++] = (PlacedExtent) {.start = pages->block, .npages = 1};
}

/* List the arrays' extents as of now. On a primary, waits until no array is growing. */
static void
list_arrays_now(PageCheck *pages, ExtentList *arrays)
{
	ColbertIndex now = *pages->check->view->index;

	if (RecoveryInProgress())
		meta_read(&now);
	else
		storage_settled(&now);
	extents_list(&now, arrays);
}

/*
 * Report the empty blocks that belong to no array. Blocks that an array has
 * taken since the meta data were copied are skipped.
 */
static void
report_unowned(PageCheck *pages)
{
	ExtentList arrays;

	if (pages->unowned.nextents == 0)
		return;
	list_arrays_now(pages, &arrays);
	for (int i = 0; i < pages->unowned.nextents; i++)
	{
		const PlacedExtent *run = &pages->unowned.extents[i];
		BlockNumber         end = run->start + run->npages;
		BlockNumber         first = extents_skip(&arrays, run->start);
		BlockNumber         block = first;

		while (block < end && extents_skip(&arrays, block) == block)
			block++;
		if (first < block)
			findings_add(pages->check->findings, FINDING_WARNING, first,
						 "%u empty pages from this block on are unused until the next VACUUM",
						 block - first);
	}
	pfree(arrays.extents);
}

/* Return true if the block has become part of an array since the meta data were copied. */
static bool
in_new_extent(PageCheck *pages)
{
	ExtentList arrays;
	bool       found;

	list_arrays_now(pages, &arrays);
	found = extents_find(&arrays, pages->block) != NULL;
	pfree(arrays.extents);
	return found;
}

/* ---- posting pages ---- */

static void
check_segment(PageCheck *pages, const PostingSegment *segment)
{
	Check *check = pages->check;
	uint32 nnodes = parray_nitems(check->view->index, ARRAY_NODES);

	if (segment->node >= nnodes)
		findings_add(check->findings, FINDING_ERROR, pages->block,
					 "segment belongs to node %u, but there are %u nodes", segment->node, nnodes);
	for (uint32 i = 0; i < segment->count; i++)
	{
		if (segment->docs[i] < check->ndocs && (i == 0 || segment->docs[i - 1] < segment->docs[i]))
			continue;
		findings_add(check->findings, FINDING_ERROR, pages->block,
					 "segment of node %u is not sorted, or contains document %u of %u",
					 segment->node, segment->docs[i], check->ndocs);
		return;
	}
}

/* Return the segment of a line pointer, or NULL if its bounds cannot be those of a segment. */
static const PostingSegment *
whole_segment(Page page, ItemId item)
{
	uint32                offset = ItemIdGetOffset(item);
	uint32                length = ItemIdGetLength(item);
	const PostingSegment *segment;

	if (offset % MAXIMUM_ALIGNOF != 0 || offset < ((PageHeader) page)->pd_upper ||
		offset + length > ((PageHeader) page)->pd_special || length < segment_size(0))
		return NULL;
	segment = (const PostingSegment *) PageGetItem(page, item);
	if (segment->count > SEGMENT_MAX_DOCS || length != segment_size(segment->count))
		return NULL;
	return segment;
}

static void
check_posting_page(PageCheck *pages)
{
	Page         page = pages->copy.data;
	OffsetNumber end = PageGetMaxOffsetNumber(page);
	Size         taken = 0;

	for (OffsetNumber offset = FirstOffsetNumber; offset <= end; offset++)
	{
		ItemId                item = PageGetItemId(page, offset);
		const PostingSegment *segment;

		if (!ItemIdIsUsed(item) && !ItemIdHasStorage(item))
			continue;
		segment = ItemIdIsNormal(item) ? whole_segment(page, item) : NULL;
		if (segment == NULL)
		{
			findings_add(pages->check->findings, FINDING_ERROR, pages->block,
						 "item %u is not a posting segment", offset);
			continue;
		}
		taken += MAXALIGN(ItemIdGetLength(item));
		pages->check->segments++;
		check_segment(pages, segment);
	}
	if (taken > (Size) (((PageHeader) page)->pd_special - ((PageHeader) page)->pd_upper))
		findings_add(pages->check->findings, FINDING_ERROR, pages->block, "segments overlap");
}

/* ---- one block ---- */

static bool
header_agrees(const PageHeaderData *header, bool is_filled)
{
	if (PageGetPageSize((Page) header) != BLCKSZ ||
		header->pd_special != BLCKSZ - MAXALIGN(sizeof(PageTrailer)) ||
		header->pd_lower < SizeOfPageHeaderData || header->pd_lower > header->pd_upper ||
		header->pd_upper > header->pd_special)
		return false;
	return !is_filled || header->pd_lower == header->pd_special;
}

/* Return true if a count on an array's pages says how far they are in use (parray_set_used). */
static bool
ends_with_count(int array)
{
	return array == ARRAY_VERSIONS || array == ARRAY_HASHES || array == ARRAY_NULLS;
}

/* Return the page kind that a block must have. extent: its extent, or NULL. */
static PageKind
expected_kind(BlockNumber block, const PlacedExtent *extent)
{
	if (block == META_BLOCK)
		return PAGE_META;
	if (extent == NULL)
		return PAGE_POSTINGS;
	return extent->is_map ? PAGE_MAP : PAGE_ARRAY;
}

/* Check the copy of a page. extent: the extent of the block, or NULL. */
static void
check_copy(PageCheck *pages, const PlacedExtent *extent)
{
	Check             *check = pages->check;
	Page               page = pages->copy.data;
	const PageTrailer *trailer;
	PageKind           kind = expected_kind(pages->block, extent);
	int                array = extent == NULL ? 0 : extent->array;

	if (PageIsNew(page))
	{
		if (kind == PAGE_POSTINGS)
			note_unowned(pages);
		else if (kind != PAGE_ARRAY || (check->used != NULL && bit_test(check->used, pages->block)))
			findings_add(check->findings, FINDING_ERROR, pages->block, "page in use is empty");
		return;
	}
	if (!header_agrees((PageHeader) page, kind != PAGE_POSTINGS && !ends_with_count(array)))
	{
		findings_add(check->findings, FINDING_ERROR, pages->block, "page has a damaged header");
		return;
	}
	trailer = page_trailer(page);
	if (trailer->magic != COLBERT_MAGIC || trailer->kind != kind || trailer->array != array)
	{
		if (kind != PAGE_POSTINGS || trailer->kind == PAGE_META || !in_new_extent(pages))
			findings_add(check->findings, FINDING_ERROR, pages->block,
						 "page is of kind %d and array %d, expected kind %d and array %d",
						 (int) trailer->kind, (int) trailer->array, (int) kind, array);
		return;
	}
	if (kind == PAGE_POSTINGS)
		check_posting_page(pages);
}

static void
read_block(Check *check, void *arg)
{
	PageCheck *pages = arg;
	Buffer     buffer = ReadBuffer(check->index, pages->block);

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	memcpy(pages->copy.data, BufferGetPage(buffer), BLCKSZ);
	UnlockReleaseBuffer(buffer);
}

void
check_pages(Check *check)
{
	PageCheck *pages = palloc0(sizeof(PageCheck));

	pages->check = check;
	extents_list(check->view->index, &pages->arrays);
	for (pages->block = META_BLOCK; pages->block < check->nblocks; pages->block++)
	{
		CHECK_FOR_INTERRUPTS();
		if (check_try(check, read_block, pages, pages->block))
			check_copy(pages, extents_find(&pages->arrays, pages->block));
	}
	check->pages_walked = true;
	report_unowned(pages);
	pfree(pages->arrays.extents);
	pfree(pages);
}
