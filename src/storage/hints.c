/*-------------------------------------------------------------------------
 *
 * hints.c
 *	  Read pages using hints of their last buffers.
 *
 * A search reads thousands of pages that stay in shared buffers. Looking each
 * one up in the buffer mapping table costs more than scoring its contents. A
 * backend therefore remembers the buffer of each block: four bytes per page,
 * in the relation's cache entry, which PostgreSQL frees when the relation
 * changes. A hint may be wrong at any time; ReadRecentBuffer verifies it under
 * the buffer's header lock.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "miscadmin.h"
#include "storage/buf_internals.h"
#include "storage/storage.h"
#include "utils/memutils.h"

/* Last known buffer of each block, in rd_amcache. */
typedef struct BufferHints
{
	uint32      nblocks;
	BlockNumber known; /* blocks of the file at the last look, at most nblocks */
	Buffer      buffers[FLEXIBLE_ARRAY_MEMBER];
} BufferHints;

/*
 * Raise an error if a block is beyond the end of the file, which means that
 * the reference to it is damaged. Returns the number of blocks.
 */
static BlockNumber
check_block(Relation rel, BlockNumber block)
{
	BlockNumber nblocks = RelationGetNumberOfBlocks(rel);

	if (block >= nblocks)
		ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
						errmsg("index \"%s\" refers to block %u, but has %u blocks",
							   RelationGetRelationName(rel), block, nblocks),
						errhint("REINDEX it.")));
	return nblocks;
}

/* Return the hint of a block, growing the table if necessary; NULL if there is no memory. */
static Buffer *
hint_of(Relation rel, BlockNumber block)
{
	BufferHints *hints = rel->rd_amcache;
	BlockNumber  known;
	uint32       nblocks;
	Size         size;

	if (hints != NULL && block < hints->known)
		return &hints->buffers[block];
	known = check_block(rel, block);
	if (hints != NULL && block < hints->nblocks)
	{
		hints->known = Min(known, hints->nblocks);
		return &hints->buffers[block];
	}

	/*
	 * Grow by an eighth at least: an index that grows page by page must not
	 * copy the table for each page.
	 */
	nblocks = known;
	if (hints != NULL)
		nblocks = Max(nblocks, hints->nblocks + hints->nblocks / 8);
	size = offsetof(BufferHints, buffers) + (Size) nblocks * sizeof(Buffer);
	hints = MemoryContextAllocExtended(rel->rd_indexcxt, size,
									   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO | MCXT_ALLOC_NO_OOM);
	if (hints == NULL)
		return NULL;
	hints->nblocks = nblocks;
	hints->known = known;
	if (rel->rd_amcache != NULL)
	{
		BufferHints *old = rel->rd_amcache;

		memcpy(hints->buffers, old->buffers, (Size) old->nblocks * sizeof(Buffer));
		pfree(old);
	}
	rel->rd_amcache = hints;
	return &hints->buffers[block];
}

/*
 * Count a use of a pinned buffer, as ReadBuffer does and ReadRecentBuffer does
 * not: pages that every search reads must outlive those that one search reads.
 */
static void
count_use(Buffer buffer)
{
	BufferDesc       *desc = GetBufferDescriptor(buffer - 1);
	CompatBufferState state = compat_buffer_state_read(desc);

	/* While the header is locked, only the holder of the lock may change the state. */
	while ((state & BM_LOCKED) == 0 && BUF_STATE_GET_USAGECOUNT(state) < BM_MAX_USAGE_COUNT &&
		   !compat_buffer_state_exchange(desc, &state, state + BUF_USAGECOUNT_ONE))
		;
}

Buffer
storage_read_by_ring(Relation rel, BlockNumber block, BufferAccessStrategy ring)
{
	Buffer *hint;

	if (RelationUsesLocalBuffers(rel))
	{
		check_block(rel, block);
		return ReadBuffer(rel, block);
	}
	hint = hint_of(rel, block);
	if (hint != NULL && BufferIsValid(*hint) && compat_read_recent_buffer(rel, block, *hint))
	{
		/* A ring would lose a buffer that is used more than once. */
		if (ring == NULL)
			count_use(*hint);
		return *hint;
	}
	if (hint == NULL)
		return ReadBufferExtended(rel, MAIN_FORKNUM, block, RBM_NORMAL, ring);
	*hint = ReadBufferExtended(rel, MAIN_FORKNUM, block, RBM_NORMAL, ring);
	return *hint;
}

Buffer
storage_read_buffer(Relation rel, BlockNumber block)
{
	return storage_read_by_ring(rel, block, NULL);
}

BufferAccessStrategy
storage_ring(Relation rel)
{
	if (RelationUsesLocalBuffers(rel) || RelationGetNumberOfBlocks(rel) <= (BlockNumber) NBuffers)
		return NULL;
	return GetAccessStrategy(BAS_BULKREAD);
}

void
storage_prefetch_hint(Relation rel, BlockNumber block)
{
	BufferHints *hints = rel->rd_amcache;

	if (hints != NULL && block < hints->nblocks)
		__builtin_prefetch(&hints->buffers[block]);
}

const char *
storage_prefetch(Relation rel, BlockNumber block)
{
	BufferHints *hints = rel->rd_amcache;
	const char  *page;

	if (hints == NULL || block >= hints->nblocks || !BufferIsValid(hints->buffers[block]))
		return NULL;
	__builtin_prefetch(GetBufferDescriptor(hints->buffers[block] - 1));
	page = BufferGetBlock(hints->buffers[block]);
	__builtin_prefetch(page);
	return page;
}
