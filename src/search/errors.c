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

/* Estimates are sums of float4: below this share of one, errors are chance that the next may exceed. */
#define LEAST_DEVIATION 4e-6

double
errors_bound(const ErrorStats *errors, double estimate, double deviations)
{
	double		deviation = errors->count > 1 ? sqrt(errors->squares / (errors->count - 1)) : 0;

	deviation = Max(deviation, LEAST_DEVIATION * fabs(estimate));
	return estimate + errors->mean + deviations * deviation;
}
