/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  Milliseconds since a point in time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_CLOCK_H
#define COLBERT_CLOCK_H

#include "portability/instr_time.h"

static inline double
milliseconds_since(instr_time start)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, start);
	return INSTR_TIME_GET_MILLISEC(now);
}

#endif /* COLBERT_CLOCK_H */
