/*-------------------------------------------------------------------------
 *
 * estimates.c
 *	  Statistics of how much the estimates of one stage differ from the scores
 *	  of the next.
 *
 *-------------------------------------------------------------------------
 */
#include "search/estimates.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/bins.h"
#include "base/minmax.h"

/*
 * Estimates are sums of float4. A deviation below this share of an estimate is
 * rounding noise, which the next error may exceed.
 */
#define MIN_DEVIATION 4e-6

void
errors_learn(ErrorStats *errors, double error)
{
	double delta = error - errors->mean;

	if (!isfinite(error))
		return;
	errors->count++;
	errors->mean += delta / errors->count;
	errors->squares += delta * (error - errors->mean);
}

void
fit_begin_batch(EstimateFit *fit, const Candidate *batch, uint32_t count)
{
	float least = FLT_MAX;

	for (uint32_t i = 0; i < count; i++)
		least = MIN(least, batch[i].score);
	ties_follow(&fit->ties, least);
}

void
fit_learn(EstimateFit *fit, double estimate, double outcome)
{
	double dx = estimate - fit->mean_estimate;
	double dy = outcome - fit->mean_outcome;

	if (!isfinite(dx) || !isfinite(dy))
		return;
	ties_learn(&fit->ties, estimate, outcome);
	fit->count++;
	fit->mean_estimate += dx / fit->count;
	fit->mean_outcome += dy / fit->count;
	fit->xx += dx * (estimate - fit->mean_estimate);
	fit->xy += dx * (outcome - fit->mean_outcome);
	fit->yy += dy * (outcome - fit->mean_outcome);
}

/* Return the share of a normal distribution above this many standard deviations. */
static double
upper_tail(double deviations)
{
	return 0.5 * erfc(deviations * M_SQRT1_2);
}

/*
 * Return true if a candidate has an estimate. Sketches of another epoch give
 * none, and those of a damaged page may give NaN or infinity.
 */
static inline bool
is_estimated(const Candidate *item)
{
	return fabsf(item->score) < FLT_MAX;
}

void
histogram_fill(EstimateHistogram *histogram, const Candidate *items, uint32_t count,
			   const EstimateFit *fit)
{
	float lowest = FLT_MAX;
	float highest = -FLT_MAX;
	Bins  bins;

	memset(histogram, 0, sizeof(EstimateHistogram));
	for (uint32_t i = 0; i < TIES_KNOWN; i++)
		histogram->copies_outcome[i] = fit->ties.known[i].highest;
	for (uint32_t i = 0; i < count; i++)
	{
		uint32_t group = ties_find(&fit->ties, items[i].score);

		if (group < TIES_KNOWN)
			histogram->ncopies[group]++;
		else if (is_estimated(&items[i]))
		{
			lowest = MIN(lowest, items[i].score);
			highest = MAX(highest, items[i].score);
		}
		else
			histogram->unknown++;
	}
	if (lowest > highest)
		return;
	histogram->lowest = lowest;
	histogram->width = (highest - lowest) / HISTOGRAM_BINS;
	bins = (Bins) {lowest, 1 / histogram->width, HISTOGRAM_BINS};
	for (uint32_t i = 0; i < count; i++)
		if (is_estimated(&items[i]) && ties_find(&fit->ties, items[i].score) == TIES_KNOWN)
			histogram->counts[bins_find(&bins, items[i].score)]++;
}

/* The share of a normal distribution above this many deviations is taken as 0. */
#define MAX_DEVIATIONS 7.0

/* The outcome that a fit predicts for estimates, compared with one outcome. */
typedef struct Expectation
{
	const EstimateFit *fit;
	double             slope;
	double             deviation;
	double             outcome; /* the outcome to exceed */
} Expectation;

static Expectation
expect(const EstimateFit *fit, double outcome)
{
	Expectation expectation = {.fit = fit, .outcome = outcome};
	double      slope = fit->xx > 0 ? MAX(0.0, fit->xy / fit->xx) : 0;
	double      deviation =
        fit->count > 2 ? sqrt(MAX(0.0, fit->yy - slope * fit->xy) / (fit->count - 2)) : 0;

	/*
	 * If nothing has been learned (a codec without rows), the estimate itself
	 * is the expected outcome.
	 */
	if (fit->count == 0)
		slope = 1;
	expectation.slope = slope;
	expectation.deviation = MAX(MAX(deviation, MIN_DEVIATION * fabs(outcome)), FLT_MIN);
	return expectation;
}

/* Return the expected number of documents in a bin whose outcome exceeds the given one. */
static double
expected_of_bin(const Expectation *expectation, const EstimateHistogram *histogram, int bin)
{
	const EstimateFit *fit = expectation->fit;
	double             estimate = histogram->lowest + (bin + 0.5) * histogram->width;
	double mean = fit->mean_outcome + expectation->slope * (estimate - fit->mean_estimate);
	double deviations = (expectation->outcome - mean) / expectation->deviation;

	if (histogram->counts[bin] == 0 || deviations > MAX_DEVIATIONS)
		return 0;
	return histogram->counts[bin] * upper_tail(deviations);
}

bool
fit_copies_are_below(double outcome, const ScoreBar *bar)
{
	double exact;

	if (ties_outcome(bar->ties, outcome, &exact))
		return exact <= bar->exact;
	return outcome <= bar->score;
}

/* Count the copies in the list that may exceed the bar. */
static uint32_t
copies_above(const EstimateHistogram *histogram, const ScoreBar *bar)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < TIES_KNOWN; i++)
		if (histogram->ncopies[i] > 0 && !fit_copies_are_below(histogram->copies_outcome[i], bar))
			n += histogram->ncopies[i];
	return n;
}

double
fit_expected_above(const EstimateFit *fit, const EstimateHistogram *histogram, const ScoreBar *bar)
{
	Expectation expectation = expect(fit, bar->score);
	double      expected = copies_above(histogram, bar);

	for (int bin = 0; bin < HISTOGRAM_BINS; bin++)
		expected += expected_of_bin(&expectation, histogram, bin);
	return expected;
}

uint32_t
fit_count_promising(const EstimateFit *fit, const EstimateHistogram *histogram, const ScoreBar *bar,
					double max_misses)
{
	Expectation expectation = expect(fit, bar->score);
	double      expected = 0;
	uint32_t    worth = histogram->unknown + copies_above(histogram, bar);

	for (int bin = 0; bin < HISTOGRAM_BINS; bin++)
	{
		expected += expected_of_bin(&expectation, histogram, bin);
		if (expected > max_misses)
			worth += histogram->counts[bin];
	}
	return worth;
}

double
errors_bound(const ErrorStats *errors, double estimate, double deviations)
{
	double deviation = errors->count > 1 ? sqrt(errors->squares / (errors->count - 1)) : 0;

	deviation = MAX(deviation, MIN_DEVIATION * fabs(estimate));
	return estimate + errors->mean + deviations * deviation;
}

void
bands_add(Bands *bands, const Candidate *batch, uint32_t count)
{
	Band *band;

	if (bands->count < MAX_BANDS)
		bands->bands[bands->count++] = (Band) {0, -FLT_MAX, FLT_MAX};
	band = &bands->bands[bands->count - 1];
	band->count += count;
	for (uint32_t i = 0; i < count; i++)
	{
		band->best = MAX(band->best, batch[i].score);
		band->worst = MIN(band->worst, batch[i].score);
	}
}

double
bands_count_above(const Bands *bands, double estimate)
{
	double above = 0;

	for (uint32_t i = 0; i < bands->count; i++)
	{
		const Band *band = &bands->bands[i];

		if (estimate <= band->worst)
			above += band->count;
		else if (estimate < band->best)
			above += band->count * (band->best - estimate) / (band->best - band->worst);
	}
	return above;
}
