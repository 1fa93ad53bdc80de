/*-------------------------------------------------------------------------
 *
 * postings.h
 *	  Posting lists: the documents of each node.
 *
 * Variable-length segments, many to a page, found through NodeEntry.postings.
 * One writer at a time (build, merge or sweep, under the merge lock); readers
 * at any time. A segment that moves is written to its new page, the node is
 * turned to it and the old copy removed in one change.
 *
 * Lock order within a change: node page, then posting pages by block number.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_POSTINGS_H
#define COLBERT_POSTINGS_H

#include "storage/storage.h"

/* Growing result of reads. docs may hold an ordinal twice: once from each segment of a chain. */
typedef struct PostingBuffer
{
	uint32 *docs;
	uint32  count;
	uint32  capacity;
} PostingBuffer;

/*
 * Append the documents of a node to the buffer (grown in the current memory
 * context). Bounds-checked; restarts from the node where a segment has moved.
 */
extern void postings_read(ColbertIndex *index, uint32 node, PostingBuffer *out);

/* Bulk: write whole lists in any node order, filling pages one after another. */
typedef struct PostingsBuilder PostingsBuilder;
extern PostingsBuilder        *postings_build_begin(ColbertIndex *index);

/* docs: sorted, distinct, count >= 1; the node's list must be empty. */
extern void postings_build_add(PostingsBuilder *builder, uint32 node, const uint32 *docs,
							   uint32 count);
extern void postings_build_end(PostingsBuilder *builder);

/*
 * Add documents (sorted, distinct) to a node's list; returns the number added.
 * suspect: some may be in the list already, and stay there once. Otherwise
 * none is, and a long list is not read.
 */
extern uint32 postings_add(ColbertIndex *index, uint32 node, const uint32 *docs, uint32 count,
						   bool suspect);

/*
 * Remove from all lists the documents whose bit is set (bit d & 7 of byte
 * d >> 3, for d < ndocs). Pages' free space is recorded. Returns entries left.
 * Interruptible; may stop half-way and be run again. urgent_above: see Pace.
 */
extern uint64 postings_sweep(ColbertIndex *index, const uint8 *dead, uint32 ndocs,
							 uint64 urgent_above);

/* Make posting pages of the blocks that belong to nothing. Interruptible; the merge lock is held. */
/* Count the entries of all posting lists. The caller holds the merge lock. */
extern uint64 postings_count(ColbertIndex *index, uint64 urgent_above);

extern void postings_reclaim(ColbertIndex *index);

#endif /* COLBERT_POSTINGS_H */
