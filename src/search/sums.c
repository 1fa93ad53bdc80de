/*-------------------------------------------------------------------------
 *
 * sums.c
 *	  Sums of gains per document, which grow when more lists are read.
 *
 *-------------------------------------------------------------------------
 */
#include "search/sums.h"

#include <string.h>

/* Minimum number of slots. */
#define MIN_SLOTS 64

uint32_t
sums_slots(uint32_t ndocs)
{
	uint32_t slots = MIN_SLOTS;

	while (slots / 2 < ndocs && slots < UINT32_MAX / 2)
		slots *= 2;
	return slots;
}

/*
 * Return the slot of a document, or the empty slot for it. memory: passed by
 * value, since its members stay the same while slots and documents are written.
 */
static inline uint32_t *
find_slot(const SumsMemory memory, uint32_t doc)
{
	uint32_t mask = memory.nslots - 1;
	uint32_t at = (doc * 0x9E3779B1U) >> 7 & mask;

	while (memory.slots[at] != 0 && memory.docs[memory.slots[at] - 1].doc != doc)
		at = (at + 1) & mask;
	return &memory.slots[at];
}

void
sums_move(DocSums *sums, const SumsMemory *memory)
{
	if (sums->count > 0)
	{
		memcpy(memory->docs, sums->memory.docs, sums->count * sizeof(SummedDoc));
		memcpy(memory->met, sums->memory.met,
			   (size_t) sums->count * sums->words * sizeof(uint64_t));
	}
	sums->memory = *memory;
	for (uint32_t i = 0; i < sums->count; i++)
		*find_slot(*memory, memory->docs[i].doc) = i + 1;
}

/* Set sums[bits] to the sum of the falls whose bits are set. */
static void
sum_subsets(const float *falls, uint32_t n, float sums[256])
{
	sums[0] = 0;
	for (uint32_t token = 0; token < n; token++)
		for (uint32_t bits = 0; bits < 1U << token; bits++)
			sums[bits | 1U << token] = sums[bits] + falls[token];
}

void
sums_raise(DocSums *sums, const float *falls, uint32_t ntokens)
{
	SummedDoc *docs = sums->memory.docs;

	for (uint32_t i = 0; i < sums->count; i++)
		docs[i].half_estimate = docs[i].estimate;
	for (uint32_t first = 0; first < ntokens; first += 8)
	{
		uint32_t        n = ntokens - first < 8 ? ntokens - first : 8;
		const uint64_t *met = sums->memory.met + first / 64;
		float           raises[256];

		sum_subsets(falls + first, n, raises);
		for (uint32_t i = 0; i < sums->count; i++)
			docs[i].estimate += raises[met[(size_t) i * sums->words] >> first % 64 & 0xFF];
	}
}

void
sums_restart(DocSums *sums)
{
	for (uint32_t i = 0; i < sums->count; i++)
	{
		sums->memory.docs[i].half_estimate = sums->memory.docs[i].estimate;
		sums->memory.docs[i].estimate = 0;
	}
	sums_forget_met(sums);
}

void
sums_forget_met(DocSums *sums)
{
	if (sums->count > 0)
		memset(sums->memory.met, 0, (size_t) sums->count * sums->words * sizeof(uint64_t));
}

/* Add a document that no list has named. Returns its place. */
static inline uint32_t
add_doc(DocSums *sums, const SumsMemory memory, uint32_t doc)
{
	uint32_t place = sums->count++;

	memory.docs[place] = (SummedDoc) {doc, 0, 0};
	for (uint32_t i = 0; i < sums->words; i++)
		memory.met[(size_t) place * sums->words + i] = 0;
	return place;
}

void
sums_add(DocSums *sums, const GainList *list, uint32_t ndocs)
{
	const SumsMemory memory = sums->memory;
	const GainList   gains = *list;
	uint32_t         words = sums->words;
	uint32_t         bit = gains.token % SUMS_MAX_TOKENS;
	uint64_t        *met = memory.met + bit / 64;
	uint64_t         mark = (uint64_t) 1 << bit % 64;

	for (uint32_t i = 0; i < gains.count; i++)
	{
		uint32_t  doc = gains.docs[i];
		uint32_t *slot;
		size_t    place;

		if (doc >= ndocs)
			continue;
		slot = find_slot(memory, doc);
		if (*slot == 0)
			*slot = add_doc(sums, memory, doc) + 1;
		place = *slot - 1;
		if (met[place * words] & mark)
			continue;
		met[place * words] |= mark;
		memory.docs[place].estimate += gains.gain;
	}
}

const SummedDoc *
sums_find(const DocSums *sums, uint32_t doc)
{
	uint32_t at = sums->count > 0 ? *find_slot(sums->memory, doc) : 0;

	return at > 0 ? &sums->memory.docs[at - 1] : NULL;
}
