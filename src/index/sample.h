/*-------------------------------------------------------------------------
 *
 * sample.h
 *	  A sample of the tokens of a table or of the pending documents, gathered
 *	  by one process or by a team.
 *
 * Whether a token is in is decided by a hash of its place: the sample does
 * not depend on the order in which tokens come, nor on who brings them. Small
 * hashes are of high levels, 16 to each halving; a token is in if its level
 * is no lower than the sample's, which rises as more tokens are seen than
 * there is room for. How many have been seen of each level is shared, so that
 * the last level is the same for any number of participants.
 *
 * Tokens stand as binary16 in chunks of memory, each filled by one
 * participant; at the end they are numbered in the order of their hashes.
 * The rows of a sample that is cut off are therefore a sample, too.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SAMPLE_H
#define COLBERT_SAMPLE_H

#include "kmeans/team.h"
#include "port/atomics.h"
#include "storage/block.h"
#include "storage/off.h"
#include "utils/dsa.h"

#define SAMPLE_STEP_BITS 4
#define SAMPLE_STEPS     (1 << SAMPLE_STEP_BITS) /* of a halving */
#define SAMPLE_LEVELS    (64 * SAMPLE_STEPS)

/* Chunks at the most: a full sample has half of them, each participant a few more that are not full. */
#define SAMPLE_CHUNKS 1024

/* So many participants may fill one. */
#define SAMPLE_PARTICIPANTS 128

typedef struct SampleChunk
{
	uint64 memory; /* a dsa_pointer, or of private memory the address; 0: none */
	uint32 count;  /* rows */
} SampleChunk;

/* What the participants of a sample share. */
typedef struct SampleShared
{
	uint32           dim;
	uint32           chunk_shift;  /* rows of a chunk */
	uint64           limit;        /* tokens at the most */
	uint32           enough_level; /* the sample rises to this level as soon as it has more than */
	uint64           enough;       /* this many tokens */
	pg_atomic_uint32 level;
	pg_atomic_uint64 seen[SAMPLE_LEVELS]; /* tokens of each level */
	pg_atomic_uint32 nchunks;
	SampleChunk      chunks[SAMPLE_CHUNKS];
} SampleShared;

/* One participant's part, and in the end the whole. */
typedef struct TokenSample
{
	SampleShared *shared;
	dsa_area     *area; /* of the chunks; NULL: alone, in private memory */
	Team         *team; /* NULL: alone */
	MemoryContext context;
	uint32        dim;
	uint32        level;               /* what this participant's chunks hold */
	uint64        seen[SAMPLE_LEVELS]; /* not yet in shared->seen, */
	uint32        waiting;             /* which are so many */
	uint32       *own; /* numbers of this participant's chunks; the last one is being filled */
	uint32        nown;
	uint32        nfree; /* numbers of chunks given back follow the nown */

	/* After sample_gather. */
	uint64         count;
	const uint16 **chunks;
	uint32         chunk_shift;
	uint32        *rows; /* count: the row of each token, in the order of the hashes */
} TokenSample;

/* Bytes of memory that count tokens take at most while they are gathered and trained on. */
extern Size sample_token_size(uint32 dim);

/* How many tokens of an index do: one in 'share', or 'most', whichever is more. */
typedef struct SampleSize
{
	uint32 share;
	uint64 most;
} SampleSize;

/* Room for as many tokens as bytes allow, at least one; about as many will be kept as do, at least. */
extern void sample_init(SampleShared *shared, uint32 dim, Size bytes, SampleSize enough);

/* A participant's part, in the current memory context. area and team are NULL where it is alone. */
extern TokenSample *sample_open(SampleShared *shared, dsa_area *area, Team *team);

/* All participants. */
extern void sample_free(TokenSample *sample);

/* Offer a token; hash is of its place. */
extern void   sample_add(TokenSample *sample, uint64 hash, const float *token);
extern uint64 sample_hash(BlockNumber block, OffsetNumber offset, uint32 token);

/* All participants, when each has offered its last token. */
extern void sample_gather(TokenSample *sample);

/* A token of the gathered sample, binary16. */
static inline const uint16 *
sample_token(const TokenSample *sample, uint64 i)
{
	uint32 row = sample->rows[i];

	return sample->chunks[row >> sample->chunk_shift] +
		   (size_t) (row & (((uint32) 1 << sample->chunk_shift) - 1)) * sample->dim;
}

#endif /* COLBERT_SAMPLE_H */
