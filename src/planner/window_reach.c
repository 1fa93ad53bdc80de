/*-------------------------------------------------------------------------
 *
 * window_reach.c
 *	  How far a window function reads beyond the current row.
 *
 * Functions that read the frame read to its end. Of the others only those
 * of core are known; any other may read the whole partition, as ntile() does.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "nodes/parsenodes.h"
#include "planner/window_reach.h"
#include "utils/fmgroids.h"

static WindowReach
frame_reach(int frame_options)
{
	if (frame_options & (FRAMEOPTION_END_UNBOUNDED_FOLLOWING | FRAMEOPTION_END_OFFSET_FOLLOWING))
		return REACH_ALL;
	if ((frame_options & FRAMEOPTION_ROWS) && !(frame_options & FRAMEOPTION_EXCLUSION))
		return REACH_ROW;
	return REACH_PEERS;
}

WindowReach
window_reach(const WindowFunc *function, int frame_options)
{
	if (function->winagg)
		return frame_reach(frame_options);
	switch (function->winfnoid)
	{
		case F_ROW_NUMBER:
		case F_RANK_:
		case F_DENSE_RANK_:
		case F_LAG_ANYELEMENT:
			return REACH_ROW;
		case F_FIRST_VALUE:
		case F_LAST_VALUE:
		case F_NTH_VALUE:
			return frame_reach(frame_options);
		default:
			return REACH_ALL;
	}
}
