/*-------------------------------------------------------------------------
 *
 * counters.c
 *	  What a search has done.
 *
 *-------------------------------------------------------------------------
 */
#include "search/counters.h"

void
counters_add(SearchCounters *sum, const SearchCounters *more)
{
	SearchCounters before = *sum;

	*sum = *more;
	sum->searches += before.searches;
	sum->hops += before.hops;
	sum->nodes += before.nodes;
	sum->postings += before.postings;
	sum->gathered += before.gathered;
	sum->pending += before.pending;
	sum->narrowed += before.narrowed;
	sum->reranked += before.reranked;
	sum->fetched += before.fetched;
	sum->scored += before.scored;
	sum->emitted += before.emitted;
	sum->late += before.late;
	sum->widenings += before.widenings;
	sum->exhaustive |= before.exhaustive;
	sum->tested += before.tested;
	sum->passed += before.passed;
	sum->passes += before.passes;
	sum->batches += before.batches;
	for (int stage = 0; stage < STAGE_COUNT; stage++)
	{
		INSTR_TIME_ADD(sum->time[stage], before.time[stage]);
		sum->hit[stage] += before.hit[stage];
		sum->read[stage] += before.read[stage];
	}
}

void
counters_start(SearchCounters *counters, instr_time *start)
{
	counters->began = pgBufferUsage;
	INSTR_TIME_SET_CURRENT(*start);
}

void
counters_stop(SearchCounters *counters, SearchStage stage, instr_time start)
{
	const BufferUsage *began = &counters->began;
	instr_time         now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_ACCUM_DIFF(counters->time[stage], now, start);
	counters->hit[stage] += pgBufferUsage.shared_blks_hit - began->shared_blks_hit +
							pgBufferUsage.local_blks_hit - began->local_blks_hit;
	counters->read[stage] += pgBufferUsage.shared_blks_read - began->shared_blks_read +
							 pgBufferUsage.local_blks_read - began->local_blks_read;
}
