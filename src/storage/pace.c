/*-------------------------------------------------------------------------
 *
 * pace.c
 *	  Cost-based delays of maintenance.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "commands/vacuum.h"
#include "storage/pace.h"

/* Calls between two reads of the number of pending tokens. */
#define CALLS_OF_A_LOOK 16

void
pace_delay(ColbertIndex *index, Pace *pace)
{
	CHECK_FOR_INTERRUPTS();
	if (!VacuumCostActive)
		return;
	if (pace->calls++ % CALLS_OF_A_LOOK == 0)
	{
		Buffer buffer = meta_lock(index, BUFFER_LOCK_SHARE);

		pace->urgent =
			meta_data(BufferGetPage(buffer))->documents.pending_tokens > pace->urgent_above;
		UnlockReleaseBuffer(buffer);
	}
	if (!pace->urgent)
		compat_vacuum_delay_point();
}
