/*-------------------------------------------------------------------------
 *
 * sample.h
 *	  Gather a sample of the tokens of a table or of the pending documents, by
 *	  one process or a team.
 *
 * A hash of a token's location decides whether it is in the sample, so the
 * sample does not depend on the order of tokens or on which participant
 * processes them. Small hashes have high levels, with 16 levels per halving. A
 * token is in the sample if its level is at least that of the sample, which
 * rises when more tokens have been seen than there is room for. The number of
 * tokens seen per level is shared, so that the final level is the same for any
 * number of participants.
 *
 * Tokens are stored as binary16 in chunks of memory, each filled by one
 * participant. At the end they are numbered in the order of their hashes, so
 * that any prefix of the sample is a sample, too.
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
#define SAMPLE_STEPS     (1 << SAMPLE_STEP_BITS) /* levels per halving */
#define SAMPLE_LEVELS    (64 * SAMPLE_STEPS)

/*
 * Maximum chunks. A full sample fills at most a quarter of them; each
 * participant has further ones that are partly filled.
 */
#define SAMPLE_CHUNKS 1024

/* Maximum participants of a sample. */
#define SAMPLE_PARTICIPANTS 128

typedef struct SampleChunk
{
	uint64 memory; /* dsa_pointer, or address of private memory; 0: none */
	uint32 count;  /* rows */
} SampleChunk;

/* State shared by the participants of a sample. */
typedef struct SampleShared
{
	uint32           dim;
	uint32           chunk_shift;  /* log2 of rows per chunk */
	uint64           limit;        /* maximum tokens */
	uint32           enough_level; /* below this level the sample keeps at most */
	uint64           enough;       /* this many tokens */
	pg_atomic_uint32 level;
	pg_atomic_uint64 seen[SAMPLE_LEVELS]; /* tokens seen per level */
	pg_atomic_uint32 nchunks;
	SampleChunk      chunks[SAMPLE_CHUNKS];
} SampleShared;

/* One participant's part of a sample; after sample_gather, the whole sample. */
typedef struct TokenSample
{
	SampleShared *shared;
	dsa_area     *area; /* of the chunks; NULL: one process, in private memory */
	Team         *team; /* NULL: one process */
	MemoryContext context;
	uint32        dim;
	uint32        level;               /* level of the tokens in this participant's chunks */
	uint64        seen[SAMPLE_LEVELS]; /* tokens not yet counted in shared->seen */
	uint32        waiting;             /* number of these tokens */
	uint32       *own; /* numbers of this participant's chunks; the last one is being filled */
	uint32        nown;
	uint32        nfree; /* freed chunks, whose numbers follow the nown in use */

	/* Set by sample_gather. */
	uint64         count;
	const uint16 **chunks;
	uint32         chunk_shift;
	uint32        *rows; /* count: row of each token, in the order of hashes */
} TokenSample;

/* Return the maximum memory per token, in bytes, while tokens are gathered and trained on. */
extern Size sample_token_size(uint32 dim);

/* Number of tokens that suffice: 1 / share of them, or most, whichever is more. */
typedef struct SampleSize
{
	uint32 share;
	uint64 most;
} SampleSize;

/*
 * Initialise a sample with room for the tokens that fit into bytes, at least
 * one. If it has more tokens than suffice, it is reduced, but not below the
 * sufficient number.
 */
extern void sample_init(SampleShared *shared, uint32 dim, Size bytes, SampleSize enough);

/*
 * Open a participant's part in the current memory context. area and team are
 * NULL if there is one process.
 */
extern TokenSample *sample_open(SampleShared *shared, dsa_area *area, Team *team);

/* Free the sample. Called by all participants. */
extern void sample_free(TokenSample *sample);

/* Offer a token to the sample. hash: sample_hash of its location. */
extern void   sample_add(TokenSample *sample, uint64 hash, const float *token);
extern uint64 sample_hash(BlockNumber block, OffsetNumber offset, uint32 token);

/* Complete the sample. Called by all participants when each has offered its last token. */
extern void sample_gather(TokenSample *sample);

/* Return token i of the gathered sample, as binary16. */
static inline const uint16 *
sample_token(const TokenSample *sample, uint64 i)
{
	uint32 row = sample->rows[i];

	return sample->chunks[row >> sample->chunk_shift] +
		   (size_t) (row & (((uint32) 1 << sample->chunk_shift) - 1)) * sample->dim;
}

#endif /* COLBERT_SAMPLE_H */
