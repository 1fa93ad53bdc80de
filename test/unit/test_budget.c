/*-------------------------------------------------------------------------
 *
 * test_budget.c
 *	  Budgets of a search, as documented in doc/tuning.md.
 *
 *-------------------------------------------------------------------------
 */
#include "search/budget.h"

#include "tap.h"

static void
test_probes(void)
{
	static const struct
	{
		double   directions;
		uint32_t probes;
		uint32_t candidates;
	} rows[] = {{1, 320, 1700}, {2, 113, 1700}, {3, 61, 1700}, {4, 40, 1700}, {5, 28, 1700},
				{8, 14, 1200},  {16, 8, 600},   {32, 8, 400},  {1000, 8, 400}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		tap_ok(budget_probes(rows[i].directions, 16384) == rows[i].probes,
			   "%g directions: %u probes", rows[i].directions, rows[i].probes);
		tap_ok(budget_candidates(rows[i].directions) == rows[i].candidates,
			   "%g directions: %u candidates", rows[i].directions, rows[i].candidates);
	}
	tap_ok(budget_probes(0, 16384) == 320 && budget_candidates(0) == 1700,
		   "no direction counts as one");
	tap_ok(budget_probes(5, 0) == 28 && budget_probes(5, 100) == 28,
		   "a small index is probed as one of 16,384 nodes");
	tap_ok(budget_probes(5, 16 * 16384) == 57 && budget_probes(32, 16 * 16384) == 16,
		   "16 times the nodes: twice the probes");
}

static void
test_directions(void)
{
	static const float even[] = {2, 2, 2, 2};
	static const float uneven[] = {3, 1};
	static const float padding[] = {1, 1, 1, 1, 27};
	static const float nothing[] = {0};

	tap_ok(budget_directions(even, 4) == 4, "equal weights: each direction counts fully");
	tap_ok(budget_directions(uneven, 2) == 1.6, "unequal weights: fewer than their number");
	tap_ok(budget_directions(padding, 5) == 3.75,
		   "one heavy direction: three quarters of their number");
	tap_ok(budget_directions(nothing, 1) == 1, "only zero weights: one direction");
}

int
main(void)
{
	test_probes();
	test_directions();
	return tap_done();
}
