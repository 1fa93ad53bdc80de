/*-------------------------------------------------------------------------
 *
 * ties.c
 *	  Learn the outcomes of documents that are copies of each other.
 *
 *-------------------------------------------------------------------------
 */
#include "search/ties.h"

/* Number of equal outcomes from which further copies are assumed to have the same outcome. */
#define SETTLING_COPIES 8

static bool
is_followed(const Ties *ties, double estimate)
{
	return ties->following && ties->followed.estimate == estimate;
}

void
ties_follow(Ties *ties, double estimate)
{
	if (estimate == ties->blank || is_followed(ties, estimate) ||
		ties_find(ties, estimate) < TIES_KNOWN)
		return;
	ties->followed = (Tie) {.estimate = estimate};
	ties->following = true;
}

static void
count_outcome(Tie *tie, double outcome)
{
	if (tie->count == 0 || outcome < tie->lowest)
		tie->lowest = outcome;
	if (tie->count == 0 || outcome > tie->highest)
		tie->highest = outcome;
	tie->count++;
}

void
ties_learn(Ties *ties, double estimate, double outcome)
{
	uint32_t i = ties_find(ties, estimate);
	Tie     *tie = &ties->followed;

	if (i < TIES_KNOWN)
	{
		if (outcome == ties->known[i].highest)
			return;
		/* These documents are not copies after all: each is scored individually. */
		ties->known[i].count = 0;
	}
	if (!is_followed(ties, estimate))
		return;
	count_outcome(tie, outcome);
	if (tie->count >= SETTLING_COPIES && tie->lowest == tie->highest)
		ties->known[ties->nknown++ % TIES_KNOWN] = *tie;
}

bool
ties_outcome(const Ties *ties, double estimate, double *outcome)
{
	uint32_t i = ties_find(ties, estimate);

	if (i == TIES_KNOWN)
		return false;
	*outcome = ties->known[i].highest;
	return true;
}
