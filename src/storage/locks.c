/*-------------------------------------------------------------------------
 *
 * locks.c
 *	  Take a heavyweight lock of an index by attempts.
 *
 * locks.h says who must take which lock in this way. Callers hold no page lock.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "base/clock.h"
#include "miscadmin.h"
#include "storage/locks.h"
#include "storage/proc.h"

/* Microseconds between two attempts of a backend that waits as long as it takes. */
#define POLL_NAP 1000L

/* pg_stat_activity shows a wait of type Extension. */
static void
take_nap(long microseconds)
{
	pgstat_report_wait_start(PG_WAIT_EXTENSION);
	pg_usleep(microseconds);
	pgstat_report_wait_end();
}

bool
index_lock_within(Relation index, IndexLock lock, LOCKMODE mode, double milliseconds, long nap)
{
	instr_time start;

	INSTR_TIME_SET_CURRENT(start);
	while (!index_lock_if_free(index, lock, mode))
	{
		if (milliseconds_since(start) >= milliseconds)
			return false;
		CHECK_FOR_INTERRUPTS();
		take_nap(nap);
	}
	return true;
}

void
index_lock_poll(Relation index, IndexLock lock, LOCKMODE mode)
{
	double milliseconds = LockTimeout > 0 ? LockTimeout : INFINITY;

	if (!index_lock_within(index, lock, mode, milliseconds, POLL_NAP))
		ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
						errmsg("canceling statement due to lock timeout")));
}
