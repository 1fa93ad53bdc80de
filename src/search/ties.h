/*-------------------------------------------------------------------------
 *
 * ties.h
 *	  Learn the outcomes of documents that are copies of each other.
 *
 * Copies of a document have equal estimates at every stage, and equal outcomes.
 * Once enough documents with one estimate had the same outcome, the outcome of
 * the others with that estimate is known without scoring them.
 *
 * Plain C without PostgreSQL; never allocates.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_TIES_H
#define COLBERT_TIES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/minmax.h"

/* Documents with the same estimate. */
typedef struct Tie
{
	double   estimate;
	uint32_t count;  /* number of outcomes seen */
	double   lowest; /* lowest outcome */
	double   highest;
} Tie;

/* Number of groups of copies remembered: the most recent ones. */
#define TIES_KNOWN 8

typedef struct Ties
{
	bool     following;
	Tie      followed; /* group whose outcomes are being counted */
	Tie      known[TIES_KNOWN];
	uint32_t nknown; /* number of groups so far; known is a ring */
	/* estimate that documents can share without being copies; NaN: none */
	double blank;
} Ties;

/* Count the documents with this estimate from now on. */
extern void ties_follow(Ties *ties, double estimate);

/* Record the outcome of a document if its estimate is followed or known. */
extern void ties_learn(Ties *ties, double estimate, double outcome);

/* Return the index of a known group, or TIES_KNOWN if the estimate is not known. */
static inline uint32_t
ties_find(const Ties *ties, double estimate)
{
	for (uint32_t i = 0; i < MIN(ties->nknown, TIES_KNOWN); i++)
		if (ties->known[i].count > 0 && ties->known[i].estimate == estimate)
			return i;
	return TIES_KNOWN;
}

/* Return true, and set *outcome, if the outcome of this estimate is known. */
extern bool ties_outcome(const Ties *ties, double estimate, double *outcome);

#endif /* COLBERT_TIES_H */
