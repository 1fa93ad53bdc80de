/*-------------------------------------------------------------------------
 *
 * estimates.h
 *	  How far the estimates of one stage are off from the next, and what that
 *	  lets expect of documents that the next stage has not seen.
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

/* How far estimates were off so far: running mean and variance (Welford 1962). */
typedef struct ErrorStats
{
	uint64_t count;
	double   mean;
	double   squares;
} ErrorStats;

/*
 * What one stage's estimates say of the next one's: a line, and how far from
 * it (least squares, running); and what copies are known to come out at.
 */
typedef struct EstimateFit
{
	uint64_t count;
	double   mean_estimate;
	double   mean_outcome;
	double   xx;
	double   xy;
	double   yy;
	Ties     ties;
} EstimateFit;

/* How many of a list have which estimates. */
#define HISTOGRAM_BINS 64

typedef struct EstimateHistogram
{
	float    lowest;
	float    width;
	uint32_t counts[HISTOGRAM_BINS];
	uint32_t unknown; /* without an estimate: they may be anything */

	/* Groups of copies whose outcome is known are in no bin. */
	uint32_t ncopies[TIES_KNOWN];
	double   copies_outcome[TIES_KNOWN];
} EstimateHistogram;

/* What a document has to score above: as code rows score, and exactly. */
typedef struct ScoreBar
{
	double      score;
	double      exact;
	const Ties *ties; /* of code scores: what copies score exactly */
} ScoreBar;

/* Of the documents of a batch: how many, and between which estimates by sketch. */
typedef struct Band
{
	uint32_t count;
	float    best;
	float    worst;
} Band;

/* Batches with a band of their own. */
#define MAX_BANDS 32

typedef struct Bands
{
	Band     bands[MAX_BANDS]; /* the last is of all batches that came after */
	uint32_t count;
} Bands;

extern void errors_learn(ErrorStats *errors, double error);

/* The highest score that is expected of an estimate: the estimate, plus the mean error, plus this many deviations. */
extern double errors_bound(const ErrorStats *errors, double estimate, double deviations);

/* A batch begins: copies of its last document are those that may be left. */
extern void fit_begin_batch(EstimateFit *fit, const Candidate *batch, uint32_t count);
extern void fit_learn(EstimateFit *fit, double estimate, double outcome);
extern void histogram_fill(EstimateHistogram *histogram, const Candidate *items, uint32_t count,
						   const EstimateFit *fit);

/* Are copies with this outcome known to be no better than the bar? */
extern bool fit_copies_are_below(double outcome, const ScoreBar *bar);

/* How many of the list are expected to come out above the bar. */
extern double fit_expected_above(const EstimateFit *fit, const EstimateHistogram *histogram,
								 const ScoreBar *bar);

/*
 * How many of the list, the best of it, are worth looking at: all without an
 * estimate; and of the others no more than max_misses are expected to come out
 * above the bar.
 */
extern uint32_t fit_count_promising(const EstimateFit *fit, const EstimateHistogram *histogram,
									const ScoreBar *bar, double max_misses);

/* Remember between which estimates a batch lies. */
extern void bands_add(Bands *bands, const Candidate *batch, uint32_t count);

/* How many documents of the batches have at least this estimate. */
extern double bands_count_above(const Bands *bands, double estimate);

#endif /* COLBERT_ESTIMATES_H */
