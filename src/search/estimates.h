/*-------------------------------------------------------------------------
 *
 * estimates.h
 *	  Statistics of how much the estimates of one stage differ from the scores
 *	  of the next, and the predictions that follow for documents that the next
 *	  stage has not seen.
 *
 * Plain C without PostgreSQL; never allocates.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_ESTIMATES_H
#define COLBERT_ESTIMATES_H

#include <stdbool.h>
#include <stdint.h>

#include "search/candidates.h"
#include "search/ties.h"

/* Running mean and variance of estimation errors (Welford 1962). */
typedef struct ErrorStats
{
	uint64_t count;
	double   mean;
	double   squares;
	double   prior; /* deviation assumed before errors are known; 0: none */
} ErrorStats;

/* Sums of products of three members of pairs. x: estimates, y: outcomes. */
typedef struct CubeSums
{
	double xxx;
	double xxy;
	double xyy;
	double yyy;
} CubeSums;

/*
 * A running least-squares line that predicts the next stage's outcome from this
 * stage's estimate, with the deviation and the skewness of its residuals, and the
 * known outcomes of copies. The sums of products are relative to the means.
 */
typedef struct EstimateFit
{
	uint64_t count;
	double   mean_estimate;
	double   mean_outcome;
	double   xx;
	double   xy;
	double   yy;
	CubeSums cubes;
	double   prior; /* deviation assumed before outcomes are known */
	Ties     ties;
} EstimateFit;

/* A document's estimate and its outcome at the next stage. */
typedef struct EstimatePair
{
	uint32_t doc;
	float    estimate;
	float    outcome;
} EstimatePair;

/* Number of pairs, and sums of products of two and three of their members. */
typedef struct PairSums
{
	double count;
	double xx;
	double xy;
	double yy;
	double xxx;
	double xxy;
	double xyy;
	double yyy;
} PairSums;

/* Sums over pairs, relative to the first one. x: estimates, y: outcomes. */
typedef struct PairMoments
{
	EstimatePair origin;
	double       x;
	double       y;
	PairSums     sums;
} PairMoments;

/*
 * A least-squares line whose residuals may be skewed: the sum over the tokens of
 * a long query falls short of its estimate more often than it exceeds it.
 */
typedef struct SkewedFit
{
	uint32_t count;
	double   mean_estimate;
	double   mean_outcome;
	double   slope;
	double   deviation;
	double   cube; /* mean cubed residual */
} SkewedFit;

/* Histogram of the estimates in a list. */
#define HISTOGRAM_BINS 64

typedef struct EstimateHistogram
{
	float    lowest;
	float    width;
	uint32_t counts[HISTOGRAM_BINS];
	uint32_t unknown; /* documents without an estimate: any outcome is possible */

	/* Groups of copies with a known outcome are counted here and not in the bins. */
	uint32_t ncopies[TIES_KNOWN];
	double   copies_outcome[TIES_KNOWN];
} EstimateHistogram;

/* The score that a document must exceed, both as a code score and as an exact score. */
typedef struct ScoreBar
{
	double      score;
	double      exact;
	const Ties *ties; /* exact scores of copies, by their code scores */
} ScoreBar;

/* Number and range of the sketch estimates in a batch of documents. */
typedef struct Band
{
	uint32_t count;
	float    best;
	float    worst;
} Band;

/* Number of bands. Further batches share the last one. */
#define MAX_BANDS 32

typedef struct Bands
{
	Band     bands[MAX_BANDS]; /* the last one covers all later batches */
	uint32_t count;
} Bands;

extern void   errors_learn(ErrorStats *errors, double error);
extern double errors_deviation(const ErrorStats *errors);

/*
 * Return the highest score expected for an estimate: the estimate, plus the
 * mean error, plus this many standard deviations.
 */
extern double errors_bound(const ErrorStats *errors, double estimate, double deviations);

/*
 * Return the highest outcome expected for an estimate by a line whose residuals
 * are skewed to the right: that which a share of a normal distribution exceeds
 * beyond this many deviations. -INFINITY: they are not skewed.
 */
extern double fit_bound(const EstimateFit *fit, double estimate, double deviations);

/*
 * Begin a batch. From now on, count the copies of its worst document, because
 * more of them may be among the documents left.
 */
extern void fit_begin_batch(EstimateFit *fit, const Candidate *batch, uint32_t count);
extern void fit_learn(EstimateFit *fit, double estimate, double outcome);
extern void histogram_fill(EstimateHistogram *histogram, const Candidate *items, uint32_t count,
						   const EstimateFit *fit);

/* Return true if copies with this outcome are known not to exceed the bar. */
extern bool fit_copies_are_below(double outcome, const ScoreBar *bar);

/*
 * Return the number of documents in the list that are expected to exceed the
 * bar. All documents without an estimate count.
 */
extern double fit_expected_above(const EstimateFit *fit, const EstimateHistogram *histogram,
								 const ScoreBar *bar);

/* The same for the best n documents of the list. */
extern double fit_expected_of_best(const EstimateFit *fit, const EstimateHistogram *histogram,
								   const ScoreBar *bar, uint32_t n);

extern void moments_add(PairMoments *moments, const EstimatePair *pair);

/* Return the sums relative to the means, which several lists of pairs can share. */
extern PairSums moments_centred(const PairMoments *moments);

/* Add the sums of "more", "times" times. */
extern void pair_sums_add(PairSums *sums, const PairSums *more, double times);

/*
 * Fit a line to pairs. others: pairs of other indexes that have the same slope
 * and residuals, at another height. prior: deviation assumed before outcomes
 * are known.
 */
extern SkewedFit skewed_fit(const PairMoments *moments, const PairSums *others, double prior);

/* Count the estimates of a list whose bins are fixed; "more" is 1, or -1 to take them off again. */
extern void histogram_count(EstimateHistogram *histogram, const Candidate *items, uint32_t count,
							int more);

/*
 * Return the number of documents that are expected to exceed the bar two stages
 * later, among the best n of a list: "first" predicts the outcome of one stage,
 * and "second" that of the other.
 */
extern double skewed_expected_of_best(const SkewedFit *first, const EstimateFit *second,
									  const EstimateHistogram *histogram, double bar, uint32_t n);

/*
 * Return how many documents of the list, best first, are worth it: of the
 * others, at most max_misses are expected to exceed the bar.
 */
extern uint32_t skewed_count_promising(const SkewedFit *first, const EstimateFit *second,
									   const EstimateHistogram *histogram, double bar,
									   double max_misses);

/*
 * Return how many documents of the list, best first, are worth scoring. All
 * documents without an estimate are. Of the documents left out, at most
 * max_misses are expected to exceed the bar.
 */
extern uint32_t fit_count_promising(const EstimateFit *fit, const EstimateHistogram *histogram,
									const ScoreBar *bar, double max_misses);

/* Record the range of a batch's estimates. */
extern void bands_add(Bands *bands, const Candidate *batch, uint32_t count);

/* Return the approximate number of documents in the batches that have at least this estimate. */
extern double bands_count_above(const Bands *bands, double estimate);

#endif /* COLBERT_ESTIMATES_H */
