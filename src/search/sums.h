/*-------------------------------------------------------------------------
 *
 * sums.h
 *	  Sums of gains per document, which grow when more lists are read.
 *
 * Each document has the sum of one gain per query token: that of the first list
 * added that names it. A gain is a list's similarity above that of a miss. More
 * lists lower the similarity of a miss, and thereby raise the earlier gains of a
 * token by one amount, its fall. The documents remember which tokens they have
 * met, so a search that reads more lists adds only the new ones.
 *
 * Plain C without PostgreSQL; never allocates.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SUMS_H
#define COLBERT_SUMS_H

#include <stddef.h>
#include <stdint.h>

typedef struct SummedDoc
{
	uint32_t doc;
	float    estimate;
	float half_estimate; /* before the last sums_raise() or sums_restart(); 0: no list names it */
} SummedDoc;

/* Arrays for the documents of a number of postings. */
typedef struct SumsMemory
{
	uint32_t   nslots; /* sums_slots() */
	uint32_t  *slots;  /* nslots zeros */
	SummedDoc *docs;
	uint64_t  *met; /* sums_words() per document */
} SumsMemory;

/*
 * slots: a hash table with open addressing of the documents' places, plus 1; 0:
 * an empty slot. met: one bit per token and document.
 */
typedef struct DocSums
{
	SumsMemory memory;
	uint32_t   words; /* sums_words() */
	uint32_t   count;
} DocSums;

/*
 * Maximum number of tokens whose sums grow: each takes a bit per document. With
 * more tokens, sums are made anew.
 */
#define SUMS_MAX_TOKENS 256

/* Return the number of slots for this many documents: at least twice as many. */
extern uint32_t sums_slots(uint32_t ndocs);

/* Return the number of words of one bit per token. */
static inline uint32_t
sums_words(uint32_t ntokens)
{
	return (ntokens < SUMS_MAX_TOKENS ? ntokens + 63 : SUMS_MAX_TOKENS) / 64;
}

/* Move the documents to larger arrays. The caller frees the former ones. */
extern void sums_move(DocSums *sums, const SumsMemory *memory);

/*
 * Keep the estimates as half estimates, and raise each by the falls of the
 * tokens that its document has met. falls: one per token, ntokens in total.
 */
extern void sums_raise(DocSums *sums, const float *falls, uint32_t ntokens);

/* Keep the estimates as half estimates, and begin new ones: all lists are added again. */
extern void sums_restart(DocSums *sums);

/*
 * Forget which tokens the documents have met. If there are more than
 * SUMS_MAX_TOKENS, call it before this many of them.
 */
extern void sums_forget_met(DocSums *sums);

/* The documents of one list of a token, and their gain. */
typedef struct GainList
{
	uint32_t        token;
	float           gain;
	const uint32_t *docs;
	uint32_t        count;
} GainList;

/*
 * Add the gain of a list to its documents below ndocs that have not met its
 * token. There must be room for them.
 */
extern void sums_add(DocSums *sums, const GainList *list, uint32_t ndocs);

/* Return a document, or NULL if no list names it. */
extern const SummedDoc *sums_find(const DocSums *sums, uint32_t doc);

#endif /* COLBERT_SUMS_H */
