/*-------------------------------------------------------------------------
 *
 * bins.h
 *	  A range of floats, cut into bins of equal width.
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

/* A range of no width, or one too wide for a float, gives bins too, though they tell little apart. */
static inline Bins
bins_of(float lowest, float highest, uint32_t count)
{
	return (Bins) {lowest, (float) count / (highest - lowest), count};
}

/*
 * The bin of a value, 0 .. count - 1; larger values have higher bins. Values
 * outside the range are in the outermost bins, NaN in the lowest.
 */
static inline uint32_t
bins_find(const Bins *bins, float value)
{
	float bin = (value - bins->lowest) * bins->per_value;

	return bin > 0 ? (bin < (float) (bins->count - 1) ? (uint32_t) bin : bins->count - 1) : 0;
}

#endif /* COLBERT_BINS_H */
