/*-------------------------------------------------------------------------
 *
 * finder.c
 *	  Table of finders.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "nodes/finder.h"

static const FinderOps *const finders[] = {
	&graph_finder,
	&lists_finder,
};

const FinderOps *
finder_by_kind(int kind)
{
	for (int i = 0; i < lengthof(finders); i++)
		if ((int) finders[i]->kind == kind)
			return finders[i];
	return NULL;
}
