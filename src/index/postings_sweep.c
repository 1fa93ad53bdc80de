/*-------------------------------------------------------------------------
 *
 * postings_sweep.c
 *	  Remove dead documents from all posting lists.
 *
 * The first phase goes through the posting pages, with one change per page:
 * segments shrink in place, possibly to nothing. The second phase goes through
 * the lists whose segments shrank: it unlinks empty segments at the head, and
 * joins neighbouring segments that fit into one. Each step leaves intact
 * lists, so a sweep may stop at any point.
 *
 * Posting pages are the blocks that belong to no extent of a page array,
 * according to the caller's meta data. Blocks that became part of an extent
 * later are recognised by their kind; new all-zero pages are skipped.
 *
 * Between two pages or two lists, this session may merge pending documents
 * through the same index object (pace_delay). Two rules keep a sweep complete
 * and its counts exact. A page is swept if the first phase has passed it, or if
 * it is newer than the sweep:
 *
 *	1. No swept page has a dead document. A merge adds only live documents, and
 *	   none dies meanwhile. A segment that it moves loses its dead documents on
 *	   the way, whatever page it comes from (postings_drop_swept).
 *	2. sweep->left counts the postings of swept pages. Each write of a merge to
 *	   such a page corrects it (postings_changed).
 *
 * If a merge adds nodes, their lists have no dead documents and need no second
 * phase. No other session writes postings: the caller holds the merge lock.
 *
 * Lock order: node page, then posting pages by block number. No page is locked
 * while pending documents are merged.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "index/postings_internal.h"
#include "miscadmin.h"
#include "storage/freespace.h"
#include "storage/pace.h"

typedef struct PostingSweep
{
	ColbertIndex *index;
	const uint8  *dead; /* by document; NULL: count only */
	uint32        ndocs;
	Pace         *pace;
	uint8        *shrunk;  /* one bit per node: a segment of its list shrank */
	uint32        nnodes;  /* nodes when the sweep began */
	BlockNumber   next;    /* pages before this one are swept */
	BlockNumber   nblocks; /* pages when the sweep began */
	PostingCounts left;
} PostingSweep;

/* ---- what is swept ---- */

/* Add n postings of a node to sweep->left. Those of former generations do not count. */
static void
count_left(PostingSweep *sweep, uint32 node, int64 n)
{
	const MetaPageData *meta = &sweep->index->meta;

	if (node >= meta_first_node(meta) && node < meta_end_node(meta))
		sweep->left.current += n;
	else if (node >= meta_end_node(meta))
		sweep->left.next += n;
}

/* Note that a segment of a node's list has shrunk. */
static void
note_shrunk(PostingSweep *sweep, uint32 node)
{
	if (node < sweep->nnodes)
		sweep->shrunk[node >> 3] |= 1 << (node & 7);
}

void
postings_drop_swept(ColbertIndex *index, PostingSegment *segment)
{
	PostingSweep *sweep = index->sweep;
	uint32        count = segment->count;

	if (sweep == NULL)
		return;
	segment->count = run_drop_set(segment->docs, count, sweep->dead, sweep->ndocs, segment->docs);
	if (segment->count < count)
		note_shrunk(sweep, segment->node);
}

void
postings_changed(ColbertIndex *index, BlockNumber block, uint32 node, int64 more)
{
	PostingSweep *sweep = index->sweep;

	if (sweep != NULL && (block < sweep->next || block >= sweep->nblocks))
		count_left(sweep, node, more);
}

/* ---- pages ---- */

/* Count the dead documents on a page, and add the others to sweep->left. */
static uint32
count_dead(PostingSweep *sweep, Page page)
{
	OffsetNumber end = PageGetMaxOffsetNumber(page);
	uint32       total = 0;

	for (OffsetNumber offset = FirstOffsetNumber; offset <= end; offset++)
	{
		PostingSegment *segment = postings_segment_at(sweep->index, page, offset);
		uint32          dead;

		if (segment == NULL)
			continue;
		dead = run_count_set(segment->docs, segment->count, sweep->dead, sweep->ndocs);
		count_left(sweep, segment->node, segment->count - dead);
		total += dead;
	}
	return total;
}

/* Shrink the segments of a page that is registered with a change. */
static void
shrink_segments(PostingSweep *sweep, Page page)
{
	OffsetNumber end = PageGetMaxOffsetNumber(page);

	for (OffsetNumber offset = FirstOffsetNumber; offset <= end; offset++)
	{
		PostingSegment *segment = postings_segment_at(sweep->index, page, offset);
		SegmentBuffer   kept;

		if (segment == NULL)
			continue;
		kept.segment = *segment;
		kept.segment.count = run_drop_set(segment->docs, segment->count, sweep->dead, sweep->ndocs,
										  kept.segment.docs);
		if (kept.segment.count == segment->count)
			continue;
		note_shrunk(sweep, segment->node);
		if (!postings_overwrite(page, offset, &kept.segment))
			elog(ERROR, "failed to shrink a posting segment");
	}
}

static void
sweep_page(PostingSweep *sweep, BlockNumber block)
{
	Buffer buffer = ReadBuffer(sweep->index->rel, block);
	Page   page = BufferGetPage(buffer);
	Change change;
	Size   room;

	LockBuffer(buffer, sweep->dead != NULL ? BUFFER_LOCK_EXCLUSIVE : BUFFER_LOCK_SHARE);
	if (PageIsNew(page) || PageGetSpecialSize(page) != MAXALIGN(sizeof(PageTrailer)) ||
		page_trailer(page)->kind != PAGE_POSTINGS)
	{
		UnlockReleaseBuffer(buffer);
		return;
	}
	page_check(sweep->index->rel, block, page, PAGE_POSTINGS, 0);
	if (count_dead(sweep, page) > 0)
	{
		change_begin(&change, sweep->index);
		shrink_segments(sweep, change_page(&change, buffer, false));
		change_commit(&change);
	}
	room = PageGetFreeSpace(BufferGetPage(buffer));
	UnlockReleaseBuffer(buffer);
	RecordPageWithFreeSpace(sweep->index->rel, block, room);
	COLBERT_PAUSE("page-swept");
}

static void
sweep_pages(PostingSweep *sweep)
{
	ExtentList arrays;

	sweep->nblocks = RelationGetNumberOfBlocks(sweep->index->rel);
	extents_list(sweep->index, &arrays);
	for (BlockNumber block = extents_skip(&arrays, META_BLOCK + 1); block < sweep->nblocks;
		 block = extents_skip(&arrays, block + 1))
	{
		pace_delay(sweep->index, sweep->pace);
		sweep_page(sweep, block);
		sweep->next = block + 1;
	}
	pfree(arrays.extents);
}

/* ---- lists ---- */

/* Copy a segment of a list. */
static void
copy_segment(PostingSweep *sweep, uint32 node, PostingRef ref, SegmentBuffer *copy)
{
	Buffer          buffer = postings_lock(sweep->index, ref.block, BUFFER_LOCK_SHARE);
	PostingSegment *segment =
		postings_own_segment(sweep->index, BufferGetPage(buffer), ref.offset, node);

	memcpy(copy, segment, segment_size(segment->count));
	UnlockReleaseBuffer(buffer);
}

/* Remove the head of a list, make the next segment its head, and record the free space. */
static void
unlink_head(PostingSweep *sweep, uint32 node, PostingRef head, PostingRef next)
{
	Buffer node_buffer = parray_lock(sweep->index, ARRAY_NODES, node);
	Buffer buffer = postings_lock(sweep->index, head.block, BUFFER_LOCK_EXCLUSIVE);
	Change change;
	Page   page;
	Size   room;

	change_begin(&change, sweep->index);
	postings_set_head(&change, node_buffer, node, next);
	page = change_page(&change, buffer, false);
	postings_own_segment(sweep->index, page, head.offset, node);
	PageIndexTupleDeleteNoCompact(page, head.offset);
	room = PageGetFreeSpace(page);
	change_commit(&change);
	UnlockReleaseBuffer(buffer);
	UnlockReleaseBuffer(node_buffer);
	RecordPageWithFreeSpace(sweep->index->rel, head.block, room);
}

/*
 * Join a segment with the next one if both fit into one segment and its page
 * has room. *joined is a copy of the first segment; it is updated if they are
 * joined. Returns true if they are.
 */
static bool
join_next(PostingSweep *sweep, uint32 node, PostingRef ref, SegmentBuffer *joined)
{
	PostingRef    next = joined->segment.next;
	SegmentBuffer first = *joined;
	SegmentBuffer second;
	Buffer        lower;
	Buffer        upper = InvalidBuffer;
	Change        change;
	bool          fits;

	if (next.block == ref.block && next.offset == ref.offset)
		postings_corrupted(sweep->index, node);
	copy_segment(sweep, node, next, &second);
	if (first.segment.count + second.segment.count > SEGMENT_MAX_DOCS)
		return false;
	joined->segment.next = second.segment.next;
	joined->segment.count = run_merge(first.segment.docs, first.segment.count, second.segment.docs,
									  second.segment.count, joined->segment.docs);

	lower = postings_lock(sweep->index, Min(ref.block, next.block), BUFFER_LOCK_EXCLUSIVE);
	if (ref.block != next.block)
		upper = postings_lock(sweep->index, Max(ref.block, next.block), BUFFER_LOCK_EXCLUSIVE);
	change_begin(&change, sweep->index);
	{
		Page page = change_page(&change, ref.block <= next.block ? lower : upper, false);
		Page next_page = change_page(&change, next.block <= ref.block ? lower : upper, false);

		postings_own_segment(sweep->index, page, ref.offset, node);
		postings_own_segment(sweep->index, next_page, next.offset, node);
		PageIndexTupleDeleteNoCompact(next_page, next.offset);
		fits = postings_overwrite(page, ref.offset, &joined->segment);
	}
	if (fits)
		change_commit(&change);
	else
		change_cancel(&change);
	UnlockReleaseBuffer(lower);
	if (BufferIsValid(upper))
		UnlockReleaseBuffer(upper);
	if (!fits)
		*joined = first;
	return fits;
}

/* Unlink empty segments at the head of a list and join small segments. */
static void
tidy_list(PostingSweep *sweep, uint32 node)
{
	PostingRef    ref = postings_head(sweep->index, node);
	uint64        allowed = postings_max_steps(sweep->ndocs);
	SegmentBuffer segment;

	while (is_segment(ref))
	{
		CHECK_FOR_INTERRUPTS();
		copy_segment(sweep, node, ref, &segment);
		if (segment.segment.count > 0)
			break;
		unlink_head(sweep, node, ref, segment.segment.next);
		ref = segment.segment.next;
	}
	while (is_segment(ref))
	{
		CHECK_FOR_INTERRUPTS();
		copy_segment(sweep, node, ref, &segment);
		if (allowed < segment.segment.count + 1)
			postings_corrupted(sweep->index, node);
		allowed -= segment.segment.count + 1;
		while (is_segment(segment.segment.next) && join_next(sweep, node, ref, &segment))
			CHECK_FOR_INTERRUPTS();
		ref = segment.segment.next;
	}
}

PostingCounts
postings_sweep(ColbertIndex *index, const uint8 *dead, uint32 ndocs, Pace *pace)
{
	PostingSweep sweep = {.index = index,
						  .dead = dead,
						  .ndocs = ndocs,
						  .pace = pace,
						  .nnodes = parray_nitems(index, ARRAY_NODES)};

	sweep.shrunk = palloc_extended(sweep.nnodes / 8 + 1, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	index->sweep = &sweep;
	sweep_pages(&sweep);
	for (uint32 node = 0; node < sweep.nnodes; node++)
	{
		if ((sweep.shrunk[node >> 3] >> (node & 7) & 1) == 0)
			continue;
		pace_delay(index, sweep.pace);
		tidy_list(&sweep, node);
	}
	index->sweep = NULL;
	pfree(sweep.shrunk);
	FreeSpaceMapVacuum(index->rel);
	return sweep.left;
}

PostingCounts
postings_count(ColbertIndex *index, Pace *pace)
{
	PostingSweep sweep = {.index = index, .pace = pace};

	index->sweep = &sweep;
	sweep_pages(&sweep);
	index->sweep = NULL;
	return sweep.left;
}

void
postings_clear(ColbertIndex *index, uint32 node)
{
	PostingSweep  sweep = {.index = index};
	PostingRef    ref = postings_head(index, node);
	SegmentBuffer segment;

	while (is_segment(ref))
	{
		CHECK_FOR_INTERRUPTS();
		copy_segment(&sweep, node, ref, &segment);
		unlink_head(&sweep, node, ref, segment.segment.next);
		ref = segment.segment.next;
	}
}
