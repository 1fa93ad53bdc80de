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
	REACH_ROW,   /* no further than the current row */
	REACH_PEERS, /* the current row's peers and the row after them */
	REACH_ALL
} WindowReach;

/*
 * Return the reach of a window function. frame_options: FRAMEOPTION_ bits of
 * the function's window.
 */
extern WindowReach window_reach(const WindowFunc *function, int frame_options);

/*
 * Return true if the function's value is never less than the number of rows
 * before the first peer of the current row.
 */
extern bool window_counts_rows(const WindowFunc *function);

#endif /* COLBERT_WINDOW_REACH_H */
