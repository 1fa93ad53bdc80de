/*-------------------------------------------------------------------------
 *
 * test_bisect.c
 *	  The order of points by bisection: like points are neighbours, every point
 *	  is in it once, and equal points keep their order.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "base/splitmix.h"
#include "kmeans/bisect.h"
#include "tap.h"

#define GROUPS     64
#define GROUP_SIZE 16
#define MAX_POINTS 20000

typedef struct Point
{
	uint32_t group;
	int8_t   coordinates[BISECT_MAX_DIM];
} Point;

static Point    points[MAX_POINTS];
static uint32_t order[MAX_POINTS];
static long     interrupts;

static void *
alloc(void *arg, size_t bytes)
{
	void *memory = malloc(bytes);

	if (memory == NULL)
		abort();
	memset(memory, 0xA5, bytes);
	return memory;
}

static void
release(void *arg, void *memory)
{
	free(memory);
}

static void
interrupt(void *arg)
{
	interrupts++;
}

static const KmeansHooks hooks = {.alloc = alloc, .release = release, .interrupt = interrupt};

static void
bisect(uint32_t n, uint32_t dim)
{
	const BisectPoints all = {points[0].coordinates, sizeof(Point), n, dim};

	bisect_order(&all, 1, &hooks, order);
}

static bool
is_permutation(uint32_t n)
{
	static bool seen[MAX_POINTS];

	memset(seen, 0, sizeof(seen));
	for (uint32_t i = 0; i < n; i++)
	{
		if (order[i] >= n || seen[order[i]])
			return false;
		seen[order[i]] = true;
	}
	return true;
}

/* Scatter noisy copies of random centres: point i belongs to group i % GROUPS. */
static void
make_groups(void)
{
	uint64_t random = 7;
	int8_t   centres[GROUPS][BISECT_MAX_DIM];

	for (int g = 0; g < GROUPS; g++)
		for (int k = 0; k < BISECT_MAX_DIM; k++)
			centres[g][k] = (int8_t) (splitmix_next(&random) % 201) - 100;
	for (uint32_t i = 0; i < GROUPS * GROUP_SIZE; i++)
	{
		points[i].group = i % GROUPS;
		for (int k = 0; k < BISECT_MAX_DIM; k++)
			points[i].coordinates[k] =
				centres[points[i].group][k] + (int8_t) (splitmix_next(&random) % 21) - 10;
	}
}

static void
test_groups(void)
{
	uint32_t n = GROUPS * GROUP_SIZE;
	uint32_t changes = 0;

	make_groups();
	bisect(n, BISECT_MAX_DIM);
	tap_ok(is_permutation(n), "every point of %d groups is in the order once", GROUPS);
	for (uint32_t i = 1; i < n; i++)
		changes += points[order[i]].group != points[order[i - 1]].group;
	/* In the order of the points, the group changes n - 1 times. */
	tap_ok(changes <= n / 4, "like points are neighbours: the group changes %u times among %u",
		   changes, n);
}

static void
test_equal(void)
{
	bool in_order = true;

	memset(points, 0, sizeof(points));
	bisect(1000, BISECT_MAX_DIM);
	for (uint32_t i = 0; i < 1000; i++)
		in_order &= order[i] == i;
	tap_ok(is_permutation(1000), "every one of equal points is in the order once");
	tap_ok(in_order || order[0] < 500, "the first of equal points stay in the first half");
}

static void
test_few(void)
{
	make_groups();
	order[0] = 1;
	bisect(0, BISECT_MAX_DIM);
	tap_ok(order[0] == 1, "no points");
	bisect(1, BISECT_MAX_DIM);
	tap_ok(is_permutation(1), "one point");
	bisect(17, 1);
	tap_ok(is_permutation(17), "17 points of one dim");
}

static void
test_many(void)
{
	uint64_t random = 3;

	for (uint32_t i = 0; i < MAX_POINTS; i++)
		for (int k = 0; k < BISECT_MAX_DIM; k++)
			points[i].coordinates[k] = (int8_t) splitmix_next(&random);
	interrupts = 0;
	bisect(MAX_POINTS, BISECT_MAX_DIM);
	tap_ok(is_permutation(MAX_POINTS), "every one of %d points is in the order once", MAX_POINTS);
	tap_ok(interrupts > 0, "interrupts are looked for");
}

int
main(void)
{
	test_groups();
	test_equal();
	test_few();
	test_many();
	return tap_done();
}
