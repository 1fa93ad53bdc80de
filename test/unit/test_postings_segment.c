/*-------------------------------------------------------------------------
 *
 * test_postings_segment.c
 *	  Compare runs of document ordinals with bit sets.
 *
 *-------------------------------------------------------------------------
 */
#include "index/postings_segment.h"

#include "tap.h"
#include "sample.h"

#define DOCS   600
#define ROUNDS 400

typedef struct Set
{
	bool     has[DOCS];
	uint32_t run[DOCS];
	uint32_t count;
} Set;

/* Draw a random set of about one document in one_in. */
static void
draw(Set *set, uint32_t one_in)
{
	set->count = 0;
	for (uint32_t doc = 0; doc < DOCS; doc++)
	{
		set->has[doc] = sample_range(1, one_in) == 1;
		if (set->has[doc])
			set->run[set->count++] = doc;
	}
}

/* Return true if a run consists of exactly the documents for which a test on both sets holds. */
static bool
is_run(const uint32_t *run, uint32_t count, const Set *a, const Set *b, bool (*test)(bool, bool))
{
	uint32_t n = 0;

	for (uint32_t doc = 0; doc < DOCS; doc++)
		if (test(a->has[doc], b->has[doc]))
		{
			if (n >= count || run[n] != doc)
				return false;
			n++;
		}
	return n == count;
}

static bool
either(bool a, bool b)
{
	return a || b;
}

static bool
first_only(bool a, bool b)
{
	return a && !b;
}

static void
test_bits(void)
{
	static uint8_t bits[DOCS / 8 + 1];
	static Set     docs;
	static Set     dead;
	uint32_t       out[DOCS];
	bool           dropped = true;
	bool           counted = true;
	bool           in_place = true;

	for (uint32_t round = 0; round < ROUNDS; round++)
	{
		uint32_t known = sample_range(0, DOCS);
		uint32_t n;

		draw(&docs, sample_range(1, 9));
		draw(&dead, sample_range(1, 9));
		memset(bits, 0, sizeof(bits));
		for (uint32_t doc = 0; doc < DOCS; doc++)
			bits[doc >> 3] |= (uint8_t) (dead.has[doc] << (doc & 7));
		for (uint32_t doc = known; doc < DOCS; doc++)
			dead.has[doc] = false;

		n = run_drop_set(docs.run, docs.count, bits, known, out);
		dropped &= is_run(out, n, &docs, &dead, first_only);
		counted &= run_count_set(docs.run, docs.count, bits, known) == docs.count - n;
		n = run_drop_set(docs.run, docs.count, bits, known, docs.run);
		in_place &= is_run(docs.run, n, &docs, &dead, first_only);
	}
	tap_ok(dropped, "dead documents are dropped, and no others");
	tap_ok(counted, "dead documents are counted");
	tap_ok(in_place, "dead documents are dropped in place");
}

static void
test_merge(void)
{
	static Set a;
	static Set b;
	uint32_t   out[2 * DOCS];
	bool       merged = true;
	bool       subtracted = true;

	for (uint32_t round = 0; round < ROUNDS; round++)
	{
		draw(&a, round % 7 == 0 ? DOCS * 4 : sample_range(1, 20));
		draw(&b, round % 5 == 0 ? DOCS * 4 : sample_range(1, 20));
		merged &= is_run(out, run_merge(a.run, a.count, b.run, b.count, out), &a, &b, either);
		subtracted &=
			is_run(out, run_subtract(a.run, a.count, b.run, b.count, out), &a, &b, first_only);
	}
	tap_ok(merged, "a merged run is the union");
	tap_ok(subtracted, "a difference has the documents that the second run lacks");
}

/*
 * An interrupted merge is repeated: a document that is already in the list
 * must not be added again. Also check runs that only one side has.
 */
static void
test_again(void)
{
	static Set a;
	static Set none;
	uint32_t   out[2 * DOCS];
	bool       again = true;
	bool       alone = true;
	bool       gone = true;
	uint32_t   last[] = {UINT32_MAX - 2, UINT32_MAX - 1};

	for (uint32_t round = 0; round < ROUNDS; round++)
	{
		draw(&a, sample_range(1, 20));
		again &= is_run(out, run_merge(a.run, a.count, a.run, a.count, out), &a, &a, either);
		alone &= is_run(out, run_merge(a.run, a.count, none.run, 0, out), &a, &a, either);
		alone &= is_run(out, run_merge(none.run, 0, a.run, a.count, out), &a, &a, either);
		gone &= run_subtract(a.run, a.count, a.run, a.count, out) == 0;
		gone &= is_run(out, run_subtract(a.run, a.count, none.run, 0, out), &a, &a, either);
	}
	tap_ok(again, "a run merged with itself is itself");
	tap_ok(alone, "a run merged with an empty one is itself");
	tap_ok(gone, "a run minus itself is empty, and minus an empty run is itself");
	tap_ok(run_merge(last, 2, last + 1, 1, out) == 2 && out[0] == last[0] && out[1] == last[1] &&
			   run_subtract(last, 2, last, 1, out) == 1 && out[0] == last[1],
		   "the highest ordinals");
}

static void
test_below(void)
{
	static const uint32_t run[] = {5, 1, 4000000000, 7, 3};
	uint32_t              out[5];
	uint32_t              n = run_copy_below(run, 5, 6, out);

	tap_ok(n == 3 && out[0] == 5 && out[1] == 1 && out[2] == 3,
		   "ordinals from the limit on are left out");
	tap_ok(run_copy_below(run, 5, 0, out) == 0, "nothing is below zero");
}

int
main(void)
{
	test_merge();
	test_again();
	test_bits();
	test_below();
	return tap_done();
}
