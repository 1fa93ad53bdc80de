/*-------------------------------------------------------------------------
 *
 * fuzz.h
 *	  What the fuzz targets share. Each is one function of any bytes.
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

/* A broken promise ends the process, as a sanitizer's finding does. */
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
