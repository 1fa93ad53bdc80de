/*-------------------------------------------------------------------------
 *
 * bins.h
 *	  Divide a range of floats into bins of equal width.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_BINS_H
#define COLBERT_BINS_H

#include <stdint.h>

typedef struct Bins
{
	float    lowest;
	float    per_value; /* bins per unit of a value */
	uint32_t count;
} Bins;

/*
 * Make count bins over lowest .. highest. A range of zero width, or one whose
 * width overflows a float, is valid: its values fall into very few bins.
 */
static inline Bins
bins_of(float lowest, float highest, uint32_t count)
{
	return (Bins) {lowest, (float) count / (highest - lowest), count};
}

/*
 * Return the bin of a value, 0 .. count - 1. A larger value never has a lower
 * bin. Values outside the range belong to the outermost bins, NaN to the
 * lowest.
 */
static inline uint32_t
bins_find(const Bins *bins, float value)
{
	float bin = (value - bins->lowest) * bins->per_value;

	return bin > 0 ? (bin < (float) (bins->count - 1) ? (uint32_t) bin : bins->count - 1) : 0;
}

#endif /* COLBERT_BINS_H */
