/*-------------------------------------------------------------------------
 *
 * pace.h
 *	  Memory and cost-based delays of maintenance, and help while it holds the
 *	  merge lock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_PACE_H
#define COLBERT_PACE_H

#include "miscadmin.h"
#include "postmaster/autovacuum.h"
#include "storage/storage.h"

/* Return the bytes that a build, a merge or a training may use. Autovacuum has its own setting. */
static inline Size
maintenance_memory(void)
{
	int kilobytes = maintenance_work_mem;

	if (compat_is_autovacuum_worker() && autovacuum_work_mem != -1)
		kilobytes = autovacuum_work_mem;
	return (Size) kilobytes * 1024;
}

/*
 * Share of colbert.pending_limit above which pending documents are urgent:
 * inserts ask for merges, and soon wait for them (access/insert.c).
 */
#define URGENT_SHARE 0.375

/*
 * Cost-based delays under the merge lock. VACUUM does not sleep while more than
 * urgent_above tokens are pending, because no other backend can merge them
 * meanwhile. It calls help instead, now and then, if there is one.
 */
typedef struct Pace
{
	uint64 urgent_above;
	/* more tokens are pending */
	bool   urgent;
	uint32 calls;
	void (*help)(void *arg); /* NULL: none */
	void *help_arg;
} Pace;

/* Return the pace for a value of colbert.pending_limit. */
static inline Pace
pace_for(uint64 pending_limit)
{
	return (Pace) {.urgent_above = (uint64) ((double) pending_limit * URGENT_SHARE)};
}

/*
 * Check for interrupts, and call help, or sleep if the cost limit is reached.
 * The caller holds no page lock.
 */
extern void pace_delay(ColbertIndex *index, Pace *pace);

#endif /* COLBERT_PACE_H */
