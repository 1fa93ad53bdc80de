/*-------------------------------------------------------------------------
 *
 * readahead.h
 *	  Ask the operating system for pages before they are read.
 *
 * A search knows most pages before it reads them: it looks up many documents
 * and then reads the pages of all. If the index is larger than memory, reading
 * one after the other takes a disk's latency per page. A scan therefore
 * requests effective_io_concurrency pages ahead (0: none), which the
 * tablespace may set.
 *
 * A request looks up the page in shared buffers. A stage of a search therefore
 * makes none while it finds every page there: it starts with the first page that
 * it reads, and stops after READAHEAD_CREDIT steps without a read. If the index
 * is larger than shared buffers, the first steps of each stage make requests.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_READAHEAD_H
#define COLBERT_READAHEAD_H

#include "compat/pg_compat.h"

#include "executor/instrument.h"
#include "storage/block.h"
#include "utils/relcache.h"

/* Number of steps that make requests after the last page that was read. */
#define READAHEAD_CREDIT 256

/* Number of first steps that make requests if pages are probably not in shared buffers. */
#define READAHEAD_FIRST 16

/* State of one stage of a search. */
typedef struct ReadAhead
{
	uint32 distance; /* pages; 0: no requests */
	uint32 credit;   /* further steps that make requests */
	int64  reads;    /* pages that the backend had read at the last step */
} ReadAhead;

/*
 * Return the state of a stage that has not begun, with the distance of a
 * relation's tablespace. large: the first steps make requests.
 */
extern ReadAhead readahead_of(Relation rel, bool large);

static inline int64
readahead_reads(void)
{
	return pgBufferUsage.shared_blks_read + pgBufferUsage.local_blks_read;
}

/* Begin or resume a stage: the pages that other stages have read do not count. */
static inline void
readahead_resume(ReadAhead *ahead)
{
	ahead->reads = readahead_reads();
}

/* Take a step: return the number of pages to request ahead. Mostly 0. */
static inline uint32
readahead_distance(ReadAhead *ahead)
{
	int64 reads = readahead_reads();

	if (reads != ahead->reads)
	{
		ahead->reads = reads;
		ahead->credit = READAHEAD_CREDIT;
	}
	if (ahead->credit == 0)
		return 0;
	ahead->credit--;
	return ahead->distance;
}

/* Number of pages that this backend requested and that were not in shared buffers. */
extern int64 readahead_requests;

/* Request a page. A block beyond the end of the file, or InvalidBlockNumber, is ignored. */
extern void readahead_request(Relation rel, BlockNumber block);

/*
 * Return the block of page i of a sequence, or InvalidBlockNumber. It may raise
 * the error that reading the page would raise.
 */
typedef BlockNumber (*ReadAheadBlock)(const void *sequence, uint32 i);

/* The pages that a loop reads, in its order. */
typedef struct PageSequence
{
	ReadAhead     *ahead;
	Relation       rel;
	ReadAheadBlock block;
	const void    *arg;
	uint32         count;
	uint32         requested; /* pages before this one were requested or read */
} PageSequence;

extern void readahead_request_next(PageSequence *pages, uint32 at, uint32 distance);

/* Request the next pages of a sequence. Call it before page `at` is read. */
static inline void
readahead_step(PageSequence *pages, uint32 at)
{
	uint32 distance = readahead_distance(pages->ahead);

	if (distance > 0)
		readahead_request_next(pages, at, distance);
}

#endif /* COLBERT_READAHEAD_H */
