/*-------------------------------------------------------------------------
 *
 * kmeans_hooks.c
 *	  Memory and interrupts for k-means, which is independent of PostgreSQL.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "miscadmin.h"
#include "nodes/kmeans_hooks.h"
#include "utils/memutils.h"

static void *
hook_alloc(void *arg, size_t bytes)
{
	return MemoryContextAllocExtended(CurrentMemoryContext, Max(bytes, 1), MCXT_ALLOC_HUGE);
}

static void
hook_release(void *arg, void *memory)
{
	if (memory != NULL)
		pfree(memory);
}

static void
hook_interrupt(void *arg)
{
	CHECK_FOR_INTERRUPTS();
}

const KmeansHooks kmeans_hooks = {
	.alloc = hook_alloc, .release = hook_release, .interrupt = hook_interrupt};
