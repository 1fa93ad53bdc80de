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

/* An answer: its score, and the part that has the row. */
typedef struct Answer
{
	double    score;
	TunePart *part; /* NULL: not known */
} Answer;

struct BestScores
{
	Tune        *tune;
	Answer      *answers; /* k of each query */
	binaryheap **best;    /* those found so far of each query, with the worst of them on top */
};

static int
farthest_first(Datum a, Datum b, void *arg)
{
	double x = ((const Answer *) DatumGetPointer(a))->score;
	double y = ((const Answer *) DatumGetPointer(b))->score;

	return x < y ? 1 : x > y ? -1 : 0;
}

static Answer *
answers_of(const BestScores *best, int query)
{
	return best->answers + (Size) query * best->tune->k;
}

/*
 * Check the size of the exact answers. Apart from the queries themselves, no
 * other allocation grows with the arguments.
 */
static void
check_memory(const Tune *tune)
{
	Size size = mul_size(mul_size(tune->nqueries, tune->k), sizeof(Answer) + sizeof(Datum));

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
	best->answers = palloc_extended(mul_size(mul_size(tune->nqueries, tune->k), sizeof(Answer)),
									MCXT_ALLOC_HUGE);
	best->best = palloc(mul_size(tune->nqueries, sizeof(binaryheap *)));
	for (int i = 0; i < tune->nqueries; i++)
		best->best[i] = binaryheap_allocate(tune->k, farthest_first, NULL);
	return best;
}

void
tune_best_add(BestScores *best, int query, double score, TunePart *part)
{
	binaryheap *heap = best->best[query];
	int         found = heap->bh_size;
	Answer     *answer = &answers_of(best, query)[found];

	if (found == best->tune->k)
	{
		answer = (Answer *) DatumGetPointer(binaryheap_first(heap));
		if (score <= answer->score)
			return;
	}
	*answer = (Answer) {score, part};
	if (found == best->tune->k)
		binaryheap_replace_first(heap, PointerGetDatum(answer));
	else
		binaryheap_add(heap, PointerGetDatum(answer));
}

int
tune_best_count(const BestScores *best, int query)
{
	return best->best[query]->bh_size;
}

void
tune_best_end(BestScores *best)
{
	Tune *tune = best->tune;

	for (int i = 0; i < tune->nqueries; i++)
	{
		const Answer *answers = answers_of(best, i);

		if (tune->wanted > 0)
			tune->queries[i].least =
				((const Answer *) DatumGetPointer(binaryheap_first(best->best[i])))->score;
		for (int n = 0; n < tune->wanted; n++)
			if (answers[n].part != NULL)
				answers[n].part->answers++;
		binaryheap_free(best->best[i]);
	}
	pfree(best->best);
	pfree(best->answers);
	pfree(best);
}
