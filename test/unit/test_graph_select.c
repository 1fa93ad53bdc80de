/*-------------------------------------------------------------------------
 *
 * test_graph_select.c
 *	  Distances between node vectors, and the selection of neighbours.
 *
 *-------------------------------------------------------------------------
 */
#include "nodes/graph_select.h"

#include "tap.h"
#include "sample.h"

#define MAX_WIDTH 512
#define MAX_ROWS  100

static float          vectors[MAX_ROWS * MAX_WIDTH];
static GraphCandidate candidates[MAX_ROWS];
static uint32_t       chosen[MAX_ROWS];

static double
exact_distance(const float *a, const float *b, uint32_t width)
{
	double sum = 0;

	for (uint32_t k = 0; k < width; k++)
		sum += ((double) a[k] - b[k]) * ((double) a[k] - b[k]);
	return sum;
}

static void
test_arithmetic(void)
{
	for (uint32_t dim = 1; dim <= MAX_WIDTH; dim = dim * 2 + 1)
	{
		uint32_t     width = graph_width(dim);
		const float *a = vectors;
		const float *b = vectors + width;
		double       dot = 0;

		for (uint32_t k = 0; k < 2 * width; k++)
			vectors[k] = k % width < dim ? sample_float(SAMPLE_ORDINARY) : 0;
		for (uint32_t k = 0; k < width; k++)
			dot += (double) a[k] * b[k];
		tap_ok(fabs(graph_dot(a, b, width) - dot) < 1e-4, "inner product of %u dims", dim);
		tap_ok(fabs(graph_distance(a, b, width) - exact_distance(a, b, width)) < 1e-3,
			   "distance of %u dims", dim);
	}
}

/* Make 0 .. n - 1 the candidates of a node at the origin, sorted by distance. */
static void
sort_from_origin(uint32_t n, uint32_t width)
{
	static const float origin[MAX_WIDTH];

	for (uint32_t i = 0; i < n; i++)
		candidates[i] = (GraphCandidate) {
			i, graph_distance(origin, vectors + (size_t) i * width, width), false};
	graph_sort_candidates(candidates, n);
}

static void
test_order(void)
{
	bool sorted = true;

	candidates[0] = (GraphCandidate) {3, 2.0f, false};
	candidates[1] = (GraphCandidate) {2, 1.0f, false};
	candidates[2] = (GraphCandidate) {1, 2.0f, false};
	candidates[3] = (GraphCandidate) {0, 0.5f, false};
	graph_sort_candidates(candidates, 4);
	for (uint32_t i = 0; i < 4; i++)
		sorted &= candidates[i].row == (uint32_t[]) {0, 2, 1, 3}[i];
	tap_ok(sorted, "nearest first, the lower row among equals");
}

/* Damaged vectors give NaN: they come last, and all others are in order. */
static void
test_nan(void)
{
	uint32_t n = 60;
	bool     sorted = true;

	for (uint32_t i = 0; i < n; i++)
		candidates[i] = (GraphCandidate) {i, i % 3 == 1 ? NAN : (float) (n - i), false};
	graph_sort_candidates(candidates, n);
	for (uint32_t i = 1; i < n; i++)
		sorted &= candidates[i - 1].distance <= candidates[i].distance;
	tap_ok(sorted && candidates[n - 20].row == 1 && candidates[n - 1].row == 58,
		   "candidates without a distance come last");
}

/*
 * Check that the nearest candidate is always selected, that no more than limit
 * are, and that no selected candidate is shadowed by another one.
 */
static void
test_choice(uint32_t n, uint32_t limit, SampleKind kind)
{
	uint32_t width = 32;
	uint32_t nchosen;
	bool     apart = true;
	bool     ordered = true;

	for (uint32_t k = 0; k < n * width; k++)
		vectors[k] = sample_float(kind);
	sort_from_origin(n, width);
	nchosen = graph_select_neighbours(vectors, width, candidates, n, limit, chosen);

	for (uint32_t i = 0; i < nchosen; i++)
	{
		const GraphCandidate *c = &candidates[chosen[i]];

		ordered &= chosen[i] < n && (i == 0 || chosen[i] > chosen[i - 1]);
		for (uint32_t j = 0; j < i; j++)
			apart &= graph_distance(vectors + c->row * width,
									vectors + candidates[chosen[j]].row * width,
									width) >= c->distance / 2;
	}
	tap_ok(nchosen >= 1 && nchosen <= limit && chosen[0] == 0 && ordered && apart,
		   "choice of %u among %u candidates, %s: %u", limit, n, sample_names[kind], nchosen);
}

static void
test_shadow(void)
{
	static const float points[4][2] = {{1, 0}, {1.1f, 0.1f}, {-1.2f, 0}, {0, 1.3f}};

	memset(vectors, 0, sizeof(vectors));
	for (uint32_t i = 0; i < 4; i++)
		memcpy(vectors + i * 16, points[i], sizeof(points[i]));
	sort_from_origin(4, 16);
	tap_ok(graph_select_neighbours(vectors, 16, candidates, 4, 4, chosen) == 3 && chosen[0] == 0 &&
			   chosen[1] == 2 && chosen[2] == 3,
		   "a candidate behind a chosen one is passed over");
	tap_ok(graph_select_neighbours(vectors, 16, candidates, 0, 4, chosen) == 0, "no candidates");
}

/* Fixed candidates are selected even if they are shadowed or the last. */
static void
test_fixed(void)
{
	bool     ordered = true;
	uint32_t nchosen;

	for (uint32_t k = 0; k < MAX_ROWS * 16; k++)
		vectors[k] = 1;
	sort_from_origin(MAX_ROWS, 16);
	candidates[5].fixed = candidates[MAX_ROWS - 1].fixed = true;
	nchosen = graph_select_neighbours(vectors, 16, candidates, MAX_ROWS, 3, chosen);
	tap_ok(nchosen == 3 && chosen[0] == 0 && chosen[1] == 5 && chosen[2] == MAX_ROWS - 1,
		   "fixed candidates are selected besides the nearest");
	nchosen = graph_select_neighbours(vectors, 16, candidates, MAX_ROWS, 2, chosen);
	tap_ok(nchosen == 2 && chosen[0] == 5 && chosen[1] == MAX_ROWS - 1,
		   "places are kept for fixed candidates");

	for (uint32_t k = 0; k < MAX_ROWS * 16; k++)
		vectors[k] = sample_float(SAMPLE_ORDINARY);
	sort_from_origin(MAX_ROWS, 16);
	for (uint32_t i = 3; i < 19; i++)
		candidates[i].fixed = true;
	nchosen = graph_select_neighbours(vectors, 16, candidates, MAX_ROWS, 16, chosen);
	for (uint32_t i = 0; i < nchosen; i++)
		ordered &= chosen[i] == i + 3;
	tap_ok(nchosen == 16 && ordered, "as many fixed candidates as the limit");
}

static void
test_duplicates(void)
{
	for (uint32_t k = 0; k < MAX_ROWS * 16; k++)
		vectors[k] = 1;
	sort_from_origin(MAX_ROWS, 16);
	tap_ok(graph_select_neighbours(vectors, 16, candidates, MAX_ROWS, 32, chosen) == 1,
		   "one of equal vectors stands in for all");
}

int
main(void)
{
	test_arithmetic();
	test_order();
	test_nan();
	test_shadow();
	test_duplicates();
	test_fixed();
	for (uint32_t n = 1; n <= MAX_ROWS; n += 11)
	{
		test_choice(n, 32, SAMPLE_ORDINARY);
		test_choice(n, 3, SAMPLE_ORDINARY);
		test_choice(n, 16, SAMPLE_EQUAL);
	}
	return tap_done();
}
