/*-------------------------------------------------------------------------
 *
 * hashes.h
 *	  Documents by the hash of what the table stores for them, for UPDATEs
 *	  that keep it.
 *
 * A hash is that of the bytes that the table stores for the indexed columns
 * (update.c): of the TOAST pointer if a document is stored out of line. It is
 * kept in the document's directory entry, and in a hash table whose buckets
 * are pages of ARRAY_HASHES.
 *
 * The table is a hint. A document may be missing from it: its bucket was
 * full, since many rows store the same bytes, or a crash came between its
 * publishing and its entry here. An entry may name a document that is dead.
 * Callers verify what they are given.
 *
 * The table grows by linear hashing: a new bucket takes its share of one other
 * bucket. A bucket's page says under which mask its hashes are its ordinal, so
 * that a backend that looks in the wrong bucket, since it was split, notices.
 *
 * Lock order: meta page, buckets by block number. A split alone holds two
 * buckets, and the meta page exclusively.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_HASHES_H
#define COLBERT_HASHES_H

#include "index/view.h"

/*
 * Enter a document, if there is room; splits a bucket when one is due. Nothing
 * is entered under the hash 0. No page is locked.
 */
extern void hashes_add(IndexView *view, uint32 hash, uint32 doc);

/* Find at most that many documents of a hash; returns their number. */
extern uint32 hashes_find(IndexView *view, uint32 hash, uint32 *docs, uint32 most);

/* Remove entries; slots is put in order. */
extern void hashes_remove(IndexView *view, HashSlot *slots, uint32 nslots);

/* The mask that a bucket has if there are nbuckets. */
extern uint32 hashes_mask(uint32 bucket, uint32 nbuckets);

#endif /* COLBERT_HASHES_H */
