/*-------------------------------------------------------------------------
 *
 * rotation.c
 *	  A fixed fast rotation: random signs and Hadamard passes.
 *
 * A pass flips signs and transforms one window whose length is a power of two.
 * If the padded dim is not a power of two, it transforms two overlapping
 * windows. A window is scaled by 1/sqrt(length) before its butterflies, so
 * that no intermediate sum exceeds the length of the vector. Nothing overflows
 * unless that length would.
 *
 * Every output is one tree of single-precision additions, whatever the vector
 * width, so all instruction sets give the same bits.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/rotation.h"

#include <math.h>
#include <string.h>

#include "base/quad.h"
#include "base/splitmix.h"

/* Return the largest power of two that does not exceed padded. */
static uint32_t
window_length(uint32_t padded)
{
	uint32_t length = 32;

	while (length <= padded / 2)
		length *= 2;
	return length;
}

size_t
rotation_size(uint32_t dim)
{
	return offsetof(Rotation, signs) +
		   sizeof(float) * ROTATION_PASSES * (size_t) rotation_padded(dim);
}

void
rotation_init(Rotation *rotation, uint32_t dim, uint64_t seed)
{
	uint64_t state = seed;
	uint64_t bits = 0;
	uint32_t padded = rotation_padded(dim);

	rotation->dim = dim;
	rotation->padded = padded;
	for (size_t i = 0; i < (size_t) ROTATION_PASSES * padded; i++)
	{
		if (i % 64 == 0)
			bits = splitmix_next(&state);
		rotation->signs[i] = (bits >> (i % 64)) & 1 ? 1.0f : -1.0f;
	}
}

/*
 * Scale a window and do the butterflies at distances 1, 2, 4 and 8 in
 * registers, sixteen floats at a time.
 */
static void
transform_sixteens(float *x, uint32_t length, float scale)
{
	const Quad odd = {1.0f, -1.0f, 1.0f, -1.0f};
	const Quad high = {1.0f, 1.0f, -1.0f, -1.0f};

	for (uint32_t i = 0; i < length; i += 16)
	{
		Quad q[4];
		Quad s0, s1, d0, d1;

		for (int j = 0; j < 4; j++)
		{
			q[j] = quad_load(x + i + 4 * j) * scale;
			q[j] = quad_shuffle(q[j], q[j], 1, 0, 3, 2) + q[j] * odd;
			q[j] = quad_shuffle(q[j], q[j], 2, 3, 0, 1) + q[j] * high;
		}
		s0 = q[0] + q[1];
		d0 = q[0] - q[1];
		s1 = q[2] + q[3];
		d1 = q[2] - q[3];
		quad_store(x + i, s0 + s1);
		quad_store(x + i + 4, d0 + d1);
		quad_store(x + i + 8, s0 - s1);
		quad_store(x + i + 12, d0 - d1);
	}
}

/* Do the butterflies at one distance, a multiple of 4. */
static void
transform_pairs(float *x, uint32_t length, uint32_t distance)
{
	for (uint32_t block = 0; block < length; block += 2 * distance)
		for (uint32_t i = block; i < block + distance; i += 4)
		{
			Quad a = quad_load(x + i);
			Quad b = quad_load(x + i + distance);

			quad_store(x + i, a + b);
			quad_store(x + i + distance, a - b);
		}
}

/* Do the butterflies at a distance and at twice that distance, in one pass over memory. */
static void
transform_fours(float *x, uint32_t length, uint32_t distance)
{
	for (uint32_t block = 0; block < length; block += 4 * distance)
		for (uint32_t i = block; i < block + distance; i += 4)
		{
			Quad a = quad_load(x + i);
			Quad b = quad_load(x + i + distance);
			Quad c = quad_load(x + i + 2 * distance);
			Quad d = quad_load(x + i + 3 * distance);
			Quad s0 = a + b;
			Quad d0 = a - b;
			Quad s1 = c + d;
			Quad d1 = c - d;

			quad_store(x + i, s0 + s1);
			quad_store(x + i + distance, d0 + d1);
			quad_store(x + i + 2 * distance, s0 - s1);
			quad_store(x + i + 3 * distance, d0 - d1);
		}
}

/* Apply the orthonormal Hadamard transform to a window, in place. */
static void
transform_window(float *x, uint32_t length)
{
	uint32_t distance = 16;

	transform_sixteens(x, length, 1.0f / sqrtf((float) length));
	for (; 4 * distance <= length; distance *= 4)
		transform_fours(x, length, distance);
	if (2 * distance <= length)
		transform_pairs(x, length, distance);
}

/* Do all passes. The caller has applied the signs of the first. */
static void
transform_passes(const Rotation *rotation, float *x)
{
	uint32_t padded = rotation->padded;
	uint32_t length = window_length(padded);

	for (int pass = 0; pass < ROTATION_PASSES; pass++)
	{
		const float *signs = rotation->signs + (size_t) pass * padded;

		if (pass > 0)
			for (uint32_t i = 0; i < padded; i += 4)
				quad_store(x + i, quad_load(x + i) * quad_load(signs + i));
		transform_window(x, length);
		if (length < padded)
			transform_window(x + (padded - length), length);
	}
}

void
rotation_apply(const Rotation *rotation, const float *in, float *out)
{
	for (uint32_t i = 0; i < rotation->dim; i++)
		out[i] = in[i] * rotation->signs[i];
	for (uint32_t i = rotation->dim; i < rotation->padded; i++)
		out[i] = 0.0f;
	transform_passes(rotation, out);
}

void
rotation_apply_centred(const Rotation *rotation, const float *in, const float *centre, float *out)
{
	for (uint32_t i = 0; i < rotation->dim; i++)
		out[i] = (in[i] - centre[i]) * rotation->signs[i];
	for (uint32_t i = rotation->dim; i < rotation->padded; i++)
		out[i] = 0.0f;
	transform_passes(rotation, out);
}

/* The transform of a window is its own inverse, and so is a flip of signs. */
void
rotation_revert(const Rotation *rotation, float *in, float *out)
{
	uint32_t padded = rotation->padded;
	uint32_t length = window_length(padded);

	for (int pass = ROTATION_PASSES - 1; pass >= 0; pass--)
	{
		const float *signs = rotation->signs + (size_t) pass * padded;

		if (length < padded)
			transform_window(in + (padded - length), length);
		transform_window(in, length);
		for (uint32_t i = 0; i < padded; i += 4)
			quad_store(in + i, quad_load(in + i) * quad_load(signs + i));
	}
	memcpy(out, in, rotation->dim * sizeof(float));
}
