/*-------------------------------------------------------------------------
 *
 * ready.c
 *	  Keep rows that were fetched and not returned yet, best first.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "base/array.h"
#include "search/ready.h"
#include "utils/memutils.h"

static inline bool
row_nearer(const ExactRow *a, const ExactRow *b)
{
	return a->score > b->score || (a->score == b->score && a->doc < b->doc);
}

/* Insert a score into the best scores. */
static void
keep_likely(ReadyRows *ready, double score)
{
	uint32 at = ready->nlikely;

	while (at > 0 && score > ready->likely[at - 1])
	{
		if (at < POLICY_LIKELY_LIMIT)
			ready->likely[at] = ready->likely[at - 1];
		at--;
	}
	if (at < POLICY_LIKELY_LIMIT)
		ready->likely[at] = score;
	ready->nlikely = Min(ready->nlikely + 1, POLICY_LIKELY_LIMIT);
}

void
ready_push(MemoryContext context, ReadyRows *ready, ExactRow row)
{
	uint32 at = ready->count;

	ready->rows = array_reserve(ready->rows, &ready->capacity, (Size) ready->count + 1,
								sizeof(ExactRow), context);
	keep_likely(ready, row.score);
	ready->count++;
	while (at > 0 && row_nearer(&row, &ready->rows[(at - 1) / 2]))
	{
		ready->rows[at] = ready->rows[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	ready->rows[at] = row;
}

ExactRow
ready_pop(ReadyRows *ready)
{
	ExactRow top = ready->rows[0];
	ExactRow last = ready->rows[--ready->count];
	uint32   at = 0;

	for (;;)
	{
		uint32 child = 2 * at + 1;

		if (child >= ready->count)
			break;
		if (child + 1 < ready->count && row_nearer(&ready->rows[child + 1], &ready->rows[child]))
			child++;
		if (!row_nearer(&ready->rows[child], &last))
			break;
		ready->rows[at] = ready->rows[child];
		at = child;
	}
	if (ready->count > 0)
		ready->rows[at] = last;
	return top;
}

#define TOP_PREFIX       scores
#define TOP_TYPE         double
#define TOP_KEY(item)    (item)
#define TOP_NEARER(a, b) ((a) > (b))
#include "base/top_template.h"

/* Return the nth best score of at least n rows. */
static double
nth_score(const ReadyRows *ready, uint32 n)
{
	double *scores = palloc_extended(mul_size(ready->count, sizeof(double)), MCXT_ALLOC_HUGE);
	double  last = INFINITY;

	for (uint32 i = 0; i < ready->count; i++)
		scores[i] = ready->rows[i].score;
	scores_quickselect(scores, ready->count, n);
	for (uint32 i = 0; i < n; i++)
		last = Min(last, scores[i]);
	pfree(scores);
	return last;
}

/*
 * L2 distances are differences of larger terms. Scores that differ by less than
 * this share of those terms may be equal.
 */
#define PEER_SLACK 1e-12

static double
needed_score(const ReadyRows *ready, uint32 row, bool peers, double scale)
{
	double last = nth_score(ready, row);
	double after = -INFINITY;

	if (!peers)
		return last;
	last -= PEER_SLACK * (fabs(last) + scale);
	for (uint32 i = 0; i < ready->count; i++)
		if (ready->rows[i].score < last)
			after = Max(after, ready->rows[i].score);
	return after;
}

/* The score is measured again each time the number of rows has grown by one part in this many. */
#define MEASURE_AGAIN 16

double
ready_measure(ReadyRows *ready, uint64 row, bool peers, double scale)
{
	uint32 count = ready->count;

	if (count >= row &&
		(ready->measured < row || count > ready->measured + ready->measured / MEASURE_AGAIN))
	{
		ready->bar = needed_score(ready, (uint32) row, peers, scale);
		ready->measured = count;
	}
	return ready->bar;
}
