/*-------------------------------------------------------------------------
 *
 * test_ties.c
 *	  Known scores of copies of a document.
 *
 *-------------------------------------------------------------------------
 */
#include "search/ties.h"

#include <math.h>

#include "tap.h"

static void
learn(Ties *ties, double estimate, double outcome, int n)
{
	ties_follow(ties, estimate);
	for (int i = 0; i < n; i++)
		ties_learn(ties, estimate, outcome);
}

static bool
knows(const Ties *ties, double estimate, double expected)
{
	double outcome;

	return ties_outcome(ties, estimate, &outcome) && outcome == expected;
}

static bool
knows_nothing(const Ties *ties, double estimate)
{
	double outcome;

	return !ties_outcome(ties, estimate, &outcome);
}

int
main(void)
{
	Ties ties = {.blank = NAN};

	tap_ok(knows_nothing(&ties, 0), "nothing is known at first");
	learn(&ties, 5, 7, 7);
	tap_ok(knows_nothing(&ties, 5), "seven equal outcomes are not enough");
	learn(&ties, 5, 7, 1);
	tap_ok(knows(&ties, 5, 7), "the eighth equal outcome makes the score known");
	tap_ok(knows_nothing(&ties, 5.0000001), "another estimate is unknown");

	learn(&ties, 4, 3, 5);
	learn(&ties, 3, 1, 8);
	learn(&ties, 4, 3, 5);
	tap_ok(knows_nothing(&ties, 4) && knows(&ties, 3, 1), "an interrupted group starts again");
	learn(&ties, 2, 2, 7);
	learn(&ties, 2, 2.5, 8);
	tap_ok(knows_nothing(&ties, 2), "one different outcome: not copies");
	ties_learn(&ties, 1, 1);
	tap_ok(knows_nothing(&ties, 1), "outcomes of other estimates are not counted");

	learn(&ties, 5, 7.5, 1);
	tap_ok(knows_nothing(&ties, 5), "a contradicting outcome removes the known score");
	tap_ok(knows(&ties, 3, 1), "other groups are kept");

	for (int i = 0; i < TIES_KNOWN; i++)
		learn(&ties, 100 + i, i, 8);
	tap_ok(knows_nothing(&ties, 3) && knows(&ties, 100, 0) &&
			   knows(&ties, 100 + TIES_KNOWN - 1, TIES_KNOWN - 1),
		   "the newest groups are kept");

	ties.blank = -1;
	learn(&ties, -1, 0, 20);
	tap_ok(knows_nothing(&ties, -1), "an unset estimate matches no group");
	return tap_done();
}
