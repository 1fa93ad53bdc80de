/*-------------------------------------------------------------------------
 *
 * postings.c
 *	  Access posting pages, and read posting lists.
 *
 * A reader holds one page lock at a time, so a segment may move between
 * reading the reference to it and reading its page. The reader then finds
 * another node's segment or none, and starts again at the node. If it finds a
 * later segment of the same node instead, it follows the rest of the list and
 * may read some documents twice.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "base/array.h"
#include "index/postings_internal.h"
#include "miscadmin.h"
#include "storage/readahead.h"
#include "utils/memutils.h"

/* Attempts to read a list while its segments move. If all fail, the list is considered damaged. */
#define MAX_ATTEMPTS 1000

/* ---- pages ---- */

void
postings_corrupted(ColbertIndex *index, uint32 node)
{
	ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
					errmsg("index \"%s\" has a damaged posting list of node %u",
						   RelationGetRelationName(index->rel), node),
					errhint("REINDEX it.")));
}

PostingRef
postings_head(ColbertIndex *index, uint32 node)
{
	PostingRef head = no_segment();
	char      *data;
	Buffer     buffer;

	if (node >= parray_nitems(index, ARRAY_NODES))
		postings_corrupted(index, node);
	buffer = parray_read(index, ARRAY_NODES, node, &data);
	if (data != NULL)
		head = ((NodeEntry *) data)->postings;
	UnlockReleaseBuffer(buffer);
	return head;
}

Buffer
postings_lock(ColbertIndex *index, BlockNumber block, int mode)
{
	Buffer buffer = storage_read_buffer(index->rel, block);

	storage_lock(index->rel, buffer, mode);
	storage_check_snapshot(index, BufferGetPage(buffer));
	page_check(index->rel, block, BufferGetPage(buffer), PAGE_POSTINGS, 0);
	return buffer;
}

PostingSegment *
postings_segment_at(ColbertIndex *index, Page page, OffsetNumber offset)
{
	ItemId          item;
	PostingSegment *segment;

	if (offset < FirstOffsetNumber || offset > PageGetMaxOffsetNumber(page))
		return NULL;
	item = PageGetItemId(page, offset);
	if (!ItemIdIsNormal(item))
		return NULL;
	segment = (PostingSegment *) PageGetItem(page, item);
	if (ItemIdGetOffset(item) % MAXIMUM_ALIGNOF != 0 ||
		ItemIdGetOffset(item) < ((PageHeader) page)->pd_upper ||
		ItemIdGetOffset(item) + ItemIdGetLength(item) > ((PageHeader) page)->pd_special ||
		ItemIdGetLength(item) < segment_size(0) ||
		ItemIdGetLength(item) != segment_size(segment->count) || segment->count > SEGMENT_MAX_DOCS)
		ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
						errmsg("index \"%s\" has a damaged posting page",
							   RelationGetRelationName(index->rel)),
						errhint("REINDEX it.")));
	return segment;
}

PostingSegment *
postings_own_segment(ColbertIndex *index, Page page, OffsetNumber offset, uint32 node)
{
	PostingSegment *segment = postings_segment_at(index, page, offset);

	if (segment == NULL || segment->node != node)
		postings_corrupted(index, node);
	return segment;
}

void
postings_set_head(Change *change, Buffer node_buffer, uint32 node, PostingRef head)
{
	NodeEntry *entry = (NodeEntry *) parray_change(change, node_buffer, ARRAY_NODES, node);

	entry->postings = head;
}

bool
postings_overwrite(Page page, OffsetNumber offset, const PostingSegment *segment)
{
	Size size = segment_size(segment->count);
	Size held = MAXALIGN(ItemIdGetLength(PageGetItemId(page, offset)));

	if (MAXALIGN(size) > PageGetExactFreeSpace(page) + held)
		return false;
	return PageIndexTupleOverwrite(page, offset, (Pointer) segment, size);
}

/* ---- reading ---- */

static void
reserve(PostingBuffer *out, uint32 more)
{
	Size needed = add_size(out->count, more);

	if (needed > ARRAY_MAX_ITEMS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("too many postings"),
						errhint("Reduce colbert.probes.")));
	out->docs =
		array_reserve(out->docs, &out->capacity, needed, sizeof(uint32), CurrentMemoryContext);
}

/*
 * Read one segment and set *ref to the next. Returns false if the segment has
 * moved. out must have room for its documents. Ordinals from ndocs on are
 * skipped.
 */
static bool
read_segment(ColbertIndex *index, uint32 node, PostingRef *ref, uint32 ndocs, PostingBuffer *out)
{
	Buffer          buffer = postings_lock(index, ref->block, BUFFER_LOCK_SHARE);
	PostingSegment *segment = postings_segment_at(index, BufferGetPage(buffer), ref->offset);
	bool            found = segment != NULL && segment->node == node;

	if (found)
	{
		out->count += run_copy_below(segment->docs, segment->count, ndocs, out->docs + out->count);
		*ref = segment->next;
	}
	UnlockReleaseBuffer(buffer);
	return found;
}

/* Read a list to its end, or until out has enough. Returns false if a segment moved meanwhile. */
static bool
read_list(ColbertIndex *index, uint32 node, PostingBuffer *out)
{
	uint32       ndocs = parray_nitems(index, ARRAY_DOCS);
	PostingRef   ref = postings_head(index, node);
	uint64       allowed = postings_max_steps(ndocs);
	uint32 first pg_attribute_unused() = out -> count;

	while (is_segment(ref))
	{
		uint32 before = out->count;

		CHECK_FOR_INTERRUPTS();
		reserve(out, SEGMENT_MAX_DOCS);
		COLBERT_PAUSE(before == first ? "posting-head" : "posting-next");
		if (!read_segment(index, node, &ref, ndocs, out))
			return false;
		if (allowed < out->count - before + 1)
			postings_corrupted(index, node);
		allowed -= out->count - before + 1;
		if (out->enough > 0 && out->count > out->enough)
			break;
	}
	return true;
}

void
postings_request(ColbertIndex *index, uint32 node)
{
	PostingRef head = postings_head(index, node);

	if (is_segment(head))
		readahead_request(index->rel, head.block);
}

void
postings_read(ColbertIndex *index, uint32 node, PostingBuffer *out)
{
	uint32 before = out->count;

	for (int attempt = 0; attempt < MAX_ATTEMPTS; attempt++)
	{
		if (read_list(index, node, out))
			return;
		out->count = before;
		CHECK_FOR_INTERRUPTS();
	}
	postings_corrupted(index, node);
}
