/*-------------------------------------------------------------------------
 *
 * test_kmeans.c
 *	  Two-level k-means.
 *
 * Tests cover known clusters, equal results for any instruction set and any
 * team, degenerate input, quality compared with a plain Lloyd iteration, and
 * assignment compared with exhaustive search.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kmeans/kmeans.h"
#include "base/splitmix.h"
#include "kernels/kernels.h"
#include "tap.h"

/* ------------------------------------------------------------------------
 * Counted memory, and counted interrupt checks
 * ------------------------------------------------------------------------
 */

typedef struct Counters
{
	long allocated;
	long released;
	long interrupts;
} Counters;

static void *
count_alloc(void *arg, size_t bytes)
{
	void *memory = malloc(bytes);

	((Counters *) arg)->allocated++;
	if (memory == NULL)
		abort();
	memset(memory, 0xA5, bytes); /* uninitialized memory must not be read */
	return memory;
}

static void
count_release(void *arg, void *memory)
{
	((Counters *) arg)->released++;
	free(memory);
}

static void
count_interrupt(void *arg)
{
	((Counters *) arg)->interrupts++;
}

static Counters counters;
static long     trained;

static const KmeansHooks hooks = {
	.alloc = count_alloc,
	.release = count_release,
	.interrupt = count_interrupt,
	.arg = &counters,
};

static void
free_result(KmeansResult *result)
{
	free(result->parents);
	free(result->centroids);
	free(result->child_start);
	free(result->codes);
}

/* ------------------------------------------------------------------------
 * Points
 * ------------------------------------------------------------------------
 */

static float
uniform(uint64_t *state)
{
	return (float) ((double) (splitmix_next(state) >> 11) * 0x1p-53);
}

static float
gaussian(uint64_t *state)
{
	float sum = 0;

	for (int i = 0; i < 12; i++)
		sum += uniform(state);
	return sum - 6;
}

/*
 * Return n points around nclusters random centres, with the given noise.
 * Stores the centres unless centres is NULL.
 */
static uint16_t *
clustered_points(uint32_t n, uint32_t dim, uint32_t nclusters, float noise, float *centres)
{
	uint64_t  state = 11;
	uint16_t *points = malloc(sizeof(uint16_t) * n * dim);
	float    *own = malloc(sizeof(float) * nclusters * dim);

	for (uint32_t i = 0; i < nclusters * dim; i++)
		own[i] = gaussian(&state);
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < dim; k++)
			points[(size_t) i * dim + k] = kernel_float_to_half(
				own[(size_t) (i % nclusters) * dim + k] + noise * gaussian(&state));
	if (centres != NULL)
		memcpy(centres, own, sizeof(float) * nclusters * dim);
	free(own);
	return points;
}

static float *
widened(const uint16_t *points, size_t n)
{
	float *out = malloc(sizeof(float) * n);

	kernels->half_to_float(points, out, n);
	return out;
}

static double
squared_distance(const float *a, const float *b, uint32_t dim)
{
	double sum = 0;

	for (uint32_t k = 0; k < dim; k++)
		sum += ((double) a[k] - b[k]) * ((double) a[k] - b[k]);
	return sum;
}

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

static KmeansResult
train(const uint16_t *sample, uint64_t nsample, uint32_t dim, uint32_t ncentroids,
	  uint32_t nparents)
{
	KmeansInput input = {
		.chunks = &sample,
		.chunk_shift = 31,
		.nsample = nsample,
		.dim = dim,
		.ncentroids = ncentroids,
		.nparents = nparents,
		.seed = 42,
	};
	KmeansResult result;

	kmeans_train(&input, &hooks, &result);
	trained++;
	return result;
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

/* ------------------------------------------------------------------------
 * Assignment
 * ------------------------------------------------------------------------
 */

/*
 * Count the tokens, among n, that are assigned to the nearest of all centroids
 * according to plain loops.
 */
static uint32_t
at_nearest(const KmeansResult *result, const float *tokens, uint32_t n, uint32_t dim)
{
	KmeansAssigner *assigner = kmeans_assigner_create(result, dim, result->nparents, &hooks);
	uint32_t       *centroid = malloc(sizeof(uint32_t) * n);
	uint32_t        right = 0;

	kmeans_assign(assigner, tokens, n, centroid, NULL);
	for (uint32_t i = 0; i < n; i++)
	{
		const float *x = tokens + (size_t) i * dim;
		double       best = INFINITY;

		for (uint32_t c = 0; c < result->ncentroids; c++)
			best = fmin(best, squared_distance(result->centroids + (size_t) c * dim, x, dim));
		right += squared_distance(result->centroids + (size_t) centroid[i] * dim, x, dim) <=
				 best * (1 + 1e-5);
	}
	kmeans_assigner_release(assigner);
	free(centroid);
	return right;
}

static void
test_assignment(void)
{
	enum
	{
		DIM = 33,
		POINTS = 3000,
		CENTROIDS = 150
	};
	uint16_t       *points = clustered_points(POINTS, DIM, 300, 0.4f, NULL);
	float          *tokens = widened(points, (size_t) POINTS * DIM);
	KmeansResult    result = train(points, POINTS, DIM, CENTROIDS, 0);
	KmeansAssigner *all = kmeans_assigner_create(&result, DIM, result.nparents, &hooks);
	KmeansAssigner *few = kmeans_assigner_create(&result, DIM, 4, &hooks);
	uint32_t       *exact = malloc(sizeof(uint32_t) * POINTS);
	uint32_t       *probed = malloc(sizeof(uint32_t) * POINTS);
	float          *similarity = malloc(sizeof(float) * POINTS);
	uint32_t        right = at_nearest(&result, tokens, POINTS, DIM);
	uint32_t        same = 0;
	uint32_t        alone = 0;
	double          worst = 0;

	kmeans_assign(all, tokens, POINTS, exact, similarity);
	kmeans_assign(few, tokens, POINTS, probed, NULL);
	for (uint32_t i = 0; i < POINTS; i++)
	{
		const float *x = tokens + (size_t) i * DIM;
		double       key = 0;
		uint32_t     one;
		float        one_similarity;

		for (uint32_t k = 0; k < DIM; k++)
			key += (x[k] - 0.5 * result.centroids[(size_t) exact[i] * DIM + k]) *
				   result.centroids[(size_t) exact[i] * DIM + k];
		worst = fmax(worst, fabs(key - similarity[i]));
		same += exact[i] == probed[i];
		if (i % 50 == 0)
		{
			kmeans_assign(all, x, 1, &one, &one_similarity);
			alone += one == exact[i] && one_similarity == similarity[i];
		}
	}
	tap_ok(right == POINTS, "probing all parents is exhaustive search: %u of %d", right, POINTS);
	tap_ok(worst < 1e-4, "similarity is <x, c> - |c|^2/2: largest error %g", worst);
	tap_ok(same > POINTS * 9 / 10, "4 of %u parents: %u of %d the same", result.nparents, same,
		   POINTS);
	tap_ok(alone == POINTS / 50, "a single token gets the same centroid as among others");
	kmeans_assigner_release(few);
	kmeans_assigner_release(all);
	free(similarity);
	free(probed);
	free(exact);
	free_result(&result);
	free(tokens);
	free(points);
}

/* Keys that kmeans_near reported, by centroid. */
typedef struct Reported
{
	float   *keys;
	uint32_t count;
} Reported;

static void
report_key(void *arg, uint32_t centroid, float key)
{
	Reported *reported = arg;

	reported->keys[centroid] = key;
	reported->count++;
}

/*
 * Check kmeans_near: with all parents it reports every centroid once, with its
 * key up to the rounding of eight bits, and only keys above *worst; children
 * beyond the counts are in no result.
 */
static void
test_near(void)
{
	enum
	{
		DIM = 32,
		POINTS = 2000,
		CENTROIDS = 150
	};
	uint16_t       *points = clustered_points(POINTS, DIM, 300, 0.4f, NULL);
	float          *tokens = widened(points, (size_t) POINTS * DIM);
	KmeansResult    result = train(points, POINTS, DIM, CENTROIDS, 0);
	KmeansAssigner *all = kmeans_assigner_create(&result, DIM, result.nparents, &hooks);
	Reported        reported = {.keys = calloc(result.ncentroids, sizeof(float))};
	uint32_t       *counts = malloc(sizeof(uint32_t) * result.nparents);
	uint32_t       *nearest = malloc(sizeof(uint32_t) * POINTS);
	float           worst = -INFINITY;
	double          error = 0;
	double          largest = -INFINITY;
	uint32_t        sum = 0;
	uint32_t        beyond = 0;

	kmeans_near(all, tokens, &(KmeansNear) {&worst, report_key, &reported});
	for (uint32_t c = 0; c < result.ncentroids; c++)
	{
		double key = 0;

		for (uint32_t k = 0; k < DIM; k++)
			key += (tokens[k] - 0.5 * result.centroids[(size_t) c * DIM + k]) *
				   result.centroids[(size_t) c * DIM + k];
		error = fmax(error, fabs(key - reported.keys[c]));
		largest = fmax(largest, reported.keys[c]);
	}
	tap_ok(reported.count == result.ncentroids, "%u of %u centroids are reported", reported.count,
		   result.ncentroids);
	tap_ok(error < 0.02 * fmax(fabs(largest), 1), "their keys: largest error %g", error);
	worst = (float) largest;
	reported.count = 0;
	kmeans_near(all, tokens, &(KmeansNear) {&worst, report_key, &reported});
	tap_ok(reported.count == 0, "none has a larger key than the largest");

	for (uint32_t p = 0; p < result.nparents; p++)
		sum += counts[p] = (result.child_start[p + 1] - result.child_start[p] + 1) / 2;
	kmeans_assigner_count(all, counts);
	reported.count = 0;
	worst = -INFINITY;
	kmeans_near(all, tokens, &(KmeansNear) {&worst, report_key, &reported});
	kmeans_assign(all, tokens, POINTS, nearest, NULL);
	for (uint32_t i = 0; i < POINTS; i++)
		for (uint32_t p = 0; p < result.nparents; p++)
			beyond += nearest[i] >= result.child_start[p] + counts[p] &&
					  nearest[i] < result.child_start[p + 1];
	tap_ok(reported.count == sum && beyond == 0, "half of the children: %u reported, %u beyond",
		   reported.count, beyond);
	kmeans_assigner_release(all);
	free(nearest);
	free(counts);
	free(reported.keys);
	free_result(&result);
	free(tokens);
	free(points);
}

/*
 * Check data that eight bits represent badly: far from zero compared with
 * their differences, or with one dim that outweighs the others. The search
 * must still be exhaustive.
 */
static void
test_coarse_codes(void)
{
	enum
	{
		DIM = 40,
		POINTS = 2000,
		CENTROIDS = 120
	};
	static const struct
	{
		const char *what;
		float       offset;
		float       first;
	} kinds[] = {{"far from zero", 200, 1}, {"one large dim", 0, 300}, {"all alike", 1000, 0}};

	for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++)
	{
		uint16_t    *points = clustered_points(POINTS, DIM, 250, 0.4f, NULL);
		float       *tokens = widened(points, (size_t) POINTS * DIM);
		KmeansResult result;
		uint32_t     right;

		for (uint32_t i = 0; i < POINTS * DIM; i++)
			tokens[i] = kinds[kind].offset +
						tokens[i] * (i % DIM == 0 ? kinds[kind].first : kinds[kind].first > 0);
		kernels->float_to_half(tokens, points, (size_t) POINTS * DIM);
		kernels->half_to_float(points, tokens, (size_t) POINTS * DIM);
		result = train(points, POINTS, DIM, CENTROIDS, 0);
		right = at_nearest(&result, tokens, POINTS, DIM);
		tap_ok(right == POINTS, "%s: %u of %d at the nearest of %u centroids", kinds[kind].what,
			   right, POINTS, result.ncentroids);
		free_result(&result);
		free(tokens);
		free(points);
	}
}

/*
 * Check that centroids and parents that are not finite, or far larger than the
 * others, do not keep tokens from their nearest centroid.
 */
static void
test_strange_centroids(void)
{
	enum
	{
		DIM = 40,
		POINTS = 2000,
		CENTROIDS = 120
	};
	uint16_t    *points = clustered_points(POINTS, DIM, 250, 0.4f, NULL);
	float       *tokens = widened(points, (size_t) POINTS * DIM);
	KmeansResult result = train(points, POINTS, DIM, CENTROIDS, 0);
	uint32_t     right;

	for (uint32_t k = 0; k < DIM; k++)
	{
		result.centroids[20 * DIM + k] *= 1000;
		result.centroids[40 * DIM + k] *= -100;
		result.parents[2 * DIM + k] *= 500;
	}
	result.centroids[3 * DIM] = NAN;
	result.centroids[60 * DIM + 7] = INFINITY;
	kmeans_encode(&result, DIM, &hooks);
	right = at_nearest(&result, tokens, POINTS, DIM);
	tap_ok(right == POINTS, "strange centroids: %u of %d at the nearest", right, POINTS);
	free_result(&result);
	free(tokens);
	free(points);
}

/* Check that tokens of any size are assigned. */
static void
test_extreme_tokens(void)
{
	enum
	{
		DIM = 8
	};
	const float     sizes[] = {0.0f, 1e-40f, 1e-20f, 1e10f, 1e20f, 3e38f, -3e38f};
	uint16_t       *points = clustered_points(2000, DIM, 200, 0.4f, NULL);
	KmeansResult    result = train(points, 2000, DIM, 100, 0);
	KmeansAssigner *assigner = kmeans_assigner_create(&result, DIM, 3, &hooks);
	bool            within = true;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		float    token[DIM];
		uint32_t centroid = UINT32_MAX;

		for (int k = 0; k < DIM; k++)
			token[k] = k % 2 ? sizes[i] : -sizes[i];
		kmeans_assign(assigner, token, 1, &centroid, NULL);
		within = within && centroid < result.ncentroids;
	}
	kmeans_assigner_release(assigner);
	tap_ok(within, "zero, subnormal and huge tokens are assigned");
	free_result(&result);
	free(points);
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
	test_assignment();
	test_near();
	test_coarse_codes();
	test_strange_centroids();
	test_extreme_tokens();
	tap_ok(counters.interrupts > 1000, "%ld interrupt checks", counters.interrupts);
	tap_ok(counters.allocated - counters.released == 4 * trained, "assigners release all memory");
	return tap_done();
}
