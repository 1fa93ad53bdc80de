/*-------------------------------------------------------------------------
 *
 * postings_internal.h
 *	  What the files of the postings share.
 *
 * Posting pages are pages of line pointers, one segment an item. A line
 * pointer keeps its number as long as its segment stands there, since nodes
 * and segments refer to it; unused ones are taken again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_POSTINGS_INTERNAL_H
#define COLBERT_POSTINGS_INTERNAL_H

#include "index/postings.h"
#include "index/postings_segment.h"

/* Documents of one segment at most: 2 kB, so that a page holds a few of the longest. */
#define SEGMENT_MAX_DOCS 508

/* A segment in memory. */
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

compat_noreturn extern void postings_corrupted(ColbertIndex *index, uint32 node);

/* The head of a node's list, as it stands. */
extern PostingRef postings_head(ColbertIndex *index, uint32 node);

/* Pin and lock a posting page that something refers to, and check its kind. */
extern Buffer postings_lock(ColbertIndex *index, BlockNumber block, int mode);

/* The segment at an offset of a posting page, checked; NULL where there is none. */
extern PostingSegment *postings_segment_at(ColbertIndex *index, Page page, OffsetNumber offset);

/* A node's segment on a page that the writer has locked: what it expects there must be there. */
extern PostingSegment *postings_own_segment(ColbertIndex *index, Page page, OffsetNumber offset,
											uint32 node);

/* Turn a node to another head; the node's page was locked by parray_lock. */
extern void postings_set_head(Change *change, Buffer node_buffer, uint32 node, PostingRef head);

/* Make an empty posting page of an all-zero one that belongs to nothing, and record its room. */
extern void postings_init_page(ColbertIndex *index, BlockNumber block);

/* Replace a segment by one of another length; false where the page has no room for it. */
extern bool postings_overwrite(Page page, OffsetNumber offset, const PostingSegment *segment);

#endif /* COLBERT_POSTINGS_INTERNAL_H */
