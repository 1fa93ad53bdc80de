/*-------------------------------------------------------------------------
 *
 * sample.c
 *	  Gather a sample of tokens.
 *
 * A chunk consists of 2^chunk_shift binary16 rows followed by their hashes. A
 * participant takes the number of a new chunk from the shared counter and
 * writes only to its own chunks. The others read them after all participants
 * have met at the barrier.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "base/splitmix.h"
#include "index/sample.h"
#include "kernels/kernels.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/memutils.h"

/* Tokens that a participant counts before it updates the shared counters. */
#define SETTLE_TOKENS 256

/*
 * Minimum rows per chunk, and the chunk size in bytes from which freed memory
 * returns to the operating system.
 */
#define MIN_CHUNK_SHIFT  5
#define GOOD_CHUNK_BYTES (256 * 1024)

/* Minimum chunks of a full sample, so that the unfilled parts of chunks are small. */
#define MIN_CHUNKS 16

/* Approximate tokens per bucket, which is a work item of sorting. */
#define BUCKET_TOKENS 1024

/* ---- memory ---- */

/* A row, its hash, its number in rows, and two numbers that k-means keeps per point. */
Size
sample_token_size(uint32 dim)
{
	return dim * sizeof(uint16) + sizeof(uint64) + 3 * sizeof(uint32);
}

static Size
chunk_size(const SampleShared *shared)
{
	return mul_size(shared->dim * sizeof(uint16) + sizeof(uint64), (Size) 1 << shared->chunk_shift);
}

static uint16 *
chunk_rows(const TokenSample *sample, uint32 chunk)
{
	uint64 memory = sample->shared->chunks[chunk].memory;

	return sample->area != NULL ? dsa_get_address(sample->area, (dsa_pointer) memory)
								: (uint16 *) (uintptr_t) memory;
}

static uint64 *
chunk_hashes(const TokenSample *sample, uint32 chunk)
{
	return (uint64 *) (chunk_rows(sample, chunk) +
					   ((size_t) sample->dim << sample->shared->chunk_shift));
}

/* Add a chunk to this participant's. */
static void
add_chunk(TokenSample *sample)
{
	SampleShared *shared = sample->shared;
	uint32        chunk = sample->nfree > 0 ? sample->own[sample->nown]
											: pg_atomic_fetch_add_u32(&shared->nchunks, 1);

	if (chunk >= SAMPLE_CHUNKS)
		elog(ERROR, "too many chunks of a sample");
	if (sample->nfree > 0)
		sample->nfree--;
	if (sample->area != NULL)
		shared->chunks[chunk].memory =
			dsa_allocate_extended(sample->area, chunk_size(shared), DSA_ALLOC_HUGE);
	else
		shared->chunks[chunk].memory =
			(uintptr_t) MemoryContextAllocHuge(sample->context, chunk_size(shared));
	shared->chunks[chunk].count = 0;
	sample->own[sample->nown++] = chunk;
}

/*
 * Free the last of this participant's chunks. Its number is reused later: free
 * numbers follow those in use.
 */
static void
drop_chunk(TokenSample *sample)
{
	SampleChunk *chunk = &sample->shared->chunks[sample->own[sample->nown - 1]];

	if (sample->area != NULL)
		dsa_free(sample->area, (dsa_pointer) chunk->memory);
	else
		pfree((void *) (uintptr_t) chunk->memory);
	chunk->memory = 0;
	chunk->count = 0;
	sample->nown--;
	sample->nfree++;
}

void
sample_init(SampleShared *shared, uint32 dim, Size bytes, SampleSize enough)
{
	memset(shared, 0, sizeof(SampleShared));
	shared->dim = dim;
	shared->limit = Min(Max(bytes / sample_token_size(dim), 1), PG_INT32_MAX);
	shared->chunk_shift = MIN_CHUNK_SHIFT;
	while (shared->limit >> shared->chunk_shift > SAMPLE_CHUNKS / 4 ||
		   (shared->limit >> shared->chunk_shift > MIN_CHUNKS &&
			chunk_size(shared) < GOOD_CHUNK_BYTES))
		shared->chunk_shift++;
	shared->enough_level = pg_leftmost_one_pos32(Max(enough.share, 1)) * SAMPLE_STEPS;

	/* A step of the level keeps more than half of the tokens. */
	shared->enough = Min(enough.most * 2, shared->limit);
	pg_atomic_init_u32(&shared->level, 0);
	pg_atomic_init_u32(&shared->nchunks, 0);
	for (int i = 0; i < SAMPLE_LEVELS; i++)
		pg_atomic_init_u64(&shared->seen[i], 0);
}

TokenSample *
sample_open(SampleShared *shared, dsa_area *area, Team *team)
{
	TokenSample *sample = palloc0(sizeof(TokenSample));

	sample->shared = shared;
	sample->area = area;
	sample->team = team;
	sample->context = CurrentMemoryContext;
	sample->dim = shared->dim;
	sample->chunk_shift = shared->chunk_shift;
	sample->own = palloc(SAMPLE_CHUNKS * sizeof(uint32));
	return sample;
}

void
sample_free(TokenSample *sample)
{
	if (sample->team != NULL)
		sample->team->free_shared(sample->team->arg, sample->rows);
	else if (sample->rows != NULL)
		pfree(sample->rows);
	if (sample->chunks != NULL)
		pfree(sample->chunks);
	while (sample->nown > 0)
		drop_chunk(sample);
	pfree(sample->own);
	pfree(sample);
}

/* ---- filling ---- */

uint64
sample_hash(BlockNumber block, OffsetNumber offset, uint32 token)
{
	uint64 state = (uint64) block << 16 | offset;

	state = splitmix_next(&state) + token;
	return splitmix_next(&state);
}

/*
 * Return the level of a hash: its leading zero bits, subdivided by the bits
 * after the first one bit.
 */
static inline uint32
level_of(uint64 hash)
{
	int zeros = 63 - pg_leftmost_one_pos64(hash | SAMPLE_STEPS);

	return zeros * SAMPLE_STEPS +
		   (SAMPLE_STEPS - 1 - (hash >> (63 - SAMPLE_STEP_BITS - zeros) & (SAMPLE_STEPS - 1)));
}

/* Drop this participant's tokens below a level. The others keep their order. */
static void
trim(TokenSample *sample, uint32 level)
{
	SampleChunk *chunks = sample->shared->chunks;
	uint32       nown = sample->nown;
	uint32       to = 0;     /* chunk that receives the kept tokens */
	uint32       filled = 0; /* its rows in use */

	sample->level = level;
	for (uint32 from = 0; from < nown; from++)
	{
		uint64 *hashes = chunk_hashes(sample, sample->own[from]);
		uint16 *rows = chunk_rows(sample, sample->own[from]);
		uint32  count = chunks[sample->own[from]].count;

		CHECK_FOR_INTERRUPTS();
		for (uint32 i = 0; i < count; i++)
		{
			if (level_of(hashes[i]) < level)
				continue;
			if (filled == (uint32) 1 << sample->chunk_shift)
			{
				chunks[sample->own[to++]].count = filled;
				filled = 0;
			}
			chunk_hashes(sample, sample->own[to])[filled] = hashes[i];
			memmove(chunk_rows(sample, sample->own[to]) + (size_t) filled * sample->dim,
					rows + (size_t) i * sample->dim, sample->dim * sizeof(uint16));
			filled++;
		}
	}
	if (nown > 0)
		chunks[sample->own[to]].count = filled;
	while (sample->nown > to + 1)
		drop_chunk(sample);
}

/*
 * Add this participant's counts to the shared ones, raise the shared level if
 * there are too many tokens, and adopt it.
 */
static void
settle(TokenSample *sample)
{
	SampleShared *shared = sample->shared;
	uint32        level;
	uint64        in = 0;
	uint32        wanted = SAMPLE_LEVELS - 1;

	for (int i = 0; i < SAMPLE_LEVELS; i++)
	{
		if (sample->seen[i] > 0)
			pg_atomic_fetch_add_u64(&shared->seen[i], sample->seen[i]);
		sample->seen[i] = 0;
	}
	sample->waiting = 0;

	/* Find the lowest level whose tokens do not exceed the limit. */
	for (int i = SAMPLE_LEVELS - 1; i >= 0; i--)
	{
		in += pg_atomic_read_u64(&shared->seen[i]);
		if (in > (i < (int) shared->enough_level ? shared->enough : shared->limit))
			break;
		wanted = i;
	}
	level = pg_atomic_read_u32(&shared->level);
	while (level < wanted && !pg_atomic_compare_exchange_u32(&shared->level, &level, wanted))
		;
	level = Max(level, wanted);
	if (level > sample->level)
		trim(sample, level);
}

void
sample_add(TokenSample *sample, uint64 hash, const float *token)
{
	SampleChunk *chunk;

	uint32 level = level_of(hash);

	sample->seen[level]++;
	if (++sample->waiting == SETTLE_TOKENS)
		settle(sample);
	if (level < sample->level)
		return;
	if (sample->nown == 0 || sample->shared->chunks[sample->own[sample->nown - 1]].count ==
								 (uint32) 1 << sample->chunk_shift)
		add_chunk(sample);
	chunk = &sample->shared->chunks[sample->own[sample->nown - 1]];
	chunk_hashes(sample, sample->own[sample->nown - 1])[chunk->count] = hash;
	kernels->float_to_half(token,
						   chunk_rows(sample, sample->own[sample->nown - 1]) +
							   (size_t) chunk->count * sample->dim,
						   sample->dim);
	chunk->count++;
}

/* ---- gathering ---- */

/* State of sorting the tokens by their hashes. */
typedef struct Ordering
{
	TokenSample *sample;
	uint32       nchunks;
	uint64     **hashes; /* of each chunk; NULL: the chunk was freed */
	uint32       bits;   /* bits of a hash that select its bucket */
	uint32      *start;  /* buckets + 1 positions in rows; shared */
} Ordering;

static inline uint64
hash_of(const Ordering *ordering, uint32 row)
{
	uint32 shift = ordering->sample->chunk_shift;

	return ordering->hashes[row >> shift][row & (((uint32) 1 << shift) - 1)];
}

static inline uint32
bucket_of(const Ordering *ordering, uint64 hash)
{
	/* The leading bits are zero in all hashes. */
	return ordering->bits == 0 ? 0
							   : (uint32) (hash << (ordering->sample->level / SAMPLE_STEPS) >>
										   (64 - ordering->bits));
}

/* Distribute the rows to buckets. The work item is the whole sample. */
static void
fill_buckets(void *arg, uint32 item)
{
	Ordering    *ordering = arg;
	TokenSample *sample = ordering->sample;
	uint32       nbuckets = (uint32) 1 << ordering->bits;
	uint32      *start = ordering->start;
	uint32       sum = 0;

	memset(start, 0, sizeof(uint32) * ((size_t) nbuckets + 1));
	for (int pass = 0; pass < 2; pass++)
	{
		for (uint32 c = 0; c < ordering->nchunks; c++)
		{
			CHECK_FOR_INTERRUPTS();
			for (uint32 i = 0; i < sample->shared->chunks[c].count; i++)
			{
				uint32 bucket = bucket_of(ordering, ordering->hashes[c][i]);

				if (pass == 0)
					start[bucket]++;
				else
					sample->rows[start[bucket]++] = c << sample->chunk_shift | i;
			}
		}
		for (uint32 b = 0; b < nbuckets && pass == 0; b++)
		{
			uint32 count = start[b];

			start[b] = sum;
			sum += count;
		}
	}

	/* The loop above advanced every start to the start of the next bucket. */
	memmove(start + 1, start, sizeof(uint32) * nbuckets);
	start[0] = 0;
}

typedef struct HashedRow
{
	uint64 hash;
	uint32 row;
} HashedRow;

static int
compare_hashes(const void *a, const void *b)
{
	uint64 x = ((const HashedRow *) a)->hash;
	uint64 y = ((const HashedRow *) b)->hash;

	return x < y ? -1 : x > y;
}

/* Sort the rows of a bucket, which is a work item. */
static void
sort_bucket(void *arg, uint32 bucket)
{
	Ordering  *ordering = arg;
	uint32    *rows = ordering->sample->rows + ordering->start[bucket];
	uint32     n = ordering->start[bucket + 1] - ordering->start[bucket];
	HashedRow *hashed = palloc_extended(mul_size(Max(n, 1), sizeof(HashedRow)), MCXT_ALLOC_HUGE);

	CHECK_FOR_INTERRUPTS();
	for (uint32 i = 0; i < n; i++)
		hashed[i] = (HashedRow) {hash_of(ordering, rows[i]), rows[i]};
	qsort(hashed, n, sizeof(HashedRow), compare_hashes);
	for (uint32 i = 0; i < n; i++)
		rows[i] = hashed[i].row;
	pfree(hashed);
}

static void *
share(TokenSample *sample, Size bytes)
{
	return sample->team != NULL ? sample->team->alloc_shared(sample->team->arg, bytes)
								: MemoryContextAllocHuge(sample->context, bytes);
}

static void
meet(TokenSample *sample)
{
	if (sample->team != NULL)
		sample->team->barrier(sample->team->arg);
}

void
sample_gather(TokenSample *sample)
{
	SampleShared *shared = sample->shared;
	Ordering      ordering = {.sample = sample};

	settle(sample);
	meet(sample);
	if (pg_atomic_read_u32(&shared->level) > sample->level)
		trim(sample, pg_atomic_read_u32(&shared->level));
	meet(sample);

	ordering.nchunks = pg_atomic_read_u32(&shared->nchunks);
	ordering.hashes = palloc0(Max(ordering.nchunks, 1) * sizeof(uint64 *));
	sample->chunks = palloc0(Max(ordering.nchunks, 1) * sizeof(uint16 *));
	for (uint32 c = 0; c < ordering.nchunks; c++)
	{
		if (shared->chunks[c].memory == 0)
			continue;
		sample->chunks[c] = chunk_rows(sample, c);
		ordering.hashes[c] = chunk_hashes(sample, c);
		sample->count += shared->chunks[c].count;
	}
	while (sample->count >> ordering.bits > BUCKET_TOKENS)
		ordering.bits++;
	sample->rows = share(sample, mul_size(Max(sample->count, 1), sizeof(uint32)));
	ordering.start = share(sample, mul_size(((Size) 1 << ordering.bits) + 1, sizeof(uint32)));
	team_run(sample->team, 1, fill_buckets, &ordering);
	team_run(sample->team, (uint32) 1 << ordering.bits, sort_bucket, &ordering);
	if (sample->team != NULL)
		sample->team->free_shared(sample->team->arg, ordering.start);
	else
		pfree(ordering.start);
	pfree(ordering.hashes);
}
