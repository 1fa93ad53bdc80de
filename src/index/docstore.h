/*-------------------------------------------------------------------------
 *
 * docstore.h
 *	  Documents of an index: directory, sketches, means and code rows.
 *
 * A document is identified by an ordinal. Appending it reserves its place
 * under the meta page's lock (a free slot of sufficient capacity, or fresh
 * items of each array), writes its sketches and rows, and publishes its
 * directory entry last. A crash or an error before that leaves a reserved slot
 * that nothing refers to; VACUUM frees it. Appenders hold the append lock in
 * share mode from reserving to publishing. VACUUM takes it exclusively to find
 * abandoned reservations.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_DOCSTORE_H
#define COLBERT_DOCSTORE_H

#include "index/view.h"

/*
 * Append a document and return its ordinal. Refreshes the view's meta data.
 * The caller holds no page lock.
 *
 * tid: the heap row. hash: of its stored columns (hashes.h), 0 if unknown.
 * flags: DOC_PENDING to add the document to the queue, or 0 if the caller
 * writes its postings; plus the flags of view_token_flags. Raises 22000 if its
 * dims differ from the index's.
 */
extern uint32 docstore_append(IndexView *view, ItemPointer tid, const MultiVector *mv, uint32 hash,
							  uint8 flags);

/* Where a new document goes in the arrays. */
typedef struct DocPlace
{
	uint32 doc;
	uint32 first_block;
	uint32 first_row;
} DocPlace;

/*
 * Take places for ndocs documents of ntokens tokens and nblocks sketch blocks
 * in all, for which the arrays have room, and return the first one. The caller
 * divides them: each document takes one item of the directory and of the means,
 * its tokens, and its blocks. Only a build, which fills or frees every place.
 */
extern DocPlace docstore_take_places(IndexView *view, uint32 ndocs, uint32 ntokens, uint32 nblocks);

/* Append a document like docstore_append, but at a place that the caller has taken. */
extern void docstore_append_at(IndexView *view, const DocPlace *place, ItemPointer tid,
							   const MultiVector *mv, uint32 hash, uint8 flags);

/* Free a place for a document of this many tokens that no document was appended at. */
extern void docstore_free_place(IndexView *view, const DocPlace *place, uint32 ntokens);

/*
 * Extend the arrays at once for a build that knows its number of documents,
 * tokens and sketch blocks.
 */
extern void docstore_presize(IndexView *view, uint64 ndocs, uint64 ntokens, uint64 nblocks);

/*
 * Read the directory entry of a document. Returns false if it does not exist
 * (never written, or beyond the end).
 */
extern bool docstore_entry(IndexView *view, uint32 doc, DocEntry *entry);

/*
 * Decode the vectors of tokens [first, first + n) of a document (n x dim
 * prepared floats) from its code rows, or from its pending rows if the codec
 * is coarse.
 */
extern void docstore_vectors(IndexView *view, const DocEntry *entry, uint32 first, uint32 n,
							 float *out);

/*
 * Decode the vectors of tokens [first, first + n) of a document from its code
 * rows, however coarse. The codec has rows.
 */
extern void docstore_coded_vectors(IndexView *view, const DocEntry *entry, uint32 first, uint32 n,
								   float *out);

/*
 * Return true if a document has usable code rows. Those of a trained codec
 * must be of the current epoch.
 */
static inline bool
docstore_has_rows(const IndexView *view, const DocEntry *entry)
{
	return coder_has_rows(&view->coder) &&
		   (view->codebooks == NULL || entry->epoch == view->index->meta.nodes.epoch);
}

/*
 * Rewrite the sketches of tokens [first, first + n) of a document with the
 * view's parameters, and their code rows if the codec is trained. first is a
 * multiple of the sketch block. The call that includes the last token also
 * rewrites the mean, and sets the document's epoch to the view's.
 */
extern void docstore_resketch(IndexView *view, uint32 doc, const DocEntry *entry, uint32 first,
							  uint32 n);

/*
 * The mean of a document's tokens: add n prepared tokens to a sum of dim floats,
 * in order, and encode the sum of all of them as a row of sketch_row_size()
 * bytes. The sum becomes the mean.
 */
extern void docstore_add_tokens(const IndexView *view, const float *tokens, uint32 n, float *sum);
extern void docstore_encode_mean(const IndexView *view, float *sum, uint32 ntokens, uint8 *row);

/*
 * Return true if a document's pending flag may be cleared: it was published,
 * or it is reserved and the caller knows the reservation to be abandoned
 * (reserved).
 */
static inline bool
docstore_releases(const DocEntry *entry, bool reserved)
{
	return entry->state == DOC_LIVE || entry->state == DOC_DEAD ||
		   (reserved && entry->state == DOC_RESERVED);
}

/*
 * Clear and set flags of documents (ascending ordinals, which may repeat), in
 * one change per directory page. Reserved entries are left unchanged, since a
 * queue left stale by a crash may name them. The caller holds the merge lock.
 */
extern void docstore_change_flags(IndexView *view, const uint32 *docs, uint32 ndocs, uint8 clear,
								  uint8 set);

/*
 * Clear DOC_PENDING of documents as docstore_change_flags does, and free their
 * pending rows. set: flags that they get in the same change.
 */
extern void docstore_clear_pending(IndexView *view, const uint32 *docs, uint32 ndocs, uint8 set);

/* Call visit for each directory entry ever written, with no lock held. */
typedef void (*DocVisitor)(IndexView *view, uint32 doc, const DocEntry *entry, void *arg);
extern void docstore_walk(IndexView *view, DocVisitor visit, void *arg);

/* ---- pending_rows.c ---- */

/* Return the rows of a run of a free list, or of the run for a document of this many tokens. */
extern uint32 pending_rows_length(uint32 class);
extern uint32 pending_rows_capacity(uint32 ntokens);

/*
 * Return the number of new rows needed for a document of this many tokens; 0
 * if there is a free run. The caller holds the meta page.
 */
extern uint32 pending_rows_wanted(IndexView *view, uint32 ntokens);

/*
 * Take a run of pending rows, which must have room, and return its first row.
 * The caller holds the meta page exclusively and writes the copy of the meta
 * data back.
 */
extern uint32 pending_rows_take(IndexView *view, uint32 ntokens);

/*
 * Clear DOC_PENDING of a document if it is set, set other flags, and free its
 * run. reserved: also for an abandoned reservation.
 */
extern void pending_rows_release(IndexView *view, uint32 doc, bool reserved, uint8 set);

/* Read the free run that follows a free run. Returns false if there is no free run at first. */
extern bool pending_rows_next(IndexView *view, uint32 first, uint32 *next);

/* ---- docstore_free.c ---- */

/*
 * Slot found on a free list: its list, the slot before it (INVALID_ORDINAL if
 * it is the head) and the slot after it.
 */
typedef struct FreeSlot
{
	uint32 doc;
	uint32 class;
	uint32 before;
	uint32 next;
} FreeSlot;

/* Return the free list of slots of this capacity, in tokens. */
extern uint32 docstore_free_class(uint32 capacity);

/*
 * Find a free slot with room for ntokens tokens, and its entry.
 *
 * Takes the slot off its list in the copy of the meta data. The caller holds
 * the meta page exclusively. In the change that reserves the slot, it writes
 * the meta data back and free->next into the slot before it.
 */
extern bool docstore_find_free(IndexView *view, uint32 ntokens, FreeSlot *free, DocEntry *entry);

/*
 * Add slots to the free lists. docs: ascending ordinals of dead or reserved
 * slots that nothing refers to.
 */
extern void docstore_push_free(IndexView *view, const uint32 *docs, uint32 ndocs);

#endif /* COLBERT_DOCSTORE_H */
