/*-------------------------------------------------------------------------
 *
 * check_pages.c
 *	  Every block of the file: it can be read (checksums are verified where
 *	  the cluster has them), it is of the kind that its place says, and on
 *	  posting pages each segment is whole.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "check/check.h"
#include "index/postings_internal.h"
#include "miscadmin.h"

typedef struct PageCheck
{
	Check	   *check;
	PlacedExtent *extents;
	int			nextents;
	int			next;			/* the first extent that does not end before the block */
	BlockNumber block;
	PGAlignedBlock copy;		/* of its page */
} PageCheck;

#define NO_ARRAY ((int) -1)

/* The array that the block belongs to. Blocks come in ascending order. */
static int
array_of(PageCheck *pages)
{
	while (pages->next < pages->nextents)
	{
		const PlacedExtent *placed = &pages->extents[pages->next];

		if (pages->block < placed->extent.start)
			break;
		if (pages->block - placed->extent.start < placed->extent.npages)
			return placed->array;
		pages->next++;
	}
	return NO_ARRAY;
}

/* Has the block become part of an extent since the meta data were copied? */
static bool
in_new_extent(PageCheck *pages)
{
	MetaPageData meta;

	meta_read(&pages->check->view->index, &meta);
	for (int kind = 0; kind < ARRAY_COUNT; kind++)
		for (uint32 i = 0; i < meta.arrays[kind].nextents; i++)
		{
			Extent		extent = meta.arrays[kind].extents[i];

			if (pages->block >= extent.start && pages->block - extent.start < extent.npages)
				return true;
		}
	return false;
}

/* ---- posting pages ---- */

static void
check_segment(PageCheck *pages, const PostingSegment *segment)
{
	Check	   *check = pages->check;
	uint32		nnodes = check->view->meta.arrays[ARRAY_NODES].nitems;

	if (segment->node >= nnodes)
		findings_add(check->findings, FINDING_ERROR, pages->block, "a segment is of node %u, there are %u",
					 segment->node, nnodes);
	for (uint32 i = 0; i < segment->count; i++)
	{
		if (segment->docs[i] < check->ndocs && (i == 0 || segment->docs[i - 1] < segment->docs[i]))
			continue;
		findings_add(check->findings, FINDING_ERROR, pages->block,
					 "a segment of node %u is not sorted, or names document %u of %u",
					 segment->node, segment->docs[i], check->ndocs);
		return;
	}
}

/* The segment of a line pointer; NULL where it cannot be one. */
static const PostingSegment *
whole_segment(Page page, ItemId item)
{
	uint32		offset = ItemIdGetOffset(item);
	uint32		length = ItemIdGetLength(item);
	const PostingSegment *segment;

	if (offset % sizeof(uint32) != 0 || offset < ((PageHeader) page)->pd_upper ||
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
	Page		page = pages->copy.data;
	OffsetNumber end = PageGetMaxOffsetNumber(page);
	Size		taken = 0;

	for (OffsetNumber offset = FirstOffsetNumber; offset <= end; offset++)
	{
		ItemId		item = PageGetItemId(page, offset);
		const PostingSegment *segment;

		if (!ItemIdIsUsed(item))
			continue;
		segment = ItemIdIsNormal(item) ? whole_segment(page, item) : NULL;
		if (segment == NULL)
		{
			findings_add(pages->check->findings, FINDING_ERROR, pages->block, "item %u is not a posting segment", offset);
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
header_agrees(const PageHeaderData *header, bool is_array)
{
	if (PageGetPageSize((Page) header) != BLCKSZ ||
		header->pd_special != BLCKSZ - MAXALIGN(sizeof(PageTrailer)) ||
		header->pd_lower < SizeOfPageHeaderData || header->pd_lower > header->pd_upper ||
		header->pd_upper > header->pd_special)
		return false;
	return !is_array || header->pd_lower == header->pd_special;
}

/* Check the copy of a page. array: what it belongs to. */
static void
check_copy(PageCheck *pages, int array)
{
	Check	   *check = pages->check;
	Page		page = pages->copy.data;
	const PageTrailer *trailer;
	PageKind	kind = pages->block == META_BLOCK ? PAGE_META : array == NO_ARRAY ? PAGE_POSTINGS : PAGE_ARRAY;

	if (PageIsNew(page))
	{
		if (bit_test(check->used, pages->block))
			findings_add(check->findings, FINDING_ERROR, pages->block, "page in use is empty");
		return;
	}
	if (!header_agrees((PageHeader) page, kind != PAGE_POSTINGS))
	{
		findings_add(check->findings, FINDING_ERROR, pages->block, "page has a damaged header");
		return;
	}
	trailer = page_trailer(page);
	if (trailer->magic != COLBERT_MAGIC || trailer->kind != kind || (kind == PAGE_ARRAY && trailer->array != array))
	{
		if (kind != PAGE_POSTINGS || trailer->kind != PAGE_ARRAY || !in_new_extent(pages))
			findings_add(check->findings, FINDING_ERROR, pages->block,
						 "page is of kind %d and array %d, expected kind %d and array %d",
						 (int) trailer->kind, (int) trailer->array, (int) kind, kind == PAGE_ARRAY ? array : 0);
		return;
	}
	if (kind == PAGE_POSTINGS)
		check_posting_page(pages);
}

static void
read_block(Check *check, void *arg)
{
	PageCheck  *pages = arg;
	Buffer		buffer = ReadBuffer(check->index, pages->block);

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	memcpy(pages->copy.data, BufferGetPage(buffer), BLCKSZ);
	UnlockReleaseBuffer(buffer);
}

void
check_pages(Check *check)
{
	PageCheck  *pages = palloc0(sizeof(PageCheck));

	pages->check = check;
	pages->extents = palloc(ARRAY_COUNT * MAX_EXTENTS * sizeof(PlacedExtent));
	pages->nextents = parray_sorted_extents(&check->view->meta, pages->extents);
	for (pages->block = META_BLOCK; pages->block < check->nblocks; pages->block++)
	{
		CHECK_FOR_INTERRUPTS();
		if (check_try(check, read_block, pages, pages->block))
			check_copy(pages, array_of(pages));
	}
	check->pages_walked = true;
	pfree(pages->extents);
	pfree(pages);
}
