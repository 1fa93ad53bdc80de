/*-------------------------------------------------------------------------
 *
 * page_server.c
 *	  A minimal server for reading an index.
 *
 * It implements the PostgreSQL functions that readers of an index call, in a
 * few lines each. Functions that no reader should reach are missing: the
 * linker ignores them, and calling one jumps to address 0. If that happens,
 * the function belongs in this file.
 *
 *-------------------------------------------------------------------------
 */
#include "page_server.h"

#include <stdlib.h>

#include "check/check.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "storage/buf_internals.h"
#include "utils/memutils.h"
#include "utils/spccache.h"

/* Maximum page reads of a run. More indicate an endless loop. */
#define MAX_READS 3000000

/* Maximum total memory, which a damaged counter may make a reader request. */
#define MAX_MEMORY ((Size) 1 << 30)

/* ---- pages ---- */

static FormData_pg_class page_class = {.relname = {"fuzzed"},
									   .relpersistence = RELPERSISTENCE_TEMP};
RelationData             page_relation = {.rd_rel = &page_class, .rd_id = 1};

static BlockNumber page_count;
static BlockNumber page_room;
static uint64      page_reads;
Block             *LocalBufferBlockPointers;
char              *BufferBlocks;
BufferDescPadded  *BufferDescriptors;

void
pages_load(const char *image, BlockNumber nblocks)
{
	if (nblocks > page_room)
	{
		LocalBufferBlockPointers = realloc(LocalBufferBlockPointers, nblocks * sizeof(Block));
		for (; page_room < nblocks; page_room++)
			LocalBufferBlockPointers[page_room] = calloc(1, BLCKSZ);
	}
	for (BlockNumber block = 0; block < nblocks; block++)
		memcpy(LocalBufferBlockPointers[block], image + (size_t) block * BLCKSZ, BLCKSZ);
	page_count = nblocks;
}

char *
pages_page(BlockNumber block)
{
	return LocalBufferBlockPointers[block];
}

Buffer
ReadBuffer(Relation rel, BlockNumber block)
{
	pgBufferUsage.shared_blks_read++;
	if (++page_reads > MAX_READS)
	{
		fprintf(stderr, "a reader goes in circles\n");
		abort();
	}
	if (block >= page_count)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("could not read block %u", block)));
	/* Each page counts as read from disk, so that readers request pages ahead. */
	pgBufferUsage.local_blks_read++;
	return -(Buffer) block - 1;
}

int
get_tablespace_io_concurrency(Oid tablespace)
{
	return 16;
}

PrefetchBufferResult
PrefetchBuffer(Relation rel, ForkNumber fork, BlockNumber block)
{
	if (block >= page_count)
	{
		fprintf(stderr, "block %u of %u is requested\n", block, page_count);
		abort();
	}
	return (PrefetchBufferResult) {.initiated_io = true};
}

void
LockBuffer(Buffer buffer, int mode)
{
}

void
UnlockReleaseBuffer(Buffer buffer)
{
}

/* Pretend to be a standby, so that readers wait for no locks. */
bool
RecoveryInProgress(void)
{
	return true;
}

BufferAccessStrategy
GetAccessStrategy(BufferAccessStrategyType type)
{
	static char ring;

	return (BufferAccessStrategy) &ring;
}

Buffer
ReadBufferExtended(Relation rel, ForkNumber fork, BlockNumber block, ReadBufferMode mode,
				   BufferAccessStrategy strategy)
{
	return ReadBuffer(rel, block);
}

BlockNumber
RelationGetNumberOfBlocksInFork(Relation rel, ForkNumber fork)
{
	return page_count;
}

/* ---- memory ---- */

typedef struct Chunk
{
	struct Chunk       *next;
	struct Chunk       *before;
	struct FuzzContext *context;
	Size                size;
} Chunk;

typedef struct FuzzContext
{
	Chunk chunks; /* head of a ring */
} FuzzContext;

static FuzzContext everything;
static Size        allocated;
MemoryContext      CurrentMemoryContext = (MemoryContext) &everything;

/*
 * Free a chunk. All chunks are in one ring, which is freed at the end of a
 * run. Deleting a context frees only its own chunks.
 */
static void
unlink_chunk(Chunk *chunk)
{
	chunk->next->before = chunk->before;
	chunk->before->next = chunk->next;
	allocated -= chunk->size;
	free(chunk);
}

static void *
allocate(MemoryContext context, Size size, int flags)
{
	Chunk *ring = &everything.chunks;
	Chunk *chunk;

	if (size > MAX_MEMORY - allocated || (size > MaxAllocSize && !(flags & MCXT_ALLOC_HUGE)))
	{
		if (flags & MCXT_ALLOC_NO_OOM)
			return NULL;
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory: %zu bytes", size)));
	}
	chunk = malloc(sizeof(Chunk) + size);
	chunk->context = (FuzzContext *) context;
	chunk->size = size;
	allocated += size;
	chunk->next = ring->next;
	chunk->before = ring;
	ring->next->before = chunk;
	ring->next = chunk;
	memset(chunk + 1, flags & MCXT_ALLOC_ZERO ? 0 : 0x7F, size);
	return chunk + 1;
}

static void
free_chunks(const FuzzContext *context)
{
	for (Chunk *chunk = everything.chunks.next, *next; chunk != &everything.chunks; chunk = next)
	{
		next = chunk->next;
		if (context == NULL || chunk->context == context)
			unlink_chunk(chunk);
	}
}

void *
MemoryContextAllocExtended(MemoryContext context, Size size, int flags)
{
	return allocate(context, size, flags);
}

void *
MemoryContextAlloc(MemoryContext context, Size size)
{
	return allocate(context, size, 0);
}

void *
MemoryContextAllocZero(MemoryContext context, Size size)
{
	return allocate(context, size, MCXT_ALLOC_ZERO);
}

void *
MemoryContextAllocHuge(MemoryContext context, Size size)
{
	return allocate(context, size, MCXT_ALLOC_HUGE);
}

void *
palloc(Size size)
{
	return allocate(CurrentMemoryContext, size, 0);
}

void *
palloc0(Size size)
{
	return allocate(CurrentMemoryContext, size, MCXT_ALLOC_ZERO);
}

void *
palloc_extended(Size size, int flags)
{
	return allocate(CurrentMemoryContext, size, flags);
}

void
pfree(void *pointer)
{
	unlink_chunk((Chunk *) pointer - 1);
}

void *
repalloc_huge(void *pointer, Size size)
{
	Chunk *old = (Chunk *) pointer - 1;
	void *new = allocate((MemoryContext) old->context, size, MCXT_ALLOC_HUGE);

	memcpy(new, pointer, Min(size, old->size));
	pfree(pointer);
	return new;
}

MemoryContext
AllocSetContextCreateInternal(MemoryContext parent, const char *name, Size min, Size initial,
							  Size max)
{
	return allocate(parent, sizeof(FuzzContext), 0);
}

void
MemoryContextDelete(MemoryContext context)
{
	free_chunks((FuzzContext *) context);
}

Size
MemoryContextMemAllocated(MemoryContext context, bool recurse)
{
	return allocated;
}

Size
add_size(Size a, Size b)
{
	if (a + b < a)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("too much")));
	return a + b;
}

Size
mul_size(Size a, Size b)
{
	if (a != 0 && b > SIZE_MAX / a)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("too much")));
	return a * b;
}

/* ---- errors ---- */

static jmp_buf *handler;
static int      error_level;
static int      error_code;
static char     error_message[200];

bool
errstart(int level, const char *domain)
{
	error_level = level;
	error_code = level >= ERROR ? ERRCODE_INTERNAL_ERROR : 0;
	return level >= ERROR;
}

bool
errstart_cold(int level, const char *domain)
{
	return errstart(level, domain);
}

void
errfinish(const char *file, int line, const char *function)
{
	if (error_level >= ERROR)
		longjmp(*handler, 1);
}

int
errcode(int code)
{
	error_code = code;
	return 0;
}

static void
keep_message(const char *format, va_list args)
{
	vsnprintf(error_message, sizeof(error_message), format, args);
}

#define DEFINE_ERRMSG(name)           \
	int name(const char *format, ...) \
	{                                 \
		va_list args;                 \
                                      \
		va_start(args, format);       \
		keep_message(format, args);   \
		va_end(args);                 \
		return 0;                     \
	}

#undef errmsg
DEFINE_ERRMSG(errmsg)
DEFINE_ERRMSG(errmsg_internal)

int
errdetail(const char *format, ...)
{
	return 0;
}

int
errhint(const char *format, ...)
{
	return 0;
}

const char *
pages_error(void)
{
	return error_message;
}

/* Run one step and classify its error. */
static Ending
step(void (*run)(void *arg), void *arg)
{
	jmp_buf *outer = handler;
	jmp_buf  here;
	Ending   ending = ENDING_FINE;

	handler = &here;
	if (setjmp(here) == 0)
		run(arg);
	else if (error_code == ERRCODE_INDEX_CORRUPTED || error_code == ERRCODE_DATA_CORRUPTED)
		ending = ENDING_CORRUPTED;
	else if (error_code == ERRCODE_OUT_OF_MEMORY || error_code == ERRCODE_PROGRAM_LIMIT_EXCEEDED)
		ending = ENDING_MEMORY;
	else
		ending = ENDING_OTHER;
	handler = outer;
	return ending;
}

Ending
pages_run(void (*run)(void *arg), void *arg)
{
	Ending ending;

	everything.chunks.next = everything.chunks.before = &everything.chunks;
	CurrentMemoryContext = (MemoryContext) &everything;
	page_reads = 0;
	ending = step(run, arg);
	free_chunks(NULL);
	return ending;
}

/* ---- functions for the checker ---- */

typedef struct TriedStep
{
	Check    *check;
	CheckStep step;
	void     *arg;
} TriedStep;

static void
run_tried(void *arg)
{
	TriedStep *tried = arg;

	tried->step(tried->check, tried->arg);
}

bool
check_try(Check *check, CheckStep run, void *arg, int64 item)
{
	TriedStep     tried = {check, run, arg};
	MemoryContext context = CurrentMemoryContext;
	Ending        ending = step(run_tried, &tried);

	CurrentMemoryContext = context;
	if (ending == ENDING_FINE)
		return true;
	if (ending != ENDING_CORRUPTED)
		longjmp(*handler, 1);
	findings_add(check->findings, FINDING_ERROR, item, "%s", error_message);
	return false;
}

void
findings_add(Findings *findings, FindingSeverity severity, int64 item, const char *format, ...)
{
	findings->in_part++;
}

/* ---- the rest ---- */

volatile sig_atomic_t InterruptPending;
BufferUsage           pgBufferUsage;
int                   NBuffers = 0; /* code rows are read by a ring */
int                   work_mem = 4096;
int                   maintenance_work_mem = 65536;

void
ProcessInterrupts(void)
{
}

Oid
GetUserId(void)
{
	return InvalidOid;
}

void
pg_qsort(void *items, size_t n, size_t size, int (*compare)(const void *, const void *))
{
#undef qsort
	if (n > 0)
		qsort(items, n, size, compare);
}
