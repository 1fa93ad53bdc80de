/*-------------------------------------------------------------------------
 *
 * sample.h
 *	  Random vectors for the unit tests: repeatable, and including difficult
 *	  cases.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SAMPLE_H
#define COLBERT_SAMPLE_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

typedef enum SampleKind
{
	SAMPLE_ORDINARY, /* uniform in -1 .. 1 */
	SAMPLE_TINY,     /* products are subnormal or underflow */
	SAMPLE_HUGE,     /* sums overflow, and infinities cancel to NaN */
	SAMPLE_ZEROS,    /* zeros of both signs */
	SAMPLE_EQUAL,    /* few distinct values: many equal maxima */
	SAMPLE_MIXED,    /* any of the above, chosen for each value */
	SAMPLE_KINDS
} SampleKind;

static const char *const sample_names[] = {"ordinary", "tiny", "huge", "zeros", "equal", "mixed"};

static uint64_t sample_state = 0x9E3779B97F4A7C15;

static inline uint32_t
sample_bits(void)
{
	sample_state ^= sample_state << 13;
	sample_state ^= sample_state >> 7;
	sample_state ^= sample_state << 17;
	return (uint32_t) (sample_state >> 32);
}

/* Return a random number from low to high, both included. */
static inline uint32_t
sample_range(uint32_t low, uint32_t high)
{
	return low + sample_bits() % (high - low + 1);
}

static inline float
sample_float(SampleKind kind)
{
	float uniform = (float) (int32_t) sample_bits() * 0x1p-31f;

	switch (kind)
	{
		case SAMPLE_TINY:
			return uniform * ((sample_bits() & 1) ? 0x1p-75f : 0x1p-140f);
		case SAMPLE_HUGE:
			return uniform * ((sample_bits() & 1) ? 0x1p127f : 0x1p66f);
		case SAMPLE_ZEROS:
			return uniform > 0.9f ? 1.0f : uniform > 0 ? 0.0f : -0.0f;
		case SAMPLE_EQUAL:
			return (float) ((int32_t) (sample_bits() % 3) - 1) * 0.5f;
		case SAMPLE_MIXED:
			return sample_float((SampleKind) (sample_bits() % SAMPLE_MIXED));
		default:
			return uniform;
	}
}

static inline void *
sample_memory(size_t size)
{
	void *p = malloc(size > 0 ? size : 1);

	if (p == NULL)
	{
		fprintf(stderr, "out of memory\n");
		exit(2);
	}
	return p;
}

/*
 * Allocate memory that ends just before an inaccessible page. Reading one byte
 * beyond it ends the program, even in instructions that sanitizers do not
 * instrument.
 */
#define SAMPLE_PAGE ((size_t) 65536)

static inline size_t
sample_guarded_pages(size_t size)
{
	return (size + SAMPLE_PAGE - 1) / SAMPLE_PAGE * SAMPLE_PAGE;
}

static inline void *
sample_guarded(size_t size)
{
	size_t pages = sample_guarded_pages(size);
	char  *p =
		mmap(NULL, pages + SAMPLE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + pages, SAMPLE_PAGE, PROT_NONE) != 0)
	{
		fprintf(stderr, "out of memory\n");
		exit(2);
	}
	return p + pages - size;
}

static inline void
sample_guarded_free(void *p, size_t size)
{
	size_t pages = sample_guarded_pages(size);

	munmap((char *) p + size - pages, pages + SAMPLE_PAGE);
}

static inline float *
sample_floats(SampleKind kind, size_t n)
{
	float *floats = sample_memory(n * sizeof(float));

	for (size_t i = 0; i < n; i++)
		floats[i] = sample_float(kind);
	return floats;
}

/* Return true if both have the same bits, or both are NaN. */
static inline bool
same_float(float a, float b)
{
	return memcmp(&a, &b, sizeof(float)) == 0 || (isnan(a) && isnan(b));
}

#endif /* COLBERT_SAMPLE_H */
