/*-------------------------------------------------------------------------
 *
 * postings_segment.c
 *	  Merge and filter sorted runs of distinct document ordinals.
 *
 *-------------------------------------------------------------------------
 */
#include "index/postings_segment.h"

#include <string.h>

uint32_t
run_merge(const uint32_t *a, uint32_t na, const uint32_t *b, uint32_t nb, uint32_t *out)
{
	uint32_t i = 0;
	uint32_t j = 0;
	uint32_t n = 0;

	while (i < na && j < nb)
	{
		uint32_t x = a[i];
		uint32_t y = b[j];

		out[n++] = x < y ? x : y;
		i += x <= y;
		j += y <= x;
	}
	memcpy(out + n, a + i, (na - i) * sizeof(uint32_t));
	n += na - i;
	memcpy(out + n, b + j, (nb - j) * sizeof(uint32_t));
	return n + (nb - j);
}

uint32_t
run_subtract(const uint32_t *a, uint32_t na, const uint32_t *b, uint32_t nb, uint32_t *out)
{
	uint32_t j = 0;
	uint32_t n = 0;

	for (uint32_t i = 0; i < na; i++)
	{
		uint32_t doc = a[i];

		while (j < nb && b[j] < doc)
			j++;
		if (j == nb || b[j] != doc)
			out[n++] = doc;
	}
	return n;
}

uint32_t
run_count_set(const uint32_t *docs, uint32_t n, const uint8_t *bits, uint32_t ndocs)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++)
		count += doc_is_set(bits, ndocs, docs[i]);
	return count;
}

uint32_t
run_drop_set(const uint32_t *docs, uint32_t n, const uint8_t *bits, uint32_t ndocs, uint32_t *out)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++)
	{
		uint32_t doc = docs[i];

		if (!doc_is_set(bits, ndocs, doc))
			out[count++] = doc;
	}
	return count;
}

uint32_t
run_copy_below(const uint32_t *docs, uint32_t n, uint32_t limit, uint32_t *out)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++)
	{
		out[count] = docs[i];
		count += docs[i] < limit;
	}
	return count;
}
