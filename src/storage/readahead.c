/*-------------------------------------------------------------------------
 *
 * readahead.c
 *	  Ask the operating system for pages before they are read.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "storage/bufmgr.h"
#include "storage/readahead.h"
#include "utils/rel.h"
#include "utils/spccache.h"

int64 readahead_requests = 0;

ReadAhead
readahead_of(Relation rel, bool large)
{
	int concurrency = get_tablespace_io_concurrency(rel->rd_rel->reltablespace);

	return (ReadAhead) {
		.distance = (uint32) Max(concurrency, 0),
		.credit = large ? READAHEAD_FIRST : 0,
		.reads = readahead_reads(),
	};
}

void
readahead_request(Relation rel, BlockNumber block)
{
	/* Only damage names a block that does not exist. Reading it raises the error. */
	if (block >= RelationGetNumberOfBlocks(rel))
		return;
	readahead_requests += PrefetchBuffer(rel, MAIN_FORKNUM, block).initiated_io;
}

void
readahead_request_next(PageSequence *pages, uint32 at, uint32 distance)
{
	uint32      end = pages->count - at > distance ? at + 1 + distance : pages->count;
	BlockNumber last = InvalidBlockNumber;

	for (uint32 i = Max(pages->requested, at + 1); i < end; i++)
	{
		BlockNumber block = pages->block(pages->arg, i);

		if (block != last)
			readahead_request(pages->rel, block);
		last = block;
	}
	pages->requested = Max(pages->requested, end);
}
