/*-------------------------------------------------------------------------
 *
 * postings.h
 *	  Posting lists: the documents of each node.
 *
 * A list is a chain of variable-length segments, found through
 * NodeEntry.postings; a page holds many segments. There is one writer at a
 * time (a build, a merge or a sweep, under the merge lock), with concurrent
 * readers. When a segment moves, one change writes it to its new page, updates
 * the node and removes the old copy.
 *
 * Lock order within a change: node page, then posting pages by block number.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_POSTINGS_H
#define COLBERT_POSTINGS_H

#include "storage/storage.h"

/* Result of reading lists. docs may contain an ordinal twice, from two segments of a chain. */
typedef struct PostingBuffer
{
	uint32 *docs;
	uint32  count;
	uint32  capacity;
} PostingBuffer;

/*
 * Append the documents of a node to out, which grows in the current memory
 * context. Restarts at the node if a segment has moved. Raises
 * ERRCODE_INDEX_CORRUPTED for a damaged list.
 */
extern void postings_read(ColbertIndex *index, uint32 node, PostingBuffer *out);

/* Bulk writer of whole lists, in any order of nodes, which fills one page after another. */
typedef struct PostingsBuilder PostingsBuilder;
extern PostingsBuilder        *postings_build_begin(ColbertIndex *index);

/* Write the list of a node, which must be empty. docs: sorted, distinct; count >= 1. */
extern void postings_build_add(PostingsBuilder *builder, uint32 node, const uint32 *docs,
							   uint32 count);
extern void postings_build_end(PostingsBuilder *builder);

/*
 * Add documents (sorted, distinct) to a node's list. Returns the number added.
 *
 * suspect: some of them may be in the list already and are not added again.
 * Otherwise the caller knows that none is, and a long list is not read.
 */
extern uint32 postings_add(ColbertIndex *index, uint32 node, const uint32 *docs, uint32 count,
						   bool suspect);

/*
 * Remove dead documents from all lists and record the free space of posting
 * pages. Returns the number of postings left.
 *
 * dead: bit d & 7 of byte d >> 3 is set if document d < ndocs is dead.
 * Interruptible: an incomplete sweep may be run again. urgent_above: see Pace.
 */
extern uint64 postings_sweep(ColbertIndex *index, const uint8 *dead, uint32 ndocs,
							 uint64 urgent_above);

/* Count the postings of all lists. The caller holds the merge lock. */
extern uint64 postings_count(ColbertIndex *index, uint64 urgent_above);

/*
 * Make posting pages of the blocks without an owner. Interruptible. The caller
 * holds the merge lock.
 */
extern void postings_reclaim(ColbertIndex *index);

#endif /* COLBERT_POSTINGS_H */
