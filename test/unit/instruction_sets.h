/*-------------------------------------------------------------------------
 *
 * instruction_sets.h
 *	  Kernels of all instruction sets that this machine supports.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_INSTRUCTION_SETS_H
#define COLBERT_INSTRUCTION_SETS_H

#include "kernels/kernels.h"
#include "tap.h"

/* The scalar kernels come first. */
#define MAX_SETS 16
static const KernelOps *sets[MAX_SETS];
static bool             agreed[MAX_SETS];
static int              nsets;

static void
find_sets(void)
{
	for (const char *const *name = kernels_names(); *name != NULL; name++)
	{
		if (kernels_select(*name))
			sets[nsets++] = kernels;
		else
			tap_skip(*name, "this processor does not have it");
	}
#if defined(COLBERT_AMX_EMULATED)
	tap_diag("amx runs by emulation here");
#endif
	kernels_init();
}

#endif /* COLBERT_INSTRUCTION_SETS_H */
