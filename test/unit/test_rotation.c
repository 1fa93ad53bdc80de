/*-------------------------------------------------------------------------
 *
 * test_rotation.c
 *	  Compare the rotation with plain double-precision arithmetic.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "tap.h"
#include "vectors.h"

/* Return true if lengths and inner products are preserved, and the inverse restores the vector. */
static bool
rotation_is_orthonormal(uint32_t dim)
{
	Rotation *rotation = new_rotation(dim, dim * 77);
	float    *in = sample_floats(SAMPLE_ORDINARY, 4 * (size_t) dim);
	float    *out = sample_memory(sizeof(float) * 4 * rotation->padded);
	float    *back = sample_memory(sizeof(float) * dim);
	bool      good = true;

	for (int i = 0; i < 4; i++)
		rotation_apply(rotation, in + (size_t) i * dim, out + (size_t) i * rotation->padded);
	for (int i = 0; i < 4; i++)
		for (int j = 0; j <= i; j++)
		{
			const float *a = in + (size_t) i * dim;
			const float *b = in + (size_t) j * dim;
			double       before = inner(a, b, dim);
			double       after = inner(out + (size_t) i * rotation->padded,
									   out + (size_t) j * rotation->padded, rotation->padded);
			double       scale = sqrt(inner(a, a, dim) * inner(b, b, dim));

			good = good && fabs(before - after) <= 2e-6 * scale;
		}
	for (int i = 0; i < 4; i++)
	{
		rotation_revert(rotation, out + (size_t) i * rotation->padded, back);
		for (uint32_t k = 0; k < dim; k++)
			good = good && fabs((double) back[k] - in[(size_t) i * dim + k]) <= 4e-6;
	}
	free(back);
	free(out);
	free(in);
	free(rotation);
	return good;
}

static void
test_rotation(void)
{
	const uint32_t dims[] = {96, 100, 127, 128, 129, 768, 1000, 1024, 4100, 16000};
	uint32_t       good = 0;

	for (uint32_t dim = 1; dim <= 70; dim++)
		good += rotation_is_orthonormal(dim);
	tap_ok(good == 70, "rotation is orthonormal: %u of dims 1 .. 70", good);
	for (size_t i = 0; i < sizeof(dims) / sizeof(dims[0]); i++)
		tap_ok(rotation_is_orthonormal(dims[i]), "rotation is orthonormal for %u dims", dims[i]);
}

/* Check that each coordinate spreads over all others: no output of a unit vector is large. */
static void
test_mixing(void)
{
	const uint32_t dims[] = {96, 128, 768, 1000};

	for (size_t i = 0; i < sizeof(dims) / sizeof(dims[0]); i++)
	{
		uint32_t  dim = dims[i];
		Rotation *rotation = new_rotation(dim, 5);
		float    *in = sample_memory(sizeof(float) * dim);
		float    *out = sample_memory(sizeof(float) * rotation->padded);
		float     largest = 0;

		for (uint32_t k = 0; k < dim; k++)
		{
			memset(in, 0, sizeof(float) * dim);
			in[k] = 1;
			rotation_apply(rotation, in, out);
			for (uint32_t j = 0; j < rotation->padded; j++)
				largest = fmaxf(largest, fabsf(out[j]));
		}
		tap_ok(largest < 7 / sqrtf((float) rotation->padded),
			   "%u dims: the largest entry is %.2f / sqrt(dim)", dim,
			   largest * sqrtf((float) rotation->padded));
		free(out);
		free(in);
		free(rotation);
	}
}

/*
 * Check the bits of the rotation, which the on-disk format depends on. If they
 * change, the format changes.
 */
static void
test_rotation_bits(void)
{
	const uint32_t dims[] = {20, 128, 200};
	const uint64_t expected[] = {UINT64_C(0x8d24eee0dabf84e0), UINT64_C(0x28b44b401c89723b),
								 UINT64_C(0x028f1fda4c7f9ba1)};

	for (size_t i = 0; i < sizeof(dims) / sizeof(dims[0]); i++)
	{
		uint32_t  dim = dims[i];
		Rotation *rotation = new_rotation(dim, 42);
		float    *in = sample_memory(sizeof(float) * dim);
		float    *centre = calloc(dim, sizeof(float));
		float    *out = sample_memory(sizeof(float) * 2 * rotation->padded);
		uint64_t  hash = UINT64_C(14695981039346656037);

		for (uint32_t k = 0; k < dim; k++)
			in[k] = 1.0f / (float) (k + 3);
		rotation_apply(rotation, in, out);
		rotation_apply_centred(rotation, in, centre, out + rotation->padded);
		for (size_t j = 0; j < sizeof(float) * rotation->padded; j++)
			hash = (hash ^ ((uint8_t *) out)[j]) * UINT64_C(1099511628211);
		tap_ok(hash == expected[i], "%u dims: the bits of the format (%016llx)", dim,
			   (unsigned long long) hash);
		tap_ok(memcmp(out, out + rotation->padded, sizeof(float) * rotation->padded) == 0,
			   "%u dims: centred on zero is the same", dim);
		free(out);
		free(centre);
		free(in);
		free(rotation);
	}
}

int
main(void)
{
	kernels_init();
	test_rotation();
	test_mixing();
	test_rotation_bits();
	return tap_done();
}
