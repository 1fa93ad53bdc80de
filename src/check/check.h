/*-------------------------------------------------------------------------
 *
 * check.h
 *	  colbert_index_check: one file a part of the index.
 *
 *	check.c				the function in SQL, and the order of the parts
 *	snapshot.c	the meta data and the directory, as of one moment
 *	extents.c		extent maps and item sizes
 *	pages.c		every block of the file
 *	directory.c	documents: entries, places, counters
 *	versions.c	versions of rows that share a document
 *	hashes.c		documents by the hash of what the table stores
 *	queue.c		the queue of pending documents
 *	free.c		free slots
 *	nulls.c		rows whose document is NULL
 *	postings.c	posting lists
 *	heap.c		the table against the index
 *	encoding.c	sketches and rows against the stored documents
 *
 * A finder checks its own nodes, through its own function.
 *
 * How a check goes on beside writers without false alarms: it holds the merge
 * lock shared, so that posting lists, nodes and the queue's head stand still;
 * and inserts and deletes hold the meta page while they change the directory,
 * the versions, the queue, the counters, or which null pages have room. All
 * of these are copied while it is held shared, once, and checked in memory.
 * Pages are copied in twice: the first time without the lock, so that they
 * are in memory the second time.
 *
 * What a page says is never believed: every ordinal, block and count is
 * checked before it is used. Each part runs in a subtransaction: what it
 * fails with, where that is an error of damage, is a finding too.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_CHECK_H
#define COLBERT_CHECK_H

#include "index/nulls.h"
#include "index/versions.h"
#include "storage/findings.h"
#include "utils/snapshot.h"

/* A free run of pending rows. */
typedef struct CheckRun
{
	uint32 first;
	uint32 nrows;
} CheckRun;

typedef struct Check
{
	Relation index;
	Relation heap;
	Snapshot
		 snapshot; /* registered before anything was read; NULL where the table is not compared */
	bool rescore;
	Findings *findings;

	/* snapshot.c: copies of one moment. */
	IndexView   *view;
	DocEntry    *docs;
	uint32       ndocs;
	VersionPage *versions;
	uint32       nversion_pages;
	NullPage    *nulls;
	uint32       nnull_pages;
	uint32      *queue;
	uint32       nqueue;
	CheckRun    *runs;
	uint32       nruns;
	uint32       runs_room;
	BlockNumber  nblocks;

	/* Parts that others rely on. */
	bool extents_agree; /* items can be found */
	bool copied;        /* the copies above stand */
	bool pages_walked;  /* segments are counted */

	uint8 *used;     /* a bit a block: something that is in use stands on it (directory.c) */
	uint8 *queued;   /* a bit a document: it is in the queue (queue.c) */
	uint64 segments; /* on posting pages (pages.c) */
} Check;

static inline void
bit_set(uint8 *bits, uint64 i)
{
	bits[i >> 3] |= 1 << (i & 7);
}

static inline bool
bit_test(const uint8 *bits, uint64 i)
{
	return (bits[i >> 3] >> (i & 7) & 1) != 0;
}

/*
 * Run a step of a check. An error of damage becomes a finding about an item,
 * and false is returned; any other error goes on. No page may be locked.
 */
typedef void (*CheckStep)(Check *check, void *arg);
extern bool check_try(Check *check, CheckStep step, void *arg, int64 item);

/* Zeroed bits for so many. */
extern uint8 *check_bits(uint64 n);

/* Items from first on, n of them, lie within an array. */
static inline bool
check_in_array(const Check *check, ArrayKind kind, uint32 first, uint64 n)
{
	return (uint64) first + n <= parray_nitems(check->view->index, kind);
}

/* Take note that items of an array (which has them) are in use. */
extern void check_use(Check *check, ArrayKind kind, uint32 first, uint32 n);

/* The parts, in the order in which they run. */
extern void check_snapshot(Check *check);
extern void check_extents(Check *check);
extern void check_directory(Check *check);
extern void check_versions(Check *check);
extern void check_hashes(Check *check);
extern void check_queue(Check *check);
extern void check_free(Check *check);
extern void check_nulls(Check *check);
extern void check_pages(Check *check);
extern void check_postings(Check *check);
extern void check_heap(Check *check);

/* encoding.c: compare a document (a datum of the table) with what the index holds of it. */
typedef struct EncodingCheck EncodingCheck;
extern EncodingCheck        *encoding_check_begin(Check *check);
extern void                  encoding_check_document(EncodingCheck *state, uint32 doc, Datum value);

#endif /* COLBERT_CHECK_H */
