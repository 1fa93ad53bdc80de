/*-------------------------------------------------------------------------
 *
 * frozen.h
 *	  The type bm25_frozen: a document whose words are weighted already.
 *
 * bm25f_freeze computes what a score needs of each word, x / (k1 + x), and
 * keeps it in a byte. The sections, positions and lengths are gone, so a score
 * only looks up the words of the query. They are looked up by their hashes: a
 * word of the query that a document lacks is found by mistake once in 2^32 / n
 * documents of n words.
 *
 * The bytes after the varlena header, which are not aligned; numbers are
 * big-endian, so that the binary form is the same bytes:
 *
 *	OFFSET  SIZE  DESCRIPTION
 *	0       1     version, FROZEN_VERSION
 *	1       4     fingerprint of the weights, b and k1
 *	5       4     fingerprint of the mean lengths
 *	9       4 n   hashes of the words (CRC-32C), ascending, each once
 *	9 + 4n  n     weights of the words in 255ths, from 1
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_FROZEN_H
#define COLBERT_FROZEN_H

#include "compat/pg_compat.h"

#include "port/pg_bswap.h"

#define FROZEN_VERSION     1
#define FROZEN_PARAMETERS  1
#define FROZEN_LENGTHS     5
#define FROZEN_HEADER_SIZE 9
#define FROZEN_WORD_SIZE   5
#define FROZEN_MAX_WEIGHT  255

typedef struct Frozen
{
	uint32       parameters; /* fingerprint of the weights, b and k1 */
	uint32       lengths;    /* fingerprint of the mean lengths */
	uint32       nwords;
	const uint8 *hashes; /* 4 bytes each */
	const uint8 *weights;
} Frozen;

static inline uint32
frozen_number(const uint8 *bytes)
{
	uint32 number;

	memcpy(&number, bytes, sizeof(number));
	return pg_ntoh32(number);
}

static inline uint32
frozen_hash(const Frozen *frozen, uint32 i)
{
	return frozen_number(frozen->hashes + (Size) i * sizeof(uint32));
}

/* Return a value's parts. It has FROZEN_HEADER_SIZE bytes at least. */
static inline Frozen
frozen_parts(const uint8 *bytes, Size size)
{
	uint32 nwords = (uint32) ((size - FROZEN_HEADER_SIZE) / FROZEN_WORD_SIZE);

	return (Frozen) {.parameters = frozen_number(bytes + FROZEN_PARAMETERS),
					 .lengths = frozen_number(bytes + FROZEN_LENGTHS),
					 .nwords = nwords,
					 .hashes = bytes + FROZEN_HEADER_SIZE,
					 .weights = bytes + FROZEN_HEADER_SIZE + (Size) nwords * sizeof(uint32)};
}

#endif /* COLBERT_FROZEN_H */
