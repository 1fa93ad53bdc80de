/*-------------------------------------------------------------------------
 *
 * errors.c
 *	  How far the estimates of one stage are off from the next.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "search/search.h"

void
errors_learn(ErrorStats *errors, double error)
{
	double		delta = error - errors->mean;

	if (!isfinite(error))
		return;
	errors->count++;
	errors->mean += delta / errors->count;
	errors->squares += delta * (error - errors->mean);
}

double
errors_bound(const ErrorStats *errors, double estimate, double deviations)
{
	double		deviation = errors->count > 1 ? sqrt(errors->squares / (errors->count - 1)) : 0;

	return estimate + errors->mean + deviations * deviation;
}
