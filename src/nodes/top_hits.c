/*-------------------------------------------------------------------------
 *
 * top_hits.c
 *	  Thin an array of hits to the best ones.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "nodes/top_hits.h"

void
top_thin(TopHits *top)
{
	if (top->count <= top->wanted)
		return;
	top->count = nearest_thin(top->hits, top->count, top->wanted);
	if (top->count > top->room / 2)
		top_cut(top);
	else
		top_set_worst(top);
}
