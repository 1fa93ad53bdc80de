/*-------------------------------------------------------------------------
 *
 * window_reach.c
 *	  How far a window function reads beyond the current row.
 *
 * If the frame is defined by values, the executor looks for its end, whatever
 * the functions are. Functions that read the frame read to its end. Among the
 * other functions, only core's are known; any other may read the whole
 * partition, as ntile() does.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "nodes/parsenodes.h"
#include "planner/window_reach.h"
#include "utils/fmgroids.h"

/* Return how far the executor looks for the end of the frame. */
static WindowReach
frame_end_reach(int frame_options)
{
	if ((frame_options & FRAMEOPTION_ROWS) && !(frame_options & FRAMEOPTION_EXCLUSION))
		return REACH_ROW;
	return frame_options & FRAMEOPTION_END_OFFSET_FOLLOWING ? REACH_ALL : REACH_PEERS;
}

/* Return how far rows of the frame are read. */
static WindowReach
frame_reach(int frame_options)
{
	if (frame_options & (FRAMEOPTION_END_UNBOUNDED_FOLLOWING | FRAMEOPTION_END_OFFSET_FOLLOWING))
		return REACH_ALL;
	return frame_end_reach(frame_options);
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
			return frame_end_reach(frame_options);
		case F_FIRST_VALUE:
		case F_LAST_VALUE:
		case F_NTH_VALUE:
			return frame_reach(frame_options);
		default:
			return REACH_ALL;
	}
}

bool
window_counts_rows(const WindowFunc *function)
{
	return function->winfnoid == F_ROW_NUMBER || function->winfnoid == F_RANK_;
}
