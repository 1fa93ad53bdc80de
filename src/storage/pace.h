/*-------------------------------------------------------------------------
 *
 * pace.h
 *	  How much memory and how many pauses maintenance may take.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_PACE_H
#define COLBERT_PACE_H

#include "miscadmin.h"
#include "postmaster/autovacuum.h"
#include "storage/storage.h"

/* Bytes for a build, a merge or a training: autovacuum has a setting of its own. */
static inline Size
maintenance_memory(void)
{
	int kilobytes = maintenance_work_mem;

	if (compat_is_autovacuum_worker() && autovacuum_work_mem != -1)
		kilobytes = autovacuum_work_mem;
	return (Size) kilobytes * 1024;
}

/*
 * The pauses of a merge or a sweep. VACUUM pauses by its cost parameters; it
 * does not while more tokens than urgent_above are pending, for nobody else
 * can merge them meanwhile.
 */
typedef struct Pace
{
	uint64 urgent_above;
	bool   urgent;
	uint32 calls;
} Pace;

/* Pause if it is time to, and check for interrupts. No page may be locked. */
extern void pace_delay(ColbertIndex *index, Pace *pace);

#endif /* COLBERT_PACE_H */
