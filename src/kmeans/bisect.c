/*-------------------------------------------------------------------------
 *
 * bisect.c
 *	  Order points by recursive bisection.
 *
 * A part is divided at the median along the line between the means of its
 * halves. The line starts between two random points, and a few steps on a
 * sample of the part move it, as Lloyd's iterations would.
 *
 *-------------------------------------------------------------------------
 */
#include "kmeans/bisect.h"

#include "base/splitmix.h"
#include "kmeans/internal.h"

/* Points of a part that is not divided again. */
#define LEAF_POINTS 16

/* Points of a part that determine its line, and steps that move it. */
#define LINE_POINTS 1024
#define LINE_STEPS  4

typedef struct Projected
{
	float    key; /* along the line */
	uint32_t point;
} Projected;

#define TOP_PREFIX       projected
#define TOP_TYPE         Projected
#define TOP_KEY(item)    (item).key
#define TOP_NEARER(a, b) ((a).key > (b).key || ((a).key == (b).key && (a).point < (b).point))
#include "base/top_template.h"

typedef struct Bisection
{
	const BisectPoints *points;
	const KmeansHooks  *hooks;
	uint64_t            random;
	Projected           sample[LINE_POINTS];
} Bisection;

static inline const int8_t *
point_of(const Bisection *bisection, Projected item)
{
	return bisection->points->first + (size_t) item.point * bisection->points->stride;
}

static void
project(const Bisection *bisection, const float *line, Projected *items, uint32_t n)
{
	uint32_t dim = bisection->points->dim;

	for (uint32_t i = 0; i < n; i++)
	{
		const int8_t *point = point_of(bisection, items[i]);
		float         sum = 0;

		for (uint32_t k = 0; k < dim; k++)
			sum += line[k] * point[k];
		items[i].key = sum;
		kmeans_tick(bisection->hooks, i);
	}
}

/* Add the mean of points, times a factor, to a line. */
static void
add_mean(const Bisection *bisection, const Projected *items, uint32_t n, float factor, float *line)
{
	uint32_t dim = bisection->points->dim;
	int32_t  sum[BISECT_MAX_DIM] = {0};

	for (uint32_t i = 0; i < n; i++)
	{
		const int8_t *point = point_of(bisection, items[i]);

		for (uint32_t k = 0; k < dim; k++)
			sum[k] += point[k];
	}
	for (uint32_t k = 0; k < dim; k++)
		line[k] += factor * (float) sum[k] / (float) n;
}

/* Find the line of a part, from the second half's mean to the first's. */
static void
find_line(Bisection *bisection, const Projected *items, uint32_t n, float *line)
{
	Projected *sample = bisection->sample;
	uint32_t   count = MIN(n, LINE_POINTS);
	uint32_t   half = count / 2;

	for (uint32_t i = 0; i < count; i++)
		sample[i] = items[(uint64_t) i * n / count];
	memset(line, 0, BISECT_MAX_DIM * sizeof(float));
	add_mean(bisection, &sample[splitmix_next(&bisection->random) % count], 1, 1, line);
	add_mean(bisection, &sample[splitmix_next(&bisection->random) % count], 1, -1, line);
	for (int step = 0; step < LINE_STEPS; step++)
	{
		project(bisection, line, sample, count);
		projected_quickselect(sample, count, half);
		memset(line, 0, BISECT_MAX_DIM * sizeof(float));
		add_mean(bisection, sample, half, 1, line);
		add_mean(bisection, sample + half, count - half, -1, line);
	}
}

/* Divide a part. The depth is at most the logarithm of the number of points. */
static void
divide(Bisection *bisection, Projected *items, uint32_t n)
{
	float    line[BISECT_MAX_DIM];
	uint32_t half = n / 2;

	if (n <= LEAF_POINTS)
		return;
	find_line(bisection, items, n, line);
	project(bisection, line, items, n);
	projected_quickselect(items, n, half);
	divide(bisection, items, half);
	divide(bisection, items + half, n - half);
}

void
bisect_order(const BisectPoints *points, uint64_t seed, const KmeansHooks *hooks, uint32_t *order)
{
	Bisection *bisection = kmeans_alloc(hooks, 1, 1, sizeof(Bisection));
	Projected *items = kmeans_alloc(hooks, points->n, 1, sizeof(Projected));

	bisection->points = points;
	bisection->hooks = hooks;
	bisection->random = seed;
	for (uint32_t i = 0; i < points->n; i++)
		items[i] = (Projected) {.point = i};
	divide(bisection, items, points->n);
	for (uint32_t i = 0; i < points->n; i++)
		order[i] = items[i].point;
	hooks->release(hooks->arg, items);
	hooks->release(hooks->arg, bisection);
}
