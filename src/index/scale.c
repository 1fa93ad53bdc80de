/*-------------------------------------------------------------------------
 *
 * scale.c
 *	  Choose the factor that scales the tokens of an index to about length 1.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "index/scale.h"

/*
 * Root mean square lengths from 2^-n to 2^n keep the factor 1. Addends of L2
 * saturate at a length of 362 and have 4 bits left at .001. Factors of inner
 * products saturate at 400,000 and are precise at .001.
 */
#define UNSCALED_LOG2_L2 3
#define UNSCALED_LOG2_IP 8

/* The formats remain usable for 3 bits beyond these lengths. */
#define TOLERATED_LOG2 3

void
scale_add_lengths(LengthSum *lengths, const MultiVector *mv)
{
	for (uint32 t = 0; t < mv->ntokens; t++)
	{
		if (!(mv->norms[t] > 0.0f))
			continue;
		lengths->tokens++;
		lengths->squares += (double) mv->norms[t] * mv->norms[t];
	}
}

static int
unscaled_log2(Metric metric)
{
	return metric == METRIC_L2 ? UNSCALED_LOG2_L2 : UNSCALED_LOG2_IP;
}

int8
scale_choose(Metric metric, const LengthSum *lengths, ScaleRange range)
{
	double exponent;

	if (metric == METRIC_COSINE || lengths->tokens == 0)
		return scale_unset(metric);
	exponent = -rint(0.5 * log2(lengths->squares / lengths->tokens));
	if (!(fabs(exponent) > unscaled_log2(metric)))
		return 0;
	return (int8) Max(Min(exponent, range), -(int) range);
}

bool
scale_is_off(Metric metric, float prepared_norm)
{
	return metric != METRIC_COSINE && prepared_norm > 0 &&
		   fabs(log2(prepared_norm)) > unscaled_log2(metric) + TOLERATED_LOG2;
}
