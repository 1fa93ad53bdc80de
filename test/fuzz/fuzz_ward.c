/*-------------------------------------------------------------------------
 *
 * fuzz_ward.c
 *	  Cluster arbitrary tokens with few distinct elements, so that most
 *	  distances tie.
 *
 * The first byte is the number of dims. Each further byte selects one of eight
 * element values.
 *
 *-------------------------------------------------------------------------
 */
#include "../unit/ward_check.h"
#include "fuzz.h"

#define MAX_NUMBERS 4096

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const float numbers[] = {0, 1, -1, 2, -2, .5f, .1f, 1e-30f};
	static float       tokens[MAX_NUMBERS];
	uint32_t           dim = size > 0 ? data[0] % 32 + 1 : 1;
	size_t             nnumbers = size > 0 ? size - 1 : 0;
	uint32_t           ntokens;

	ntokens = (uint32_t) ((nnumbers < MAX_NUMBERS ? nnumbers : MAX_NUMBERS) / dim);
	if (ntokens == 0)
		return 0;
	for (size_t i = 0; i < (size_t) ntokens * dim; i++)
		tokens[i] = numbers[data[i + 1] % 8];
	FUZZ_CHECK(ward_is_sound(tokens, ntokens, dim, 5));
	return 0;
}
