/*-------------------------------------------------------------------------
 *
 * finder.c
 *	  The table of finders.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "nodes/finder.h"

static const Finder *const finders[] = {
	&graph_finder,
	&lists_finder,
};

const Finder *
finder_by_kind(int kind)
{
	for (int i = 0; i < lengthof(finders); i++)
		if ((int) finders[i]->kind == kind)
			return finders[i];
	return NULL;
}
