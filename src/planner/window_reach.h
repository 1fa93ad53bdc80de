/*-------------------------------------------------------------------------
 *
 * window_reach.h
 *	  How far a window function reads beyond the current row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_WINDOW_REACH_H
#define COLBERT_WINDOW_REACH_H

#include "compat/pg_compat.h"

#include "nodes/primnodes.h"

typedef enum WindowReach
{
	REACH_ROW,   /* not beyond the current row */
	REACH_PEERS, /* the current row's peers, and the row after them */
	REACH_ALL
} WindowReach;

/* frame_options: FRAMEOPTION_ bits of the function's window. */
extern WindowReach window_reach(const WindowFunc *function, int frame_options);

/* Return true if the function is never less than the number of rows before the first of the current row's peers. */
extern bool window_counts_rows(const WindowFunc *function);

#endif /* COLBERT_WINDOW_REACH_H */
