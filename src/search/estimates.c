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

/* Add a pair to the sums of products of three. Those of two, and the means, are without it yet. */
static void
learn_cubes(EstimateFit *fit, double dx, double dy)
{
	double n = (double) fit->count;
	double scale = (n - 1) * (n - 2) / (n * n);

	fit->cubes.xxx += dx * dx * dx * scale - 3 * dx * fit->xx / n;
	fit->cubes.xxy += dx * dx * dy * scale - (2 * dx * fit->xy + dy * fit->xx) / n;
	fit->cubes.xyy += dx * dy * dy * scale - (2 * dy * fit->xy + dx * fit->yy) / n;
	fit->cubes.yyy += dy * dy * dy * scale - 3 * dy * fit->yy / n;
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
	learn_cubes(fit, dx, dy);
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

/* The share of a normal distribution above this many deviations is taken as 0. */
#define MAX_DEVIATIONS 7.0

/* The largest skewness, and one that is ignored. */
#define MAX_SKEWNESS 1.5
#define MIN_SKEWNESS 0.02

/* Return the share of a skewed distribution above this many deviations (Wilson, Hilferty 1931). */
static double
skewed_tail(double deviations, double skewness)
{
	if (fabs(skewness) >= MIN_SKEWNESS)
		deviations = 6 / skewness * (cbrt(1 + skewness * deviations / 2) - 1) + skewness / 6;
	return deviations > MAX_DEVIATIONS ? 0 : upper_tail(deviations);
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
	bool  some_known = fit->ties.nknown > 0;
	Bins  bins;

	memset(histogram, 0, sizeof(EstimateHistogram));
	for (uint32_t i = 0; i < TIES_KNOWN; i++)
		histogram->copies_outcome[i] = fit->ties.known[i].highest;
	for (uint32_t i = 0; i < count; i++)
	{
		uint32_t group = some_known ? ties_find(&fit->ties, items[i].score) : TIES_KNOWN;

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
		if (is_estimated(&items[i]) &&
			(!some_known || ties_find(&fit->ties, items[i].score) == TIES_KNOWN))
			histogram->counts[bins_find(&bins, items[i].score)]++;
}

/* The outcome that a fit predicts for estimates, compared with one outcome. */
typedef struct Expectation
{
	const EstimateFit *fit;
	double             slope;
	double             deviation;
	double             skewness;
	double             outcome; /* the outcome to exceed */
} Expectation;

/*
 * The slope of a line is shrunk to 1 with the weight of this many outcomes, and
 * its deviation to the prior.
 */
#define SLOPE_WEIGHT     16.0
#define DEVIATION_WEIGHT 8.0

/* Return a deviation from a sum of squared residuals, shrunk to the prior. */
static double
shrunk_deviation(double squares, double count, double prior)
{
	return sqrt((MAX(0.0, squares) + DEVIATION_WEIGHT * prior * prior) /
				(count + DEVIATION_WEIGHT));
}

/*
 * Deviations of the skewness that residuals without any have by chance. Only what
 * exceeds them counts.
 */
#define CHANCE_DEVIATIONS 3.0

/*
 * Return the skewness of the residuals of a line, or 0 if the left tail is the
 * longer one. If the tokens have much in common, most sketch scores say little,
 * and a few documents score far above them.
 */
static double
right_skewness(const EstimateFit *fit, double slope, double deviation)
{
	double n = (double) fit->count;
	double cube;

	if (fit->count == 0)
		return 0;
	cube = fit->cubes.yyy - 3 * slope * fit->cubes.xyy + 3 * slope * slope * fit->cubes.xxy -
		   slope * slope * slope * fit->cubes.xxx;
	cube /= n * deviation * deviation * deviation;
	return MAX(0.0, MIN(MAX_SKEWNESS, cube - CHANCE_DEVIATIONS * sqrt(6 / n)));
}

static Expectation
expect(const EstimateFit *fit, double outcome)
{
	Expectation expectation = {.fit = fit, .outcome = outcome, .slope = 1};
	double      n = (double) fit->count;
	double      slope = 1;
	double      deviation;

	/*
	 * If nothing has been learned (a codec without rows), the estimate itself
	 * is the expected outcome.
	 */
	if (fit->count > 0 && fit->xx > 0)
		slope = MAX(0.0, (fit->xy / fit->xx * n + SLOPE_WEIGHT) / (n + SLOPE_WEIGHT));
	deviation =
		shrunk_deviation(fit->yy - 2 * slope * fit->xy + slope * slope * fit->xx, n, fit->prior);
	expectation.slope = slope;
	if (isfinite(outcome))
		deviation = MAX(deviation, MIN_DEVIATION * fabs(outcome));
	expectation.deviation = MAX(deviation, FLT_MIN);
	expectation.skewness = right_skewness(fit, slope, expectation.deviation);
	return expectation;
}

double
fit_bound(const EstimateFit *fit, double estimate, double deviations)
{
	Expectation line = expect(fit, estimate);
	double      root;

	if (line.skewness < MIN_SKEWNESS)
		return -INFINITY;
	/* The quantile that belongs to skewed_tail(). */
	root = 1 + line.skewness / 6 * (deviations - line.skewness / 6);
	deviations = 2 / line.skewness * (root * root * root - 1);
	return fit->mean_outcome + line.slope * (estimate - fit->mean_estimate) +
		   deviations * line.deviation;
}

/* Return the expected number of documents in a bin whose outcome exceeds the given one. */
static double
expected_of_bin(const Expectation *expectation, const EstimateHistogram *histogram, int bin)
{
	const EstimateFit *fit = expectation->fit;
	double             estimate = histogram->lowest + (bin + 0.5) * histogram->width;
	double mean = fit->mean_outcome + expectation->slope * (estimate - fit->mean_estimate);
	double deviations = (expectation->outcome - mean) / expectation->deviation;

	if (histogram->counts[bin] == 0)
		return 0;
	return histogram->counts[bin] * skewed_tail(deviations, expectation->skewness);
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
fit_expected_of_best(const EstimateFit *fit, const EstimateHistogram *histogram,
					 const ScoreBar *bar, uint32_t n)
{
	Expectation expectation = expect(fit, bar->score);
	double      first = histogram->unknown + copies_above(histogram, bar);
	double      expected = MIN(first, n);
	double      left = n - expected;

	for (int bin = HISTOGRAM_BINS - 1; bin >= 0 && left > 0; bin--)
	{
		double count = histogram->counts[bin];

		if (count == 0)
			continue;
		expected += expected_of_bin(&expectation, histogram, bin) * MIN(1, left / count);
		left -= count;
	}
	return expected;
}

double
fit_expected_above(const EstimateFit *fit, const EstimateHistogram *histogram, const ScoreBar *bar)
{
	return fit_expected_of_best(fit, histogram, bar, UINT32_MAX);
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

/* ---- two stages ahead ---- */

void
histogram_count(EstimateHistogram *histogram, const Candidate *items, uint32_t count, int more)
{
	Bins bins = {histogram->lowest, 1 / histogram->width, HISTOGRAM_BINS};

	for (uint32_t i = 0; i < count; i++)
		histogram->counts[bins_find(&bins, items[i].score)] += more;
}

void
moments_add(PairMoments *moments, const EstimatePair *pair)
{
	PairSums *sums = &moments->sums;
	double    x;
	double    y;

	if (sums->count++ == 0)
		moments->origin = *pair;
	x = pair->estimate - moments->origin.estimate;
	y = pair->outcome - moments->origin.outcome;
	moments->x += x;
	moments->y += y;
	sums->xx += x * x;
	sums->xy += x * y;
	sums->yy += y * y;
	sums->xxx += x * x * x;
	sums->xxy += x * x * y;
	sums->xyy += x * y * y;
	sums->yyy += y * y * y;
}

PairSums
moments_centred(const PairMoments *moments)
{
	const PairSums *s = &moments->sums;
	double          n = MAX(s->count, 1);
	double          mx = moments->x / n;
	double          my = moments->y / n;

	return (PairSums) {
		.count = s->count,
		.xx = s->xx - n * mx * mx,
		.xy = s->xy - n * mx * my,
		.yy = s->yy - n * my * my,
		.xxx = s->xxx - 3 * mx * s->xx + 2 * n * mx * mx * mx,
		.xxy = s->xxy - my * s->xx - 2 * mx * s->xy + 2 * n * mx * mx * my,
		.xyy = s->xyy - mx * s->yy - 2 * my * s->xy + 2 * n * mx * my * my,
		.yyy = s->yyy - 3 * my * s->yy + 2 * n * my * my * my,
	};
}

void
pair_sums_add(PairSums *sums, const PairSums *more, double times)
{
	sums->count += times * more->count;
	sums->xx += times * more->xx;
	sums->xy += times * more->xy;
	sums->yy += times * more->yy;
	sums->xxx += times * more->xxx;
	sums->xxy += times * more->xxy;
	sums->xyy += times * more->xyy;
	sums->yyy += times * more->yyy;
}

SkewedFit
skewed_fit(const PairMoments *moments, const PairSums *others, double prior)
{
	PairSums  m = moments_centred(moments);
	SkewedFit fit = {.slope = 1};
	double    own = MAX(moments->sums.count, 1);
	double    n;
	double    slope;

	pair_sums_add(&m, others, 1);
	n = MAX(m.count, 1);
	slope = m.xx > 0 ? MAX(0.0, m.xy / m.xx) : 0;
	fit.count = (uint32_t) m.count;
	fit.mean_estimate = moments->origin.estimate + moments->x / own;
	fit.mean_outcome = moments->origin.outcome + moments->y / own;
	fit.slope = slope;
	fit.deviation = shrunk_deviation(m.yy - 2 * slope * m.xy + slope * slope * m.xx, n, prior);
	fit.cube =
		(m.yyy - 3 * slope * m.xyy + 3 * slope * slope * m.xxy - slope * slope * slope * m.xxx) / n;
	return fit;
}

/* Number of residuals whose skewness counts half. */
#define SKEWNESS_WEIGHT 200.0

/* The outcome two stages ahead, compared with a bar. */
typedef struct SkewedExpectation
{
	const SkewedFit   *first;
	const EstimateFit *second;
	double             bar;
	double             slope; /* of the second stage */
	double             deviation;
	double             skewness;
} SkewedExpectation;

static SkewedExpectation
expect_skewed(const SkewedFit *first, const EstimateFit *second, double bar)
{
	Expectation expectation = expect(second, bar);
	double      slope = expectation.slope;
	double      variance = expectation.deviation * expectation.deviation +
					  slope * slope * first->deviation * first->deviation;
	double deviation = sqrt(variance);
	double skewness = slope * slope * slope * first->cube / (variance * deviation) * first->count /
					  (first->count + SKEWNESS_WEIGHT);

	return (SkewedExpectation) {first, second,    bar,
								slope, deviation, MAX(-MAX_SKEWNESS, MIN(MAX_SKEWNESS, skewness))};
}

/* Return the share of the documents of a bin that is expected to exceed the bar. */
static double
skewed_share(const SkewedExpectation *expectation, const EstimateHistogram *histogram, int bin)
{
	const SkewedFit   *first = expectation->first;
	const EstimateFit *second = expectation->second;
	double             estimate = histogram->lowest + (bin + 0.5) * histogram->width;
	double sketch = first->mean_outcome + first->slope * (estimate - first->mean_estimate);
	double outcome = second->mean_outcome + expectation->slope * (sketch - second->mean_estimate);
	double deviations = (expectation->bar - outcome) / expectation->deviation;

	return deviations < MAX_DEVIATIONS ? skewed_tail(deviations, expectation->skewness) : 0;
}

double
skewed_expected_of_best(const SkewedFit *first, const EstimateFit *second,
						const EstimateHistogram *histogram, double bar, uint32_t n)
{
	SkewedExpectation expectation = expect_skewed(first, second, bar);
	double            expected = 0;
	double            left = n;

	for (int bin = HISTOGRAM_BINS - 1; bin >= 0 && left > 0; bin--)
	{
		double count = MIN(histogram->counts[bin], left);

		if (count > 0)
			expected += count * skewed_share(&expectation, histogram, bin);
		left -= count;
	}
	return expected;
}

uint32_t
skewed_count_promising(const SkewedFit *first, const EstimateFit *second,
					   const EstimateHistogram *histogram, double bar, double max_misses)
{
	SkewedExpectation expectation = expect_skewed(first, second, bar);
	double            expected = 0;
	uint32_t          worth = 0;

	for (int bin = 0; bin < HISTOGRAM_BINS; bin++)
	{
		if (histogram->counts[bin] > 0 && expected <= max_misses)
			expected += histogram->counts[bin] * skewed_share(&expectation, histogram, bin);
		if (expected > max_misses)
			worth += histogram->counts[bin];
	}
	return worth;
}

double
errors_deviation(const ErrorStats *errors)
{
	if (errors->prior > 0 && errors->count > 0)
		return shrunk_deviation(errors->squares, (double) errors->count - 1, errors->prior);
	return errors->count > 1 ? sqrt(errors->squares / (errors->count - 1)) : 0;
}

double
errors_bound(const ErrorStats *errors, double estimate, double deviations)
{
	double deviation = errors_deviation(errors);

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
