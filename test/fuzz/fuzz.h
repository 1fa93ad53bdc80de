/*-------------------------------------------------------------------------
 *
 * fuzz.h
 *	  Common declarations of the fuzz targets. A target is a function that
 *	  accepts arbitrary bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_FUZZ_H
#define COLBERT_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Abort if a condition does not hold, like a finding of a sanitizer. */
#define FUZZ_CHECK(condition)                                                              \
	do                                                                                     \
	{                                                                                      \
		if (!(condition))                                                                  \
		{                                                                                  \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                       \
		}                                                                                  \
	} while (0)

#endif /* COLBERT_FUZZ_H */
