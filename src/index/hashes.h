/*-------------------------------------------------------------------------
 *
 * hashes.h
 *	  Hash table of documents, for UPDATEs that keep the document.
 *
 * The hash covers the bytes that the table stores for the indexed columns
 * (update.c); for a document stored out of line these are its TOAST pointer.
 * It is kept in the document's directory entry and in a hash table whose
 * buckets are pages of ARRAY_HASHES.
 *
 * The table is a hint. A document may be missing because its bucket was full
 * (many rows that store the same bytes) or because of a crash between
 * publishing the document and adding it here. An entry may name a dead
 * document. Callers verify each result.
 *
 * The table grows by linear hashing: a new bucket takes its share of the slots
 * of one older bucket. Each bucket stores the mask under which its hashes
 * equal its ordinal, so a backend that reads the wrong bucket because of a
 * concurrent split notices.
 *
 * Lock order: meta page, then buckets by block number. Only a split locks two
 * buckets, and it locks the meta page exclusively.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_HASHES_H
#define COLBERT_HASHES_H

#include "index/view.h"
#include "storage/pace.h"

/*
 * Add a document if its bucket has room, and split buckets when due. A
 * document with hash 0 is not added. The caller holds no page lock.
 */
extern void hashes_add(IndexView *view, uint32 hash, uint32 doc);

/* Find up to most documents with this hash; returns their number. */
extern uint32 hashes_find(IndexView *view, uint32 hash, uint32 *docs, uint32 most);

/* Remove these slots from the table. Sorts slots. */
extern void hashes_remove(IndexView *view, HashSlot *slots, uint32 nslots, Pace *pace);

/* Return the mask of a bucket in a table of nbuckets buckets. */
extern uint32 hashes_mask(uint32 bucket, uint32 nbuckets);

#endif /* COLBERT_HASHES_H */
