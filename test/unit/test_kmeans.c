/*-------------------------------------------------------------------------
 *
 * test_kmeans.c
 *	  Two-level k-means.
 *
 * Tests cover known clusters, equal results for any instruction set and any
 * team, degenerate input, and quality compared with a plain Lloyd iteration.
 * test_kmeans_assign.c has assignment.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kmeans_sample.h"
#include "tap.h"

/* Return the row nearest to x, by plain loops. */
static uint32_t
nearest_row(const float *rows, uint32_t nrows, const float *x, uint32_t dim, double *distance)
{
	uint32_t best = 0;

	*distance = INFINITY;
	for (uint32_t i = 0; i < nrows; i++)
	{
		double d = squared_distance(rows + (size_t) i * dim, x, dim);

		if (d < *distance)
		{
			*distance = d;
			best = i;
		}
	}
	return best;
}

/* Return the mean squared distance of the points to their nearest centroids. */
static double
mean_distortion(const float *points, uint32_t n, const float *centroids, uint32_t ncentroids,
				uint32_t dim)
{
	double sum = 0;

	for (uint32_t i = 0; i < n; i++)
	{
		double distance;

		nearest_row(centroids, ncentroids, points + (size_t) i * dim, dim, &distance);
		sum += distance;
	}
	return sum / n;
}

/*
 * Return true if child_start increases from 0 to ncentroids, every parent has
 * a child, and all numbers are finite.
 */
static bool
well_formed(const KmeansResult *result, uint32_t dim)
{
	if (result->nparents == 0 || result->child_start[0] != 0 ||
		result->child_start[result->nparents] != result->ncentroids)
		return false;
	for (uint32_t p = 0; p < result->nparents; p++)
		if (result->child_start[p] >= result->child_start[p + 1])
			return false;
	for (size_t i = 0; i < (size_t) result->nparents * dim; i++)
		if (!isfinite(result->parents[i]))
			return false;
	for (size_t i = 0; i < (size_t) result->ncentroids * dim; i++)
		if (!isfinite(result->centroids[i]))
			return false;
	return true;
}

/* ------------------------------------------------------------------------
 * Training
 * ------------------------------------------------------------------------
 */

static void
test_known_clusters(uint32_t nparents)
{
	enum
	{
		DIM = 24,
		CLUSTERS = 20,
		POINTS = 4000,
		CENTROIDS = 160
	};
	float       *centres = malloc(sizeof(float) * CLUSTERS * DIM);
	uint16_t    *points = clustered_points(POINTS, DIM, CLUSTERS, 0.01f, centres);
	KmeansResult result = train(points, POINTS, DIM, CENTROIDS, nparents);
	uint32_t     found = 0;

	for (uint32_t i = 0; i < CLUSTERS; i++)
	{
		double distance;

		nearest_row(result.centroids, result.ncentroids, centres + (size_t) i * DIM, DIM,
					&distance);
		found += distance < DIM * 0.01 * 0.01;
	}
	tap_ok(well_formed(&result, DIM), "%u parents: well formed", nparents);
	tap_ok(result.ncentroids == CENTROIDS, "%u parents: all %u centroids were created", nparents,
		   result.ncentroids);
	tap_ok(found == CLUSTERS, "%u parents: %u of %d clusters found", nparents, found, CLUSTERS);
	free_result(&result);
	free(points);
	free(centres);
}

static bool
same_result(const KmeansResult *a, const KmeansResult *b, uint32_t dim)
{
	return a->ncentroids == b->ncentroids && a->nparents == b->nparents &&
		   memcmp(a->centroids, b->centroids, sizeof(float) * dim * a->ncentroids) == 0 &&
		   memcmp(a->parents, b->parents, sizeof(float) * dim * a->nparents) == 0 &&
		   memcmp(a->child_start, b->child_start, sizeof(uint32_t) * (a->nparents + 1)) == 0;
}

/*
 * Check that all instruction sets return the same bits, with enough parents
 * that their sums are computed in segments.
 */
static void
test_determinism(void)
{
	enum
	{
		DIM = 20,
		POINTS = 9000,
		CENTROIDS = 1024
	};
	uint16_t    *points = clustered_points(POINTS, DIM, 500, 0.5f, NULL);
	KmeansResult first;
	KmeansResult again;

	kernels_select("scalar");
	first = train(points, POINTS, DIM, CENTROIDS, 0);
	for (const char *const *name = kernels_names(); *name != NULL; name++)
	{
		if (!kernels_select(*name))
			continue;
		again = train(points, POINTS, DIM, CENTROIDS, 0);
		tap_ok(same_result(&first, &again, DIM), "the same bits with %s", *name);
		free_result(&again);
	}
	kernels_select("auto");
	tap_ok(first.ncentroids == CENTROIDS, "%u centroids", first.ncentroids);
	free_result(&first);
	free(points);
}

/* ------------------------------------------------------------------------
 * Teams of threads
 * ------------------------------------------------------------------------
 */

typedef struct Threads
{
	uint32_t             n;
	atomic_uint_fast64_t claims;
	pthread_barrier_t    barrier;
	void                *shared;
} Threads;

typedef struct Participant
{
	Threads           *threads;
	pthread_t          thread;
	Counters           counters;
	const KmeansInput *input;
	KmeansResult       result;
} Participant;

static uint64_t
thread_claim(void *arg)
{
	return atomic_fetch_add(&((Participant *) arg)->threads->claims, 1);
}

static void
thread_meet(void *arg)
{
	pthread_barrier_wait(&((Participant *) arg)->threads->barrier);
}

static void *
thread_share(void *arg, size_t bytes)
{
	Threads *threads = ((Participant *) arg)->threads;
	void    *memory;

	if (pthread_barrier_wait(&threads->barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
	{
		threads->shared = malloc(bytes);
		memset(threads->shared, 0xA5, bytes);
	}
	pthread_barrier_wait(&threads->barrier);
	memory = threads->shared;
	pthread_barrier_wait(&threads->barrier);
	return memory;
}

static void
thread_unshare(void *arg, void *memory)
{
	if (pthread_barrier_wait(&((Participant *) arg)->threads->barrier) ==
		PTHREAD_BARRIER_SERIAL_THREAD)
		free(memory);
}

static void *
participate(void *arg)
{
	Participant *self = arg;
	Team         team = {
				.nparticipants = self->threads->n,
				.next_item = thread_claim,
				.barrier = thread_meet,
				.alloc_shared = thread_share,
				.free_shared = thread_unshare,
				.arg = self,
    };
	KmeansHooks own = {
		.alloc = count_alloc,
		.release = count_release,
		.interrupt = count_interrupt,
		.arg = &self->counters,
		.team = &team,
	};

	kmeans_train(self->input, &own, &self->result);
	return NULL;
}

/* Train with a team of n threads, and check that all of them have the same result. */
static KmeansResult
train_by_team(const KmeansInput *input, uint32_t n)
{
	Threads     threads = {.n = n};
	Participant participants[8] = {0};
	bool        agreed = true;
	bool        released = true;

	pthread_barrier_init(&threads.barrier, NULL, n);
	for (uint32_t i = 0; i < n; i++)
	{
		participants[i].threads = &threads;
		participants[i].input = input;
		pthread_create(&participants[i].thread, NULL, participate, &participants[i]);
	}
	for (uint32_t i = 0; i < n; i++)
	{
		pthread_join(participants[i].thread, NULL);
		agreed = agreed && memcmp(&participants[0].result, &participants[i].result,
								  sizeof(KmeansResult)) == 0;
		released =
			released && participants[i].counters.allocated == participants[i].counters.released;
	}
	pthread_barrier_destroy(&threads.barrier);
	tap_ok(agreed, "a team of %u agrees", n);
	tap_ok(released, "a team of %u releases its memory", n);
	return participants[0].result;
}

/*
 * Check that the result has the same bits without a team, with any team, and
 * with rows in differently ordered chunks.
 */
static void
test_teams(uint32_t npoints, uint32_t dim, uint32_t ncentroids)
{
	enum
	{
		SHIFT = 8
	};
	static const uint32_t sizes[] = {1, 2, 3, 5};
	uint16_t             *points = clustered_points(npoints, dim, 500, 0.5f, NULL);
	uint16_t             *mixed = malloc(sizeof(uint16_t) * npoints * dim);
	uint32_t             *rows = malloc(sizeof(uint32_t) * npoints);
	const uint16_t      **chunks = malloc(sizeof(uint16_t *) * ((npoints >> SHIFT) + 1));
	KmeansInput           input = {
				  .chunks = chunks,
				  .chunk_shift = SHIFT,
				  .rows = rows,
				  .nsample = npoints,
				  .dim = dim,
				  .ncentroids = ncentroids,
				  .scratch = 100000,
				  .seed = 42,
    };
	KmeansResult alone = train(points, npoints, dim, ncentroids, 0);

	for (uint32_t i = 0; i < npoints; i++)
	{
		rows[i] = npoints - 1 - i;
		memcpy(mixed + (size_t) rows[i] * dim, points + (size_t) i * dim, sizeof(uint16_t) * dim);
	}
	for (uint32_t c = 0; c <= npoints >> SHIFT; c++)
		chunks[c] = mixed + ((size_t) c << SHIFT) * dim;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		KmeansResult result = train_by_team(&input, sizes[i]);

		tap_ok(same_result(&alone, &result, dim),
			   "%u points, %u centroids: a team of %u gives the same bits", npoints, ncentroids,
			   sizes[i]);
		free_result(&result);
	}
	free_result(&alone);
	free(chunks);
	free(rows);
	free(mixed);
	free(points);
}

/* Run a flat Lloyd iteration in plain loops, for comparison. */
static double
plain_lloyd(const float *points, uint32_t n, uint32_t dim, uint32_t ncentroids, int iterations)
{
	float    *centroids = malloc(sizeof(float) * ncentroids * dim);
	double   *sums = malloc(sizeof(double) * ncentroids * dim);
	uint32_t *counts = malloc(sizeof(uint32_t) * ncentroids);
	double    distortion;

	for (uint32_t c = 0; c < ncentroids; c++)
		memcpy(centroids + (size_t) c * dim,
			   points + (size_t) ((uint64_t) c * n / ncentroids) * dim, sizeof(float) * dim);
	for (int i = 0; i < iterations; i++)
	{
		memset(sums, 0, sizeof(double) * ncentroids * dim);
		memset(counts, 0, sizeof(uint32_t) * ncentroids);
		for (uint32_t p = 0; p < n; p++)
		{
			double   distance;
			uint32_t c =
				nearest_row(centroids, ncentroids, points + (size_t) p * dim, dim, &distance);

			counts[c]++;
			for (uint32_t k = 0; k < dim; k++)
				sums[(size_t) c * dim + k] += points[(size_t) p * dim + k];
		}
		for (uint32_t c = 0; c < ncentroids; c++)
			for (uint32_t k = 0; k < dim && counts[c] > 0; k++)
				centroids[(size_t) c * dim + k] = (float) (sums[(size_t) c * dim + k] / counts[c]);
	}
	distortion = mean_distortion(points, n, centroids, ncentroids, dim);
	free(counts);
	free(sums);
	free(centroids);
	return distortion;
}

static void
test_quality(void)
{
	enum
	{
		DIM = 16,
		POINTS = 4000,
		CENTROIDS = 100
	};
	uint16_t    *points = clustered_points(POINTS, DIM, 300, 0.3f, NULL);
	float       *floats = widened(points, (size_t) POINTS * DIM);
	double       plain = plain_lloyd(floats, POINTS, DIM, CENTROIDS, 8);
	KmeansResult flat = train(points, POINTS, DIM, CENTROIDS, 1);
	KmeansResult levels = train(points, POINTS, DIM, CENTROIDS, 0);
	double flat_distortion = mean_distortion(floats, POINTS, flat.centroids, flat.ncentroids, DIM);
	double levels_distortion =
		mean_distortion(floats, POINTS, levels.centroids, levels.ncentroids, DIM);

	tap_ok(flat_distortion < 1.03 * plain, "flat: distortion %.4f, plain Lloyd %.4f",
		   flat_distortion, plain);
	tap_ok(levels_distortion < 1.12 * plain, "two levels: distortion %.4f, plain Lloyd %.4f",
		   levels_distortion, plain);
	free_result(&levels);
	free_result(&flat);
	free(floats);
	free(points);
}

/* Train on n points with repetitions, and check the number of centroids. */
static void
check_degenerate(const char *what, const uint16_t *points, uint32_t n, uint32_t dim,
				 uint32_t wanted, uint32_t expected)
{
	for (uint32_t nparents = 0; nparents <= 1; nparents++)
	{
		KmeansResult result = train(points, n, dim, wanted, nparents);

		tap_ok(well_formed(&result, dim) && result.ncentroids == expected,
			   "%s, %s: %u centroids of %u wanted, expected %u", what,
			   nparents == 1 ? "flat" : "two levels", result.ncentroids, wanted, expected);
		free_result(&result);
	}
}

static void
test_degenerate(void)
{
	enum
	{
		DIM = 20,
		POINTS = 4000
	};
	uint16_t *points = calloc((size_t) POINTS * DIM, sizeof(uint16_t));

	check_degenerate("zero vectors", points, POINTS, DIM, 200, 1);
	for (uint32_t i = 0; i < POINTS * DIM; i++)
		points[i] = kernel_float_to_half(0.1f * (float) (i % DIM) - 0.7f);
	check_degenerate("all equal", points, POINTS, DIM, 200, 1);
	check_degenerate("one point", points, 1, DIM, 200, 1);
	check_degenerate("two equal points", points, 2, DIM, 2, 1);
	check_degenerate("no centroid wanted", points, 100, DIM, 0, 1);
	for (uint32_t i = 0; i < POINTS; i++)
		points[(size_t) i * DIM] = kernel_float_to_half((float) (i % 10));
	check_degenerate("ten distinct points", points, POINTS, DIM, 200, 10);
	check_degenerate("ten distinct points, in blocks", points, 10, DIM, 10, 10);
	for (uint32_t i = 0; i < POINTS; i++)
		points[(size_t) i * DIM] = kernel_float_to_half(i < POINTS / 2 ? 5.0f : (float) (i % 1000));
	check_degenerate("half of the points equal", points, POINTS, DIM, 200, 200);
	for (uint32_t i = 0; i < 300 * DIM; i++)
		points[i] = (uint16_t) (0x3000 + (i * 7919) % 0x0c00);
	check_degenerate("as many centroids as points", points, 300, DIM, 300, 300);
	check_degenerate("more centroids than points", points, 300, DIM, 1000, 300);
	free(points);
}

/*
 * Check the largest halves beside subnormal ones. Squares of 10^10 hide all
 * differences, but results must be finite.
 */
static void
test_extreme_points(void)
{
	enum
	{
		DIM = 20,
		POINTS = 500
	};
	uint16_t *points = malloc(sizeof(uint16_t) * POINTS * DIM);

	for (uint32_t i = 0; i < POINTS * DIM; i++)
		points[i] = (uint16_t) (i % DIM == 0   ? 0x7bff
								: i % DIM == 1 ? 0xfbff
								: i % DIM == 2 ? i / DIM
											   : 0x3c00 + i / DIM);
	for (uint32_t nparents = 0; nparents <= 1; nparents++)
	{
		KmeansResult result = train(points, POINTS, DIM, 100, nparents);

		tap_ok(well_formed(&result, DIM), "largest and smallest halves: %u centroids, all finite",
			   result.ncentroids);
		free_result(&result);
	}
	free(points);
}

/* Check all kinds of dims, including odd and large ones, and that memory is released. */
static void
test_dims(void)
{
	const uint32_t dims[] = {1, 2, 3, 7, 17, 100, 1100};

	for (size_t i = 0; i < sizeof(dims) / sizeof(dims[0]); i++)
	{
		uint32_t     dim = dims[i];
		uint16_t    *points = clustered_points(200, dim, 50, 0.3f, NULL);
		long         before = counters.allocated - counters.released;
		KmeansResult result = train(points, 200, dim, 70, 0);

		tap_ok(well_formed(&result, dim) && result.ncentroids == 70, "%u dims: %u centroids", dim,
			   result.ncentroids);
		tap_ok(counters.allocated - counters.released - before == 4,
			   "%u dims: only the result is kept", dim);
		free_result(&result);
		free(points);
	}
}

int
main(void)
{
	kernels_init();
	test_known_clusters(0);
	test_known_clusters(1);
	test_determinism();
	if (tap_brief())
		test_teams(5000, 20, 512);
	else
		test_teams(20000, 20, 2048);
	test_teams(3000, 7, 100);
	test_teams(40, 4, 1000);
	test_quality();
	test_degenerate();
	test_extreme_points();
	test_dims();
	tap_ok(counters.interrupts > 1000, "%ld interrupt checks", counters.interrupts);
	tap_ok(counters.allocated - counters.released == 4 * trained, "assigners release all memory");
	return tap_done();
}
