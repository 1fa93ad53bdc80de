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

#include "storage/pace.h"
#include "storage/storage.h"

/* Result of reading lists. docs may contain an ordinal twice, from two segments of a chain. */
typedef struct PostingBuffer
{
	uint32 *docs;
	uint32  count;
	uint32  capacity;
	uint32  enough; /* a read ends once there are more than this; 0: none does */
} PostingBuffer;

/*
 * Append the documents of a node to out, which grows in the current memory
 * context. Restarts at the node if a segment has moved. Raises
 * ERRCODE_INDEX_CORRUPTED for a damaged list.
 */
extern void postings_read(ColbertIndex *index, uint32 node, PostingBuffer *out);

/* Request the first page of a node's list (readahead.h). */
extern void postings_request(ColbertIndex *index, uint32 node);

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

/* Numbers of postings: of the nodes that searches use, and of those that are being filled. */
typedef struct PostingCounts
{
	uint64 current;
	uint64 next;
} PostingCounts;

/* Posting: node in the upper 32 bits, document in the lower; sorted by node, then document. */
typedef uint64 Posting;

static inline Posting
posting_make(uint32 node, uint32 doc)
{
	return (Posting) node << 32 | doc;
}

/* ---- postings_batch.c ---- */

/* Sort postings and drop duplicates. Returns the number left. */
extern Size postings_sort(Posting *postings, Size n);

/*
 * Add n sorted, distinct postings to the lists of their nodes. Returns the
 * number added. suspect: see postings_add.
 */
extern uint64 postings_add_all(ColbertIndex *index, const Posting *postings, Size n, bool suspect,
							   Pace *pace);

/*
 * Remove dead documents from all lists and record the free space of posting
 * pages. Returns the numbers of postings left.
 *
 * dead: bit d & 7 of byte d >> 3 is set if document d < ndocs is dead.
 * Interruptible: an incomplete sweep may be run again. pace->help may merge
 * documents that are not dead, through the same index object.
 */
extern PostingCounts postings_sweep(ColbertIndex *index, const uint8 *dead, uint32 ndocs,
									Pace *pace);

/* Count the postings. The caller holds the merge lock. pace: as above. */
extern PostingCounts postings_count(ColbertIndex *index, Pace *pace);

/* Empty the list of a node and record the free space. The caller holds the merge lock. */
extern void postings_clear(ColbertIndex *index, uint32 node);

/*
 * Make posting pages of the blocks without an owner. Interruptible. The caller
 * holds the merge lock.
 */
extern void postings_reclaim(ColbertIndex *index);

#endif /* COLBERT_POSTINGS_H */
