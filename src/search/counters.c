/*-------------------------------------------------------------------------
 *
 * counters.c
 *	  Counters of a search.
 *
 *-------------------------------------------------------------------------
 */
#include "search/counters.h"
#include "storage/readahead.h"

#define COUNT_ENTRY(name, stage, label)      {#name, stage, label, offsetof(SearchCounters, name)},
#define STAGE_ENTRY(constant, prefix, label) [constant] = {prefix, label},
#define SETTING_ENTRY(name)                  {#name, offsetof(SearchSettings, name)},

const SearchCount       search_counts[] = {SEARCH_COUNTS(COUNT_ENTRY)};
const int               search_ncounts = lengthof(search_counts);
const SearchStageName   search_stages[STAGE_COUNT] = {SEARCH_STAGES(STAGE_ENTRY)};
const SearchSettingName search_settings[] = {SEARCH_SETTINGS(SETTING_ENTRY)};
const int               search_nsettings = lengthof(search_settings);

void
counters_add(SearchCounters *sum, const SearchCounters *more)
{
	SearchCounters before = *sum;

	*sum = *more;
	for (int i = 0; i < search_ncounts; i++)
		*(uint64 *) ((char *) sum + search_counts[i].offset) +=
			count_value(&before, &search_counts[i]);
	sum->exhaustive |= before.exhaustive;
	for (int stage = 0; stage < STAGE_COUNT; stage++)
	{
		INSTR_TIME_ADD(sum->time[stage], before.time[stage]);
		sum->hit[stage] += before.hit[stage];
		sum->read[stage] += before.read[stage];
		sum->ahead[stage] += before.ahead[stage];
	}
}

void
counters_start(SearchCounters *counters, instr_time *start)
{
	counters->began = pgBufferUsage;
	counters->ahead_began = readahead_requests;
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
	counters->ahead[stage] += readahead_requests - counters->ahead_began;
}
