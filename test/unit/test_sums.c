/*-------------------------------------------------------------------------
 *
 * test_sums.c
 *	  Grow sums of gains per document, against sums made anew.
 *
 *-------------------------------------------------------------------------
 */
#include "search/sums.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

#define MAX_TOKENS 300
#define MAX_LISTS  32
#define LIST_DOCS  20
#define NDOCS      400

/* Lists of random documents. A document beyond NDOCS, or named twice, is no error. */
static uint32_t lists[MAX_TOKENS][MAX_LISTS][LIST_DOCS];
static float    similarities[MAX_TOKENS][MAX_LISTS];
static float    misses[MAX_TOKENS];
static float    falls[MAX_TOKENS];

static void
set_lists(uint32_t ntokens)
{
	for (uint32_t t = 0; t < ntokens; t++)
		for (uint32_t l = 0; l < MAX_LISTS; l++)
		{
			similarities[t][l] = 1 - (float) (l + (float) rand() / RAND_MAX) / MAX_LISTS;
			for (uint32_t i = 0; i < LIST_DOCS; i++)
				lists[t][l][i] = (uint32_t) rand() % (NDOCS + 10);
		}
}

/* The similarity of a miss of token t if this many lists are read. */
static float
miss_of(uint32_t t, uint32_t nlists)
{
	return similarities[t][nlists - 1] - 0.08f;
}

/* Sum the gains of a document over the first lists. *met: whether they name it. */
static double
sum_anew(uint32_t ntokens, uint32_t nlists, uint32_t doc, bool *met)
{
	double sum = 0;

	*met = false;
	for (uint32_t t = 0; t < ntokens; t++)
	{
		bool found = false;

		for (uint32_t l = 0; l < nlists && !found; l++)
			for (uint32_t i = 0; i < LIST_DOCS && !found; i++)
				found =
					lists[t][l][i] == doc && (sum += similarities[t][l] - miss_of(t, nlists), true);
		*met |= found;
	}
	return sum;
}

/* Make room for the documents of this many postings. */
static void
reserve(DocSums *sums, uint32_t npostings)
{
	SumsMemory old = sums->memory;
	SumsMemory memory = {.nslots = sums_slots(npostings)};

	memory.slots = calloc(memory.nslots, sizeof(uint32_t));
	memory.docs = calloc(memory.nslots / 2, sizeof(SummedDoc));
	memory.met = malloc((size_t) memory.nslots / 2 * sums->words * sizeof(uint64_t));
	memset(memory.met, 0xFF, (size_t) memory.nslots / 2 * sums->words * sizeof(uint64_t));
	sums_move(sums, &memory);
	free(old.slots);
	free(old.docs);
	free(old.met);
}

/* Extend the sums from .. to - 1 lists per token. */
static void
extend(DocSums *sums, uint32_t ntokens, uint32_t from, uint32_t to)
{
	reserve(sums, sums->count + ntokens * (to - from) * LIST_DOCS);
	for (uint32_t t = 0; t < ntokens; t++)
	{
		falls[t] = misses[t] - miss_of(t, to);
		misses[t] = miss_of(t, to);
	}
	if (ntokens <= SUMS_MAX_TOKENS)
		sums_raise(sums, falls, ntokens);
	else
	{
		sums_restart(sums);
		from = 0;
	}
	for (uint32_t t = 0; t < ntokens; t++)
	{
		if (t > 0 && t % SUMS_MAX_TOKENS == 0)
			sums_forget_met(sums);
		for (uint32_t l = from; l < to; l++)
			sums_add(sums, &(GainList) {t, similarities[t][l] - misses[t], lists[t][l], LIST_DOCS},
					 NDOCS);
	}
}

static bool
is_near(double estimate, double sum)
{
	return fabs(estimate - sum) <= 1e-5 * (1 + fabs(sum));
}

/* Return whether every estimate and half estimate is that of sums made anew. */
static bool
as_anew(const DocSums *sums, uint32_t ntokens, uint32_t before, uint32_t nlists)
{
	uint32_t count = 0;

	for (uint32_t doc = 0; doc < NDOCS; doc++)
	{
		const SummedDoc *found = sums_find(sums, doc);
		bool             met;
		double           sum = sum_anew(ntokens, nlists, doc, &met);

		if (met != (found != NULL) || (met && !is_near(found->estimate, sum)))
			return false;
		count += met;
		if (before == 0 || !met)
			continue;
		sum = sum_anew(ntokens, before, doc, &met);
		if (!is_near(found->half_estimate, met ? sum : 0))
			return false;
	}
	return count == sums->count && sums_find(sums, NDOCS) == NULL;
}

static bool
grows_as_anew(uint32_t ntokens)
{
	DocSums  sums = {.words = sums_words(ntokens)};
	uint32_t before = 0;
	bool     right = sums_find(&sums, 1) == NULL;

	set_lists(ntokens);
	for (uint32_t nlists = 2; nlists <= MAX_LISTS; nlists *= 2)
	{
		extend(&sums, ntokens, before, nlists);
		right &= as_anew(&sums, ntokens, before, nlists);
		before = nlists;
	}
	free(sums.memory.slots);
	free(sums.memory.docs);
	free(sums.memory.met);
	return right;
}

int
main(void)
{
	static const uint32_t ntokens[] = {1, 2, 7, 8, 9, 63, 64, 65, 200, 256, 257, 300};

	srand(1);
	for (size_t i = 0; i < sizeof(ntokens) / sizeof(*ntokens); i++)
		tap_ok(grows_as_anew(ntokens[i]), "sums of %u tokens grow as if made anew", ntokens[i]);
	tap_ok(sums_slots(0) >= 2 && sums_slots(32) == 64 && sums_slots(33) == 128,
		   "half of the slots are enough");
	return tap_done();
}
