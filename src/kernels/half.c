/*-------------------------------------------------------------------------
 *
 * half.c
 *	  Convert IEEE binary16 to and from float, one value at a time, in plain
 *	  C.
 *
 * The results have the same bits as those of the conversion instructions of
 * x86 and aarch64. Widening is exact. Narrowing rounds to nearest even, and
 * 65,520 or more becomes infinity. A NaN stays a NaN: it becomes quiet and
 * keeps the top bits of its payload.
 *
 *-------------------------------------------------------------------------
 */
#include "kernels/internal.h"

static float
float_from_bits(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static uint32_t
float_bits(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

float
kernel_half_to_float(uint16_t h)
{
	uint32_t sign = (uint32_t) (h & 0x8000) << 16;
	uint32_t exponent = (h >> 10) & 0x1F;
	uint32_t mantissa = h & 0x3FF;

	if (exponent == 0x1F)
		return float_from_bits(sign | 0x7F800000 | (mantissa << 13) |
							   (mantissa != 0 ? 0x400000 : 0));
	if (exponent == 0)
		/* Zero and subnormals: an integer times 2^-24, which is exact. */
		return float_from_bits(sign | float_bits((float) mantissa * 0x1p-24f));
	return float_from_bits(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

uint16_t
kernel_float_to_half(float f)
{
	uint32_t bits = float_bits(f);
	uint16_t sign = (uint16_t) ((bits >> 16) & 0x8000);
	uint32_t magnitude = bits & 0x7FFFFFFF;
	uint32_t rounded;

	if (magnitude > 0x7F800000)
		return (uint16_t) (sign | 0x7E00 | ((magnitude >> 13) & 0x3FF));
	if (magnitude >= 0x477FF000) /* 65,520 rounds to infinity */
		return (uint16_t) (sign | 0x7C00);
	if (magnitude < 0x38800000) /* below 2^-14: a subnormal, in steps of 2^-24 */
	{
		/* After adding 1/2, the low bits hold the multiple of 2^-24, rounded to even. */
		float sum = float_from_bits(magnitude) + 0.5f;

		return (uint16_t) (sign | (float_bits(sum) - 0x3F000000));
	}

	/* Round to nearest even: add half a step less one, and one more if the kept part is odd. */
	rounded = magnitude + 0xFFF + ((magnitude >> 13) & 1);
	return (uint16_t) (sign | ((rounded - 0x38000000) >> 13));
}
