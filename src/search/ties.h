/*-------------------------------------------------------------------------
 *
 * ties.h
 *	  What copies of a document are known to score.
 *
 * Copies of a document have equal estimates at every stage, and equal
 * outcomes. Once enough documents of one estimate had the same outcome, the
 * others of that estimate need not be looked at to know theirs.
 *
 * Plain C without PostgreSQL; never allocates.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_TIES_H
#define COLBERT_TIES_H

#include <stdbool.h>
#include <stdint.h>

/* Documents with one and the same estimate. */
typedef struct Tie
{
	double   estimate;
	uint32_t count;  /* whose outcome was seen */
	double   lowest; /* outcome */
	double   highest;
} Tie;

/* Groups of copies that are known at a time: the newest. */
#define TIES_KNOWN 8

typedef struct Ties
{
	bool     following;
	Tie      followed; /* the group that is counted now */
	Tie      known[TIES_KNOWN];
	uint32_t nknown; /* so far: known is a ring */
	double
		blank; /* the estimate of documents that it tells nothing of, which are no copies of each other; NaN: none */
} Ties;

/* Count the documents of this estimate from now on. */
extern void ties_follow(Ties *ties, double estimate);

/* Learn the outcome of a document, where its estimate is followed or known. */
extern void ties_learn(Ties *ties, double estimate, double outcome);

/* Which group of the known is this, TIES_KNOWN where it is none? */
extern uint32_t ties_find(const Ties *ties, double estimate);

/* Is the outcome of this estimate known? */
extern bool ties_outcome(const Ties *ties, double estimate, double *outcome);

#endif /* COLBERT_TIES_H */
