/*-------------------------------------------------------------------------
 *
 * counter_row.c
 *	  A row of counters, whose columns are set by name.
 *
 *-------------------------------------------------------------------------
 */
#include "access/counter_row.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

CounterRow
counter_row_new(TupleDesc desc)
{
	CounterRow row = {desc, palloc0(desc->natts * sizeof(Datum)),
					  palloc(desc->natts * sizeof(bool))};

	counter_row_clear(&row);
	return row;
}

void
counter_row_clear(CounterRow *row)
{
	memset(row->nulls, true, row->desc->natts * sizeof(bool));
}

void
counter_row_set(CounterRow *row, const char *name, Datum value)
{
	int number = SPI_fnumber(row->desc, name);

	if (number <= 0)
		return;
	row->values[number - 1] = value;
	row->nulls[number - 1] = false;
}

void
counter_row_set_count(CounterRow *row, const char *name, int64 value)
{
	int number = SPI_fnumber(row->desc, name);

	if (number > 0 && SPI_gettypeid(row->desc, number) == INT4OID)
		counter_row_set(row, name, Int32GetDatum((int32) value));
	else
		counter_row_set(row, name, Int64GetDatum(value));
}

void
counter_row_set_counts(CounterRow *row, const SearchCounters *counters)
{
	for (int i = 0; i < search_ncounts; i++)
		counter_row_set_count(row, search_counts[i].name,
							  (int64) count_value(counters, &search_counts[i]));
}

void
counter_row_set_stages(CounterRow *row, const SearchCounters *counters)
{
	for (int stage = 0; stage < STAGE_COUNT; stage++)
	{
		const char *prefix = search_stages[stage].prefix;

		counter_row_set(row, psprintf("%s_ms", prefix),
						Float8GetDatum(INSTR_TIME_GET_MILLISEC(counters->time[stage])));
		counter_row_set_count(row, psprintf("%s_hit", prefix), counters->hit[stage]);
		counter_row_set_count(row, psprintf("%s_read", prefix), counters->read[stage]);
		counter_row_set_count(row, psprintf("%s_ahead", prefix), counters->ahead[stage]);
	}
}
