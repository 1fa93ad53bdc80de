/*-------------------------------------------------------------------------
 *
 * floor.c
 *	  Searches for all documents above a threshold.
 *
 * A search with a floor wants the documents whose exact score is at least
 * that, and so ends before it has gone through the rest: once nothing that is
 * left is expected to reach the floor. What is expected is learned from the
 * documents just below it: the errors of their estimates tell how many of
 * those a little further down may still reach it. Errors of documents far
 * above would tell less, for what was chosen by an estimate is mostly
 * overestimated by it.
 *
 * So each list of estimates is taken from above: all that reach the floor, then a
 * sample below it, and more until the best that is left is FLOOR_DEVIATIONS
 * standard deviations short of it.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "search/search.h"

/* Documents below the floor that teach how large errors are. */
#define FLOOR_SAMPLE 256

void
search_set_floor(Search *search, double floor, SearchOrder order)
{
	search->floor = floor;
	search->order = order;
}

/* With a floor the best few may be found by probes; whoever wants more gets all there are. */
bool
floor_wants_all(const Search *search)
{
	return search->floor > -INFINITY && (search->order == SEARCH_UNORDERED || search->level > 0);
}

uint32
floor_batch(Search *search)
{
	uint32 above = 0;

	if (search->floor == -INFINITY)
		return search->batch;
	for (uint32 i = 0; i < search->pool.count; i++)
		above += search->pool.items[i].score >= search->floor;
	if (above > 0)
		return Min(above, search->order == SEARCH_UNORDERED ? search->batch_limit : search->batch);
	if (!search->below_floor)
	{
		search->below_floor = true;
		memset(&search->sketch_errors, 0, sizeof(ErrorStats));
	}
	return Max(search->batch, FLOOR_SAMPLE);
}

bool
floor_ends_pool(const Search *search)
{
	return search->below_floor && search->sketch_errors.count > 0 &&
		   errors_bound(&search->sketch_errors, search->pool_best, FLOOR_DEVIATIONS) <
			   search->floor;
}

void
search_drop_ranked(Search *search)
{
	search->nranked = 0;
	/* Without code rows what is ranked comes in the order of the pool. */
	if (search->query.rows == NULL)
		pool_give_up(search);
}
