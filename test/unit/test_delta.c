/*-------------------------------------------------------------------------
 *
 * test_delta.c
 *	  The difference between two states of a page turns one into the other.
 *
 *-------------------------------------------------------------------------
 */
#include "storage/delta.h"

#include "tap.h"
#include "sample.h"

#define PAGE   8192
#define ROUNDS 4000
#define HEAD   4 /* bytes before the data of a fragment */

/* Two states of a page, and what a replay makes of the first. */
typedef struct Pages
{
	char from[PAGE];
	char to[PAGE];
	char replayed[PAGE];
	char data[2 * PAGE];
} Pages;

static void
fill(char *bytes, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		bytes[i] = (char) sample_bits();
}

/* Change some runs of bytes, possibly to what they were. Returns an upper bound of their number. */
static uint32_t
change_some(char *page)
{
	uint32_t runs = sample_range(0, 12);
	uint32_t changed = 0;

	for (uint32_t i = 0; i < runs; i++)
	{
		uint32_t n = sample_range(1, sample_range(1, 4) == 1 ? 900 : 12);
		uint32_t at = sample_range(0, PAGE - n);

		if (sample_range(1, 5) == 1)
			memset(page + at, 7, n);
		else
			fill(page + at, n);
		changed += n;
	}
	return changed;
}

static void
test_whole_pages(void)
{
	static Pages pages;
	bool         same = true;
	bool         small = true;

	for (uint32_t round = 0; round < ROUNDS; round++)
	{
		Delta     delta = {.data = pages.data, .room = PAGE};
		DeltaPart all = {0, PAGE};
		uint32_t  changed;

		fill(pages.from, PAGE);
		memcpy(pages.to, pages.from, PAGE);
		memcpy(pages.replayed, pages.from, PAGE);
		changed = change_some(pages.to);
		delta_add(&delta, pages.from, pages.to, all, all);
		delta_apply(&delta, pages.replayed);
		same &= !delta.full && memcmp(pages.replayed, pages.to, PAGE) == 0;
		/* A fragment differs at both ends, with at most 7 equal bytes between differences. */
		small &= delta.length <= changed * (HEAD + 8);
	}
	tap_ok(same, "a replayed difference gives the new page");
	tap_ok(small, "a difference is no longer than the bytes that changed need");
}

/* Bytes of the old page that are unknown are written even if they seem equal. */
static void
test_parts(void)
{
	static Pages pages;
	bool         same = true;
	bool         outside = true;

	for (uint32_t round = 0; round < ROUNDS; round++)
	{
		Delta     delta = {.data = pages.data, .room = PAGE};
		uint32_t  start = sample_range(0, PAGE - 1);
		DeltaPart part = {start, sample_range(start, PAGE)};
		uint32_t  known_start = sample_range(0, PAGE - 1);
		DeltaPart known = {known_start, sample_range(known_start, PAGE)};

		fill(pages.from, PAGE);
		memcpy(pages.to, pages.from, PAGE);
		change_some(pages.to);
		delta_add(&delta, pages.from, pages.to, part, known);
		if (delta.full)
			continue;
		for (uint32_t i = 0; i < PAGE; i++)
			pages.replayed[i] =
				(char) (i >= known.start && i < known.end ? pages.from[i] : ~pages.to[i]);
		delta_apply(&delta, pages.replayed);
		same &=
			memcmp(pages.replayed + part.start, pages.to + part.start, part.end - part.start) == 0;
		for (uint32_t i = 0; i < PAGE; i++)
			if ((i < part.start || i >= part.end) && i >= known.start && i < known.end)
				outside &= pages.replayed[i] == pages.from[i];
	}
	tap_ok(same, "unknown bytes of a part are written");
	tap_ok(outside, "bytes outside of a part stay");
}

/*
 * Return the bytes that a difference takes at least: each fragment ends at
 * a run of 8 equal bytes, or at its last difference.
 */
static uint32_t
shortest_difference(const char *from, const char *to)
{
	uint32_t length = 0;
	uint32_t last = PAGE; /* the last difference; PAGE: none */

	for (uint32_t i = 0; i < PAGE; i++)
	{
		if (from[i] == to[i])
			continue;
		length += last == PAGE || i - last > 8 ? HEAD + 1 : i - last;
		last = i;
	}
	return length;
}

/* Items move when one before them grows: pages then differ in most words of hundreds of bytes. */
static void
test_moved_items(void)
{
	static Pages pages;
	uint32_t     items[PAGE / sizeof(uint32_t)];
	bool         same = true;
	bool         shortest = true;

	for (uint32_t round = 0; round < ROUNDS; round++)
	{
		Delta     delta = {.data = pages.data, .room = 2 * PAGE};
		DeltaPart all = {0, PAGE};
		uint32_t  shift = sample_range(1, 20);
		uint32_t  at = sample_range(0, PAGE - shift);
		uint32_t  step = sample_range(0, 300);

		for (uint32_t i = 0; i < PAGE / sizeof(uint32_t); i++)
			items[i] = (i > 0 ? items[i - 1] : 0) + (step > 0 ? sample_range(0, step) : 0);
		memcpy(pages.from, items, PAGE);
		memcpy(pages.to, items, PAGE);
		memcpy(pages.replayed, items, PAGE);
		memmove(pages.to + at + shift, pages.to + at, PAGE - at - shift);
		delta_add(&delta, pages.from, pages.to, all, all);
		if (delta.full)
			continue;
		delta_apply(&delta, pages.replayed);
		same &= memcmp(pages.replayed, pages.to, PAGE) == 0;
		shortest &= delta.length == shortest_difference(pages.from, pages.to);
	}
	tap_ok(same, "a replayed difference moves items");
	tap_ok(shortest, "its fragments end at eight equal bytes, and only there");
}

static void
test_room(void)
{
	static Pages pages;
	Delta        delta = {.data = pages.data, .room = 100};
	DeltaPart    all = {0, PAGE};

	pages.data[100] = 77;
	fill(pages.from, PAGE);
	memcpy(pages.to, pages.from, PAGE);
	for (uint32_t i = 0; i < 100 - HEAD; i++)
		pages.to[50 + i] = (char) (pages.from[50 + i] + 1);
	delta_add(&delta, pages.from, pages.to, all, all);
	tap_ok(!delta.full && delta.length == 100, "a difference may fill its room");

	delta = (Delta) {.data = pages.data, .room = 100};
	pages.to[PAGE - 1] = (char) (pages.from[PAGE - 1] + 1);
	delta_add(&delta, pages.from, pages.to, all, all);
	tap_ok(delta.full && delta.length <= 100 && pages.data[100] == 77,
		   "a difference that does not fit says so");

	delta = (Delta) {.data = pages.data, .room = PAGE};
	delta_add(&delta, pages.from, pages.from, all, all);
	tap_ok(delta.length == 0, "equal pages have no difference");
}

int
main(void)
{
	test_whole_pages();
	test_parts();
	test_moved_items();
	test_room();
	return tap_done();
}
