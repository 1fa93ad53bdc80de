/*-------------------------------------------------------------------------
 *
 * allot.c
 *	  Allot children to parents.
 *
 * Shares are proportional to the number of distinct points of a parent: a
 * thousand equal tokens need one centroid, and could not use more.
 *
 *-------------------------------------------------------------------------
 */
#include "kmeans/internal.h"

#include <string.h>

#include "base/splitmix.h"

/* Return a hash of one point's bytes. */
static uint64_t
hash_point(const uint16_t *point, uint32_t dim)
{
	uint64_t hash = dim;
	uint32_t k = 0;

	for (; k + 4 <= dim; k += 4)
	{
		uint64_t word;

		memcpy(&word, point + k, sizeof(word));
		hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
		hash ^= hash >> 32;
	}
	for (; k < dim; k++)
		hash = (hash ^ point[k]) * UINT64_C(0x9E3779B97F4A7C15);
	return splitmix_next(&hash);
}

size_t
distinct_table_slots(uint32_t npoints)
{
	size_t slots = 16;

	while (slots / 2 < npoints)
		slots *= 2;
	return slots;
}

/*
 * Count distinct points with an open-addressing hash table of 32-bit
 * fingerprints; 0 marks a free slot. Two different points count as one with a
 * probability of about 1e-9, which is harmless, since the count only
 * determines a share.
 */
uint32_t
count_distinct(const Nearest *nearest, const KmeansInput *input, const uint32_t *order, uint32_t n,
			   uint32_t *table)
{
	size_t   mask = distinct_table_slots(n) - 1;
	uint32_t ndistinct = 0;

	memset(table, 0, sizeof(uint32_t) * (mask + 1));
	for (uint32_t i = 0; i < n; i++)
	{
		uint64_t hash = hash_point(kmeans_row(input, order[i]), nearest->dim);
		uint32_t fingerprint = (uint32_t) (hash >> 32) | 1;
		size_t   at = hash & mask;

		if (i % nearest->chunk == 0)
			nearest->hooks->interrupt(nearest->hooks->arg);
		while (table[at] != 0 && table[at] != fingerprint)
			at = (at + 1) & mask;
		if (table[at] == 0)
			ndistinct++;
		table[at] = fingerprint;
	}
	return ndistinct;
}

/*
 * Allot one child to each parent, and the rest in proportion to the distinct
 * points beyond one, by largest remainders. No parent gets more children than
 * it has distinct points. All are allotted if there are enough distinct
 * points.
 */
void
allot_children(const KmeansHooks *hooks, const uint32_t *ndistinct, uint32_t nparents,
			   uint32_t wanted, uint32_t *nchildren)
{
	uint64_t *remainder = kmeans_alloc(hooks, nparents, 1, sizeof(uint64_t));
	uint64_t  beyond = 0;
	uint64_t  spare = wanted - nparents;
	uint64_t  left;

	for (uint32_t p = 0; p < nparents; p++)
		beyond += ndistinct[p] - 1;
	spare = spare < beyond ? spare : beyond;
	left = spare;
	for (uint32_t p = 0; p < nparents; p++)
	{
		uint64_t product = spare * (ndistinct[p] - 1);
		uint64_t share = beyond > 0 ? product / beyond : 0;

		nchildren[p] = (uint32_t) (1 + share);
		remainder[p] = beyond > 0 ? product % beyond : 0;
		left -= share;
	}
	for (; left > 0; left--)
	{
		uint32_t most = 0;

		for (uint32_t p = 1; p < nparents; p++)
			if (remainder[p] > remainder[most])
				most = p;
		nchildren[most]++;
		remainder[most] = 0;
		hooks->interrupt(hooks->arg);
	}
	hooks->release(hooks->arg, remainder);
}
