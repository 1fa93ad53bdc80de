/*-------------------------------------------------------------------------
 *
 * best.c
 *	  The k best scores of each query of a sample.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "lib/binaryheap.h"
#include "miscadmin.h"
#include "tune/tune.h"

struct BestScores
{
	Tune        *tune;
	binaryheap **best; /* of each query, with the worst of its best scores on top */
};

static int
farthest_first(Datum a, Datum b, void *arg)
{
	double x = DatumGetFloat8(a);
	double y = DatumGetFloat8(b);

	return x < y ? 1 : x > y ? -1 : 0;
}

/*
 * Check the size of the exact answers. Apart from the queries themselves, no
 * other allocation grows with the arguments.
 */
static void
check_memory(const Tune *tune)
{
	Size size = mul_size(mul_size(tune->nqueries, tune->k), sizeof(Datum));

	if (size / 1024 > (Size) maintenance_work_mem)
		ereport(
			ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("%d exact answers to each of %d queries do not fit in maintenance_work_mem",
					tune->k, tune->nqueries),
			 errhint("Pass fewer queries, reduce k, or increase maintenance_work_mem to %zu kB.",
					 size / 1024 + 1)));
}

BestScores *
tune_best_begin(Tune *tune)
{
	BestScores *best = palloc(sizeof(BestScores));

	check_memory(tune);
	best->tune = tune;
	best->best = palloc(mul_size(tune->nqueries, sizeof(binaryheap *)));
	for (int i = 0; i < tune->nqueries; i++)
		best->best[i] = binaryheap_allocate(tune->k, farthest_first, NULL);
	return best;
}

void
tune_best_add(BestScores *best, int query, double score)
{
	binaryheap *heap = best->best[query];

	if (heap->bh_size < best->tune->k)
		binaryheap_add(heap, Float8GetDatum(score));
	else if (score > DatumGetFloat8(binaryheap_first(heap)))
		binaryheap_replace_first(heap, Float8GetDatum(score));
}

int
tune_best_count(const BestScores *best, int query)
{
	return best->best[query]->bh_size;
}

void
tune_best_end(BestScores *best)
{
	for (int i = 0; i < best->tune->nqueries; i++)
	{
		if (best->tune->wanted > 0)
			best->tune->queries[i].least = DatumGetFloat8(binaryheap_first(best->best[i]));
		binaryheap_free(best->best[i]);
	}
	pfree(best->best);
	pfree(best);
}
