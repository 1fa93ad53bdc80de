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
test_first(void)
{
	static const struct
	{
		double   directions;
		uint32_t probes;
	} rows[] = {{0, 80}, {1, 80}, {2, 40}, {5, 16}, {8, 10}, {16, 5}, {1000, 4}};
	SearchSettings none = {0};
	SearchSettings all = {.probes = 7, .ef_search = 3, .candidates = 5, .rerank = 9, .recall = .5};
	SearchSettings graph = {.ef_search = 70};
	SearchSettings first = budget_first(5, 10, 1, &none);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		tap_ok(budget_first(rows[i].directions, 10, 1, &none).probes == rows[i].probes,
			   "%g directions: %u probes first", rows[i].directions, rows[i].probes);
	tap_ok(first.ef_search == 16 && first.rerank == 16 && first.recall == .97,
		   "0 stands for the index's choice");
	tap_ok(budget_first(5, 100, 1, &none).rerank == 160,
		   "LIMIT 100: 160 documents are reranked first");
	tap_ok(budget_first(5, UINT64_MAX, 1, &none).rerank > 1000000,
		   "a huge LIMIT does not overflow");
	first = budget_first(5, 10, 1, &all);
	tap_ok(first.probes == 7 && first.ef_search == 7 && first.candidates == 9 &&
			   first.rerank == 9 && first.recall == .5,
		   "settings are kept; ef_search is at least probes, and candidates at least rerank");
	tap_ok(budget_first(5, 10, 1, &graph).probes == 70, "ef_search alone sets probes");
	first = budget_first(5, 10, .05, &none);
	tap_ok(first.probes == 4 && first.rerank == 4 && first.candidates == 32,
		   "a twentieth of the documents: three tenths of the lists, and the least of the rest");
}

static void
test_expected(void)
{
	static const struct
	{
		double   directions;
		uint32_t probes;
		uint32_t candidates;
		uint32_t rerank;
	} rows[] = {{0, 120, 1100, 320}, {1, 120, 1100, 320}, {5, 24, 1000, 112},
				{8, 15, 625, 82},    {16, 8, 312, 52},    {1000, 8, 300, 3}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		SearchSettings expected = budget_expected(rows[i].directions, 1, &(SearchSettings) {0});

		tap_ok(expected.probes == rows[i].probes && expected.candidates == rows[i].candidates &&
				   expected.rerank == rows[i].rerank,
			   "%g directions are expected to take %u probes, %u candidates, %u reranked",
			   rows[i].directions, expected.probes, expected.candidates, expected.rerank);
	}
}

static void
test_costs(void)
{
	WorkSizes sizes = {.doc_tokens = 66, .postings = 50, .dim = 128, .tokens = 5, .directions = 5};
	WorkCosts costs = budget_costs(&sizes);
	WorkCosts wide;

	sizes.dim = 256;
	wide = budget_costs(&sizes);
	tap_ok(costs.rows > 2 * costs.sketches, "a row costs more than a sketch");
	tap_ok(wide.rows == 2 * costs.rows && wide.sketches == 2 * costs.sketches,
		   "twice the dims: twice the cost of sketches and rows");
	tap_ok(wide.list == costs.list && costs.list > 1, "a list costs the same");
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
	test_first();
	test_expected();
	test_costs();
	test_directions();
	return tap_done();
}
