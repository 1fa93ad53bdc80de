/*-------------------------------------------------------------------------
 *
 * postings_internal.h
 *	  Declarations shared by the files of the posting lists.
 *
 * Posting pages have line pointers; each item is a segment. A line pointer
 * keeps its number while its segment exists, since nodes and segments refer to
 * it. Unused line pointers are reused.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_POSTINGS_INTERNAL_H
#define COLBERT_POSTINGS_INTERNAL_H

#include "index/postings.h"
#include "index/postings_segment.h"

/* Maximum documents per segment: 2 kB, so that a page can hold a few of the largest. */
#define SEGMENT_MAX_DOCS 508

/* Segment in memory. */
typedef union SegmentBuffer
{
	PostingSegment segment;
	char           bytes[offsetof(PostingSegment, docs) + SEGMENT_MAX_DOCS * sizeof(uint32)];
} SegmentBuffer;

static inline Size
segment_size(uint32 count)
{
	return offsetof(PostingSegment, docs) + count * sizeof(uint32);
}

static inline PostingRef
no_segment(void)
{
	return (PostingRef) {.block = InvalidBlockNumber};
}

static inline bool
is_segment(PostingRef ref)
{
	return ref.block != InvalidBlockNumber;
}

/* Lists shorter than this are not taken for cycles, even if the reader knows of fewer documents. */
#define MIN_STEPS (1 << 20)

/* Return the maximum documents and segments of a list; one with more is a cycle. */
static inline uint64
postings_max_steps(uint32 ndocs)
{
	return 2 * (uint64) Max(ndocs, MIN_STEPS);
}

compat_noreturn extern void postings_corrupted(ColbertIndex *index, uint32 node);

/* Read the head of a node's list. */
extern PostingRef postings_head(ColbertIndex *index, uint32 node);

/* Pin and lock a posting page that a reference names, and check its kind. */
extern Buffer postings_lock(ColbertIndex *index, BlockNumber block, int mode);

/* Return the segment at an offset of a posting page, checked; NULL if there is none. */
extern PostingSegment *postings_segment_at(ColbertIndex *index, Page page, OffsetNumber offset);

/*
 * Return a node's segment on a page locked by the writer. Raises
 * ERRCODE_INDEX_CORRUPTED if it is missing.
 */
extern PostingSegment *postings_own_segment(ColbertIndex *index, Page page, OffsetNumber offset,
											uint32 node);

/* Set the head of a node's list. The node's page was locked by parray_lock. */
extern void postings_set_head(Change *change, Buffer node_buffer, uint32 node, PostingRef head);

/* Make an empty posting page of an all-zero page without an owner, and record its free space. */
extern void postings_init_page(ColbertIndex *index, BlockNumber block);

/* Replace a segment by one of another length. Returns false if the page has no room for it. */
extern bool postings_overwrite(Page page, OffsetNumber offset, const PostingSegment *segment);

/* ---- postings_sweep.c: what is written while a sweep runs ---- */

/* Drop what a running sweep removes from a segment that is about to move to another page. */
extern void postings_drop_swept(ColbertIndex *index, PostingSegment *segment);

/* Tell a running sweep that a node has this many more postings on a page, or fewer. */
extern void postings_changed(ColbertIndex *index, BlockNumber block, uint32 node, int64 more);

#endif /* COLBERT_POSTINGS_INTERNAL_H */
