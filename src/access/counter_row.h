/*-------------------------------------------------------------------------
 *
 * counter_row.h
 *	  A row of counters, whose columns are set by name.
 *
 * A column that the installed version of the extension does not declare is
 * left out, so that a new library works with the objects of an older version.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_COUNTER_ROW_H
#define COLBERT_COUNTER_ROW_H

#include "compat/pg_compat.h"

#include "access/tupdesc.h"
#include "search/counters.h"

typedef struct CounterRow
{
	TupleDesc desc;
	Datum    *values;
	bool     *nulls;
} CounterRow;

/* Return a row of NULLs. */
extern CounterRow counter_row_new(TupleDesc desc);

/* Set all columns to NULL. */
extern void counter_row_clear(CounterRow *row);

/* Set a column. */
extern void counter_row_set(CounterRow *row, const char *name, Datum value);

/* Set a column that is declared as integer or bigint. */
extern void counter_row_set_count(CounterRow *row, const char *name, int64 value);

/* Set the columns of SEARCH_COUNTS. */
extern void counter_row_set_counts(CounterRow *row, const SearchCounters *counters);

/* Set the columns of SEARCH_STAGES: milliseconds and pages of each stage. */
extern void counter_row_set_stages(CounterRow *row, const SearchCounters *counters);

#endif /* COLBERT_COUNTER_ROW_H */
