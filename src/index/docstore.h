/*-------------------------------------------------------------------------
 *
 * docstore.h
 *	  The documents of an index: directory, sketches and code rows.
 *
 * A document is an ordinal. Appending reserves its place (a free slot that
 * has room, or fresh items of each array) under the meta page, writes its
 * sketches and rows, and publishes the directory entry last: a crash or an
 * error before that leaves a reserved slot that nothing refers to, which
 * VACUUM frees. Appenders hold the append lock shared from reserving to
 * publishing; VACUUM takes it exclusively to see which reservations are left.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_DOCSTORE_H
#define COLBERT_DOCSTORE_H

#include "index/view.h"

/*
 * Add a document; returns its ordinal. view->index->meta is refreshed on the way.
 * tid: the heap row; hash: of what it stores (hashes.h), 0 if it is unknown; flags:
 * DOC_PENDING, to be put into the queue, or 0, where the caller writes its
 * postings, and those of view_token_flags. Errors (22000) where dims differ.
 * Needs no lock held.
 */
extern uint32 docstore_append(IndexView *view, ItemPointer tid, const MultiVector *mv, uint32 hash,
							  uint8 flags);

/* A build that knows: room for so many documents, tokens and sketch blocks at once. */
extern void docstore_presize(IndexView *view, uint64 ndocs, uint64 ntokens, uint64 nblocks);

/* The directory entry of a document; false where there is none (never written, or beyond the end). */
extern bool docstore_entry(IndexView *view, uint32 doc, DocEntry *entry);

/*
 * Read the vectors of a document (ntokens x dim prepared floats) back from its
 * code rows, or where the codec is coarse its pending rows.
 */
extern void docstore_vectors(IndexView *view, const DocEntry *entry, uint32 first, uint32 n,
							 float *out);

/* Whether the code rows of a document are there and say something: those of a trained codec are of one epoch. */
static inline bool
docstore_has_rows(const IndexView *view, const DocEntry *entry)
{
	return coder_has_rows(&view->coder) &&
		   (view->codebooks == NULL || entry->epoch == view->index->meta.nodes.epoch);
}

/*
 * Write the sketches of tokens first .. first + n - 1 of a document, and their
 * rows if the codec is trained, anew under the view's parameters. first is a
 * multiple of the sketch block. The document is of the view's epoch from its
 * last token on.
 */
extern void docstore_resketch(IndexView *view, uint32 doc, const DocEntry *entry, uint32 first,
							  uint32 n);

/* Return true if a document's pending flag may be cleared: it is published, or (reserved) its reservation is known to be abandoned. */
static inline bool
docstore_releases(const DocEntry *entry, bool reserved)
{
	return entry->state == DOC_LIVE || entry->state == DOC_DEAD ||
		   (reserved && entry->state == DOC_RESERVED);
}

/*
 * Clear DOC_PENDING of these documents (ascending ordinals, which may come
 * twice), and free their pending rows. Entries that are only reserved stay:
 * a queue that a crash left stale may name them.
 */
extern void docstore_clear_pending(IndexView *view, const uint32 *docs, uint32 ndocs);

/* Walk the directory: calls back for every entry that was ever written, with no lock held. */
typedef void (*DocVisitor)(IndexView *view, uint32 doc, const DocEntry *entry, void *arg);
extern void docstore_walk(IndexView *view, DocVisitor visit, void *arg);

/* ---- pending_rows.c ---- */

/* The rows of a run on a free list, and of a run for a document of this many tokens. */
extern uint32 pending_rows_length(uint32 class);
extern uint32 pending_rows_capacity(uint32 ntokens);

/* The number of new rows that a run for a document of this many tokens needs; 0 if a free run serves. The meta page is held. */
extern uint32 pending_rows_wanted(IndexView *view, uint32 ntokens);

/* Hand out a run of pending rows, for which there is room; returns its first row. The meta page is held exclusively, and view->index->meta is what it is to hold. */
extern uint32 pending_rows_take(IndexView *view, uint32 ntokens);

/* Clear DOC_PENDING of a document, if it is set, and free its run. reserved: of an abandoned reservation, too. */
extern void pending_rows_release(IndexView *view, uint32 doc, bool reserved);

/* The run after a free one; false if there is no free run at that row. */
extern bool pending_rows_next(IndexView *view, uint32 first, uint32 *next);

/* ---- docstore_free.c ---- */

/* A slot found on a free list: its list, the slot before it (INVALID_ORDINAL: the list's head) and the one after. */
typedef struct FreeSlot
{
	uint32 doc;
	uint32 class;
	uint32 before;
	uint32 next;
} FreeSlot;

/* The list that a slot of so many tokens is kept on. */
extern uint32 docstore_free_class(uint32 capacity);

/*
 * Find a free slot with room for ntokens, and its entry. Takes it off its
 * list in view->index->meta; the caller holds the meta page exclusively and writes
 * that, and free->next into the slot before it, in the change that reserves it.
 */
extern bool docstore_find_free(IndexView *view, uint32 ntokens, FreeSlot *free, DocEntry *entry);

/*
 * Put these slots (ascending ordinals; dead or reserved ones that nothing
 * refers to) on the free lists.
 */
extern void docstore_push_free(IndexView *view, const uint32 *docs, uint32 ndocs);

#endif /* COLBERT_DOCSTORE_H */
