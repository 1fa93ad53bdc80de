/*-------------------------------------------------------------------------
 *
 * postings_write.c
 *	  Write posting lists: add batches of documents, or write whole lists in
 *	  bulk.
 *
 * A list grows in its first segment. The segment grows in place if its page
 * has room. Otherwise one change writes it to another page, updates the node
 * and removes the old copy. If the first segment is full, a new one is put
 * before it.
 *
 * While a sweep runs, a segment that moves leaves its dead documents behind
 * (postings_sweep.c).
 *
 * There is one writer, so a segment does not change between its reads and its
 * writes. Lock order: node page, then posting pages by block number. Pages are
 * added while none of them is locked.
 *
 * The free space map is only a hint: it is not logged, so after a crash it may
 * name pages of any kind. Only an initialised posting page is ever used.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "index/postings_internal.h"
#include "miscadmin.h"
#include "storage/freespace.h"

/*
 * Suggestions of the free space map to try before pages are added. The map is
 * not updated when a segment grows in place, and its suggestions become outdated.
 * Each failed try corrects the entry of its page.
 */
#define MAX_TRIES 64

/* Posting pages are added by 1 / GROWTH_SHARE of their number, up to a maximum. */
#define GROWTH_SHARE    8
#define MAX_ADDED_PAGES 128

/* Space that a build reserves on each page for its segments to grow. */
#define BUILD_RESERVE (BLCKSZ / 10)

/* State of a bulk write. */
struct PostingsBuilder
{
	ColbertIndex *index;
	Buffer        current; /* pinned, not locked; invalid before the first page */
};

/* Locked page that receives a segment, and locked page of its old copy. */
typedef struct Placement
{
	Buffer target;
	/* Empty page added for the segment; or InvalidBlockNumber. */
	BlockNumber added_block;
	BlockNumber replaced_block; /* InvalidBlockNumber: there is no old copy */
	Buffer      replaced;
} Placement;

/* ---- pages ---- */

/*
 * Return the first offset of a page without a segment. A line pointer that is
 * not used, but holds a place, is damaged: InvalidOffsetNumber.
 */
static OffsetNumber
free_offset(Page page)
{
	OffsetNumber end = OffsetNumberNext(PageGetMaxOffsetNumber(page));
	OffsetNumber offset = FirstOffsetNumber;

	while (offset < end && ItemIdIsUsed(PageGetItemId(page, offset)))
		offset = OffsetNumberNext(offset);
	return offset == end || !ItemIdHasStorage(PageGetItemId(page, offset)) ? offset
																		   : InvalidOffsetNumber;
}

/* Add a segment to a page that has room for it. Returns its offset. */
static OffsetNumber
add_segment(Page page, const PostingSegment *segment)
{
	OffsetNumber offset = PageAddItem(page, (Pointer) segment, segment_size(segment->count),
									  free_offset(page), true, false);

	if (offset == InvalidOffsetNumber)
		elog(ERROR, "failed to add a posting segment");
	return offset;
}

/* Return the bytes that a segment may use on a page suggested by the free space map. */
static Size
page_room(Page page)
{
	if (PageIsNew(page) || PageGetSpecialSize(page) != MAXALIGN(sizeof(PageTrailer)) ||
		((PageHeader) page)->pd_lower < SizeOfPageHeaderData ||
		page_trailer(page)->magic != COLBERT_MAGIC || page_trailer(page)->kind != PAGE_POSTINGS ||
		free_offset(page) == InvalidOffsetNumber)
		return 0;
	return PageGetFreeSpace(page);
}

static void
record_room(ColbertIndex *index, BlockNumber block, Size room)
{
	RecordPageWithFreeSpace(index->rel, block, room);
	FreeSpaceMapVacuumRange(index->rel, block, block + 1);
}

/*
 * Lock a suggested page and the replaced one in lock order. Returns false,
 * without locks, if the page has no room or is not a posting page.
 */
static bool
try_target(ColbertIndex *index, BlockNumber block, Size size, Placement *placement)
{
	bool replaces = BlockNumberIsValid(placement->replaced_block);
	Size room;

	if (block >= RelationGetNumberOfBlocks(index->rel))
	{
		record_room(index, block, 0);
		return false;
	}
	if (replaces && placement->replaced_block < block)
		placement->replaced =
			postings_lock(index, placement->replaced_block, BUFFER_LOCK_EXCLUSIVE);
	placement->target = storage_read_buffer(index->rel, block);
	if (storage_holds(placement->target))
	{
		/* The node's own page, which was a posting page before a crash. */
		ReleaseBuffer(placement->target);
		if (BufferIsValid(placement->replaced))
			UnlockReleaseBuffer(placement->replaced);
		placement->replaced = InvalidBuffer;
		record_room(index, block, 0);
		return false;
	}
	LockBuffer(placement->target, BUFFER_LOCK_EXCLUSIVE);
	room = page_room(BufferGetPage(placement->target));
	if (room >= MAXALIGN(size))
	{
		if (replaces && !BufferIsValid(placement->replaced))
			placement->replaced =
				postings_lock(index, placement->replaced_block, BUFFER_LOCK_EXCLUSIVE);
		return true;
	}

	UnlockReleaseBuffer(placement->target);
	if (BufferIsValid(placement->replaced))
		UnlockReleaseBuffer(placement->replaced);
	placement->replaced = InvalidBuffer;
	record_room(index, block, room);
	return false;
}

/*
 * Return the current number of array pages. Other backends may append
 * documents meanwhile, so the meta page is read again.
 */
static BlockNumber
array_pages(ColbertIndex *index)
{
	ColbertIndex now = {.rel = index->rel};
	BlockNumber  npages = 0;

	meta_read(&now);
	for (int kind = 0; kind < ARRAY_COUNT; kind++)
		npages += now.meta.pages[kind].npages;
	return npages;
}

/*
 * Add posting pages and return the first. The caller holds no page lock. Their
 * part of the free space map is extended first, so that on a full disk VACUUM
 * can still record the free space of every page.
 */
static BlockNumber
add_pages(ColbertIndex *index)
{
	BlockNumber others = array_pages(index);
	BlockNumber nblocks = RelationGetNumberOfBlocks(index->rel);
	uint32      wanted;
	BlockRun    run;

	wanted = Max(Min((nblocks - Min(others, nblocks)) / GROWTH_SHARE, MAX_ADDED_PAGES), 1);
	RecordPageWithFreeSpace(index->rel, nblocks + wanted - 1, 0);
	run = storage_extend(index, wanted);
	COLBERT_PAUSE("postings-extended");
	for (uint32 i = 0; i < run.npages; i++)
		postings_init_page(index, run.start + i);
	FreeSpaceMapVacuumRange(index->rel, run.start, run.start + run.npages);
	return run.start;
}

/*
 * Find and lock a page with room for a segment, together with the page of its
 * old copy. Prefers a page with more room than needed, since a segment that
 * grew will grow again. Returns false, without locks, if a page must be added.
 */
static bool
lock_placement(ColbertIndex *index, Size size, Placement *placement)
{
	Size wanted = Min(size + size / 4, BLCKSZ / 2);

	placement->replaced = InvalidBuffer;
	if (BlockNumberIsValid(placement->added_block))
	{
		if (!try_target(index, placement->added_block, size, placement))
			elog(ERROR, "no room on an empty posting page");
		return true;
	}
	for (int i = 0; i < MAX_TRIES; i++)
	{
		BlockNumber block = GetPageWithFreeSpace(index->rel, wanted);

		if (!BlockNumberIsValid(block))
			break;
		if (block == placement->replaced_block)
			record_room(index, block, 0); /* recorded again once it is replaced */
		else if (try_target(index, block, size, placement))
			return true;
	}
	return false;
}

/*
 * Write a segment to a page with room and make it the head of its node's list.
 * replaced: its old copy, which is removed; or no segment.
 */
static void
place_head(ColbertIndex *index, const PostingSegment *segment, PostingRef replaced)
{
	Placement  placement = {.added_block = InvalidBlockNumber, .replaced_block = replaced.block};
	Buffer     node_buffer;
	PostingRef head = no_segment();
	Change     change;
	Page       page;
	Size       target_room;
	Size       replaced_room = 0;

	for (;;)
	{
		node_buffer = parray_lock(index, ARRAY_NODES, segment->node);
		if (lock_placement(index, segment_size(segment->count), &placement))
			break;
		UnlockReleaseBuffer(node_buffer);
		placement.added_block = add_pages(index);
	}
	change_begin(&change, index);
	page = change_page(&change, placement.target, false);
	head.block = BufferGetBlockNumber(placement.target);
	head.offset = add_segment(page, segment);
	postings_changed(index, head.block, segment->node, segment->count);
	target_room = PageGetFreeSpace(page);
	if (is_segment(replaced))
	{
		const PostingSegment *old;

		page = change_page(&change, placement.replaced, false);
		old = postings_own_segment(index, page, replaced.offset, segment->node);
		postings_changed(index, replaced.block, segment->node, -(int64) old->count);
		PageIndexTupleDeleteNoCompact(page, replaced.offset);
		replaced_room = PageGetFreeSpace(page);
	}
	postings_set_head(&change, node_buffer, segment->node, head);
	change_commit(&change);

	UnlockReleaseBuffer(placement.target);
	if (is_segment(replaced))
	{
		UnlockReleaseBuffer(placement.replaced);
		record_room(index, replaced.block, replaced_room);
	}
	UnlockReleaseBuffer(node_buffer);
	record_room(index, head.block, target_room);
}

/* ---- adding to a list ---- */

/*
 * Overwrite the head with a grown copy if its page has room. The caller has
 * locked the page. Returns true if it was written.
 */
static bool
grow_in_place(ColbertIndex *index, Buffer buffer, OffsetNumber offset,
			  const PostingSegment *segment)
{
	Page   page = BufferGetPage(buffer);
	Size   held = MAXALIGN(ItemIdGetLength(PageGetItemId(page, offset)));
	Change change;

	if (MAXALIGN(segment_size(segment->count)) > PageGetExactFreeSpace(page) + held)
		return false;
	change_begin(&change, index);
	if (!postings_overwrite(change_page(&change, buffer, false), offset, segment))
		elog(ERROR, "failed to grow a posting segment");
	change_commit(&change);
	return true;
}

/* List that receives documents, with its current head. */
typedef struct PostingList
{
	ColbertIndex *index;
	uint32        node;
	PostingRef    head;
} PostingList;

/*
 * Merge documents into the head segment up to its capacity. Returns the number
 * of docs taken; *added is the number of these that were new.
 */
static uint32
add_to_head(const PostingList *list, const uint32 *docs, uint32 count, uint32 *added)
{
	SegmentBuffer   merged;
	Buffer          buffer = postings_lock(list->index, list->head.block, BUFFER_LOCK_EXCLUSIVE);
	PostingSegment *segment =
		postings_own_segment(list->index, BufferGetPage(buffer), list->head.offset, list->node);
	uint32 taken = Min(count, SEGMENT_MAX_DOCS - segment->count);
	bool   done;

	merged.segment = *segment;
	merged.segment.count =
		run_merge(segment->docs, segment->count, docs, taken, merged.segment.docs);
	*added = merged.segment.count - segment->count;
	done = *added == 0 || grow_in_place(list->index, buffer, list->head.offset, &merged.segment);
	UnlockReleaseBuffer(buffer);
	if (done)
		postings_changed(list->index, list->head.block, list->node, *added);
	else
	{
		postings_drop_swept(list->index, &merged.segment);
		place_head(list->index, &merged.segment, list->head);
	}
	return taken;
}

/* Return true if a list is a single segment with room for count more documents. */
static bool
fits_single(const PostingList *list, uint32 count)
{
	Buffer          buffer = postings_lock(list->index, list->head.block, BUFFER_LOCK_SHARE);
	PostingSegment *segment =
		postings_own_segment(list->index, BufferGetPage(buffer), list->head.offset, list->node);
	bool fits = !is_segment(segment->next) && count <= SEGMENT_MAX_DOCS - segment->count;

	UnlockReleaseBuffer(buffer);
	return fits;
}

/* Return a new array of the docs that are not in a list, and update *count. */
static uint32 *
new_docs(const PostingList *list, const uint32 *docs, uint32 *count)
{
	PostingBuffer present = {0};
	uint32       *fresh = palloc_extended(mul_size(*count, sizeof(uint32)), MCXT_ALLOC_HUGE);

	postings_read(list->index, list->node, &present);
	if (present.count > 0)
		qsort(present.docs, present.count, sizeof(uint32), compare_ordinals);
	*count = run_subtract(docs, *count, present.docs, present.count, fresh);
	if (present.docs != NULL)
		pfree(present.docs);
	return fresh;
}

/* Put documents that are not in a list into new segments before its head. */
static void
add_segments(const PostingList *list, const uint32 *docs, uint32 count)
{
	while (count > 0)
	{
		SegmentBuffer fresh = {.segment.node = list->node};

		CHECK_FOR_INTERRUPTS();
		fresh.segment.count = Min(count, SEGMENT_MAX_DOCS);
		fresh.segment.next = postings_head(list->index, list->node);
		memcpy(fresh.segment.docs, docs, fresh.segment.count * sizeof(uint32));
		place_head(list->index, &fresh.segment, no_segment());
		docs += fresh.segment.count;
		count -= fresh.segment.count;
	}
}

uint32
postings_add(ColbertIndex *index, uint32 node, const uint32 *docs, uint32 count, bool suspect)
{
	PostingList list = {index, node, postings_head(index, node)};
	uint32      added;
	uint32      taken;
	uint32     *fresh;

	if (count == 0)
		return 0;
	if (!is_segment(list.head))
	{
		add_segments(&list, docs, count);
		return count;
	}
	if (suspect && !fits_single(&list, count))
	{
		fresh = new_docs(&list, docs, &count);
		count = postings_add(index, node, fresh, count, false);
		pfree(fresh);
		return count;
	}
	taken = add_to_head(&list, docs, count, &added);
	add_segments(&list, docs + taken, count - taken);
	return added + count - taken;
}

/* ---- bulk ---- */

PostingsBuilder *
postings_build_begin(ColbertIndex *index)
{
	PostingsBuilder *builder = palloc0(sizeof(PostingsBuilder));

	builder->index = index;
	builder->current = InvalidBuffer;
	return builder;
}

/* Release the current page, which is not locked, and record its free space. */
static void
finish_page(PostingsBuilder *builder)
{
	BlockNumber block = BufferGetBlockNumber(builder->current);
	Size        room;

	LockBuffer(builder->current, BUFFER_LOCK_SHARE);
	room = PageGetFreeSpace(BufferGetPage(builder->current));
	UnlockReleaseBuffer(builder->current);
	builder->current = InvalidBuffer;
	RecordPageWithFreeSpace(builder->index->rel, block, room);
}

/* Register the page of a segment with a change and return it. A new page is initialised. */
static Page
change_current(Change *change, Buffer current, bool is_new)
{
	Page page = change_page(change, current, is_new);

	if (is_new)
		page_init(page, PAGE_POSTINGS, 0);
	return page;
}

/* Lock a page with room for a segment of this size. *is_new: the page must be initialised. */
static void
lock_current(PostingsBuilder *builder, Size size, bool *is_new)
{
	*is_new = false;
	if (BufferIsValid(builder->current))
	{
		Page page = BufferGetPage(builder->current);

		LockBuffer(builder->current, BUFFER_LOCK_EXCLUSIVE);
		if (PageGetFreeSpace(page) >= MAXALIGN(size) + BUILD_RESERVE)
			return;
		LockBuffer(builder->current, BUFFER_LOCK_UNLOCK);
		finish_page(builder);
	}
	builder->current = storage_new_page(builder->index);
	*is_new = true;
}

void
postings_build_add(PostingsBuilder *builder, uint32 node, const uint32 *docs, uint32 count)
{
	PostingRef head = no_segment();

	while (count > 0)
	{
		SegmentBuffer fresh = {.segment.node = node};
		Buffer        node_buffer = parray_lock(builder->index, ARRAY_NODES, node);
		Change        change;
		bool          is_new;

		fresh.segment.next = head;
		fresh.segment.count = Min(count, SEGMENT_MAX_DOCS);
		memcpy(fresh.segment.docs, docs, fresh.segment.count * sizeof(uint32));

		lock_current(builder, segment_size(fresh.segment.count), &is_new);
		change_begin(&change, builder->index);
		head.block = BufferGetBlockNumber(builder->current);
		head.offset =
			add_segment(change_current(&change, builder->current, is_new), &fresh.segment);
		postings_set_head(&change, node_buffer, node, head);
		change_commit(&change);
		LockBuffer(builder->current, BUFFER_LOCK_UNLOCK);
		UnlockReleaseBuffer(node_buffer);

		docs += fresh.segment.count;
		count -= fresh.segment.count;
		CHECK_FOR_INTERRUPTS();
	}
}

void
postings_build_end(PostingsBuilder *builder)
{
	if (BufferIsValid(builder->current))
		finish_page(builder);
	FreeSpaceMapVacuum(builder->index->rel);
	pfree(builder);
}
