/*-------------------------------------------------------------------------
 *
 * test_vec.c
 *	  Sums over dims: their order, and that each dim is read exactly once.
 *
 *-------------------------------------------------------------------------
 */
#include "base/vec.h"
#include "sample.h"
#include "tap.h"

#define MAX_DIM 100

/*
 * Sum the terms in the documented order: dim k into partial sum k mod 16, in
 * order of dims, and then the partial sums pairwise.
 */
static float
total_of(const float *terms, uint32_t n)
{
	float s[VEC_PARTS] = {0};

	for (uint32_t k = 0; k < n; k++)
		s[k % VEC_PARTS] += terms[k];
	for (int j = 0; j < 4; j++)
		s[j] = (s[j] + s[4 + j]) + (s[8 + j] + s[12 + j]);
	return (s[0] + s[2]) + (s[1] + s[3]);
}

/*
 * Check all sums of a length. Vectors end where their memory ends, so that
 * reads beyond them are detected.
 */
static bool
sums_are_ordered(uint32_t n, SampleKind kind)
{
	size_t bytes = n * sizeof(float);
	float *x = sample_guarded(bytes);
	float *y = sample_guarded(bytes);
	float  products[MAX_DIM];
	float  squares[MAX_DIM];
	float  differences[MAX_DIM];
	bool   same;

	for (uint32_t k = 0; k < n; k++)
	{
		x[k] = sample_float(kind);
		y[k] = sample_float(kind);
		products[k] = x[k] * y[k];
		squares[k] = x[k] * x[k];
		differences[k] = (x[k] - y[k]) * (x[k] - y[k]);
	}
	same = same_float(vec_dot(x, y, n), total_of(products, n)) &&
		   same_float(vec_squared(x, n), total_of(squares, n)) &&
		   same_float(vec_squared_distance(x, y, n), total_of(differences, n)) &&
		   same_float(vec_squared_distance(x, x, n), 0);
	if (!same)
		tap_diag("%u dims", n);
	sample_guarded_free(y, bytes);
	sample_guarded_free(x, bytes);
	return same;
}

/* Return true if zero dims at the end change no sum. */
static bool
padding_is_neutral(void)
{
	float x[MAX_DIM + VEC_PARTS] = {0};
	float y[MAX_DIM + VEC_PARTS] = {0};

	for (uint32_t n = 0; n <= MAX_DIM; n++)
	{
		if (n > 0)
		{
			x[n - 1] = sample_float(SAMPLE_ORDINARY);
			y[n - 1] = sample_float(SAMPLE_ORDINARY);
		}
		if (!same_float(vec_dot(x, y, n), vec_dot(x, y, n + VEC_PARTS)) ||
			!same_float(vec_squared_distance(x, y, n), vec_squared_distance(x, y, n + VEC_PARTS)))
			return false;
	}
	return true;
}

static void
test_signs(void)
{
	const float x[VEC_PARTS] = {1, -2,  3,  -4,  0.0f, -0.0f, 7,  -8,
								9, -10, 11, -12, 13,   -14,   15, -16};
	const float y[VEC_PARTS] = {-1, -1, 1, 1, -0.0f, -1, -1, -1, 1, 1, 1, 1, -1, 1, -1, 1};
	float       flipped[VEC_PARTS];
	float       absolute[VEC_PARTS];
	bool        right = true;

	vec_store(flipped, vec_flip(vec_load(x), vec_load(y)));
	vec_store(absolute, vec_flip(vec_load(x), vec_load(x)));
	for (int k = 0; k < VEC_PARTS; k++)
		right &= same_float(flipped[k], copysignf(1.0f, y[k]) * x[k]) &&
				 same_float(absolute[k], fabsf(x[k]));
	tap_ok(right, "signs are flipped, also those of zeros");
}

int
main(void)
{
	for (int kind = 0; kind < SAMPLE_KINDS; kind++)
	{
		bool same = true;

		for (uint32_t n = 0; n <= MAX_DIM; n++)
			same &= sums_are_ordered(n, (SampleKind) kind);
		tap_ok(same, "%s values of 0 to %d dims: dot products, squares and distances in order",
			   sample_names[kind], MAX_DIM);
	}
	tap_ok(padding_is_neutral(), "dims of 0 change no sum");
	test_signs();
	return tap_done();
}
