/*-------------------------------------------------------------------------
 *
 * check.h
 *	  Parts of colbert_index_check, one file per part of the index.
 *
 *	check.c			the SQL function, and the order of the parts
 *	snapshot.c		consistent copies of the meta data and the directory
 *	extents.c		extent maps and item sizes
 *	pages.c			every block of the file
 *	directory.c		documents: entries, places, counters
 *	versions.c		row versions that share a document
 *	hashes.c		documents by the hash of the stored value
 *	queue.c			the queue of pending documents
 *	free.c			free slots
 *	nulls.c			rows whose document is NULL
 *	postings.c		posting lists
 *	heap.c			the table compared with the index
 *	encoding.c		sketches and code rows compared with the stored documents
 *
 * Each finder checks its own nodes, in its check callback.
 *
 * A check runs beside writers and must raise no false alarms. It holds the
 * merge lock shared, which keeps posting lists, nodes and the head of the queue
 * unchanged. Inserts and deletes change the directory, the versions, the queue,
 * the counters and the list of null pages with room only while they hold the
 * meta page. The check copies all of these in one go, under a shared lock of
 * the meta page, and then examines the copies in memory. It reads the pages
 * twice: first without the lock, so that the second read finds them in shared
 * buffers.
 *
 * Nothing read from a page is trusted: every ordinal, block number and count is
 * checked before it is used. Each part runs in a subtransaction. If it fails
 * with an error that reports damage, the error becomes a finding.
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
	/* registered before anything was read; NULL if the table is not compared */
	Snapshot  snapshot;
	bool      rescore;
	Findings *findings;

	/* snapshot.c: copies as of one moment */
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

	/* Results that later parts depend on. */
	bool extents_agree; /* items can be located */
	bool copied;        /* the copies above are complete */
	bool pages_walked;  /* segments holds the final count */

	uint8 *used;     /* one bit per block: an item in use is on it (directory.c) */
	uint8 *queued;   /* one bit per document: it is in the queue (queue.c) */
	uint64 segments; /* number of segments on posting pages (pages.c) */
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
 * Run one step of a check in a subtransaction.
 *
 * Returns false if the step failed with an error that reports damage; that
 * error is added to the findings, for the given item. Any other error is
 * rethrown. The caller must not hold a page lock.
 */
typedef void (*CheckStep)(Check *check, void *arg);
extern bool check_try(Check *check, CheckStep step, void *arg, int64 item);

/* Allocate n zeroed bits. */
extern uint8 *check_bits(uint64 n);

/* Return true if the array has all n items from first on. */
static inline bool
check_in_array(const Check *check, ArrayKind kind, uint32 first, uint64 n)
{
	return (uint64) first + n <= parray_nitems(check->view->index, kind);
}

/* Mark the blocks of n items as used. The array must have these items. */
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

/* encoding.c: compare a stored document with its sketches and code rows in the index. */
typedef struct EncodingCheck EncodingCheck;
extern EncodingCheck        *encoding_check_begin(Check *check);
extern void                  encoding_check_document(EncodingCheck *state, uint32 doc, Datum value);

#endif /* COLBERT_CHECK_H */
