/*-------------------------------------------------------------------------
 *
 * kernels.c
 *	  Choosing an implementation of the kernels at run time.
 *
 * The list below goes from the plainest to the best; "auto" takes the last
 * one that the machine supports. Compiled without the flags of any
 * instruction set.
 *
 *-------------------------------------------------------------------------
 */
#include "kernels/kernels_internal.h"

typedef struct Implementation
{
	const KernelOps *ops;
	bool		(*supported) (void);
} Implementation;

static bool
always(void)
{
	return true;
}

static const Implementation implementations[] = {
	{&kernels_scalar, always},
};

#define NIMPLEMENTATIONS (sizeof(implementations) / sizeof(implementations[0]))

static const char *const names[] = {
	"scalar",
	NULL
};

/* Correct before kernels_init() too: the scalar kernels run anywhere. */
const KernelOps *kernels = &kernels_scalar;

void
kernels_init(void)
{
	kernels_select("auto");
}

bool
kernels_select(const char *name)
{
	bool		any = strcmp(name, "auto") == 0;

	for (size_t i = NIMPLEMENTATIONS; i-- > 0;)
	{
		const Implementation *candidate = &implementations[i];

		if ((any || strcmp(name, candidate->ops->name) == 0) && candidate->supported())
		{
			kernels = candidate->ops;
			return true;
		}
	}
	return false;
}

bool
kernels_supported(const char *name)
{
	for (size_t i = 0; i < NIMPLEMENTATIONS; i++)
	{
		if (strcmp(name, implementations[i].ops->name) == 0)
			return implementations[i].supported();
	}
	return false;
}

const char *const *
kernels_names(void)
{
	return names;
}
