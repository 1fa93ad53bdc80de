/*-------------------------------------------------------------------------
 *
 * pace.c
 *	  Cost-based delays of maintenance, and help while it holds the merge lock.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "commands/vacuum.h"
#include "storage/pace.h"

/* Calls between two reads of the number of pending tokens. */
#define CALLS_OF_A_LOOK 16

/* Read the number of pending tokens, and call help if it is urgent. */
static void
look(ColbertIndex *index, Pace *pace)
{
	Buffer buffer = meta_lock(index, BUFFER_LOCK_SHARE);

	pace->urgent = meta_data(BufferGetPage(buffer))->documents.pending_tokens > pace->urgent_above;
	UnlockReleaseBuffer(buffer);
	if (pace->urgent && pace->help != NULL)
		pace->help(pace->help_arg);
}

void
pace_delay(ColbertIndex *index, Pace *pace)
{
	CHECK_FOR_INTERRUPTS();
	if (!VacuumCostActive && pace->help == NULL)
		return;
	if (pace->calls++ % CALLS_OF_A_LOOK == 0)
		look(index, pace);
	if (VacuumCostActive && !pace->urgent)
		compat_vacuum_delay_point();
}
