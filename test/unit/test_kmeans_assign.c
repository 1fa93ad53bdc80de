/*-------------------------------------------------------------------------
 *
 * test_kmeans_assign.c
 *	  Assignment of tokens to centroids, compared with exhaustive search.
 *
 *-------------------------------------------------------------------------
 */
#include "kmeans_sample.h"
#include "tap.h"

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

/* Return the key of a parent for a token. */
static double
parent_key(const KmeansResult *result, uint32_t parent, const float *token, uint32_t dim)
{
	const float *p = result->parents + (size_t) parent * dim;
	double       key = 0;

	for (uint32_t k = 0; k < dim; k++)
		key += (token[k] - 0.5 * p[k]) * p[k];
	return key;
}

/* Largest error of the keys of parents that eight bits give, for these points. */
#define ROUNDING 0.5

/*
 * Check that a token's probed parents are those with the largest keys, up to
 * the rounding of eight bits. kmeans_near shows which ones it probes. A parent
 * that is probed may be left out for being far.
 */
static void
test_probed_parents(uint32_t nprobes)
{
	enum
	{
		DIM = 32,
		POINTS = 4000,
		CENTROIDS = 600,
		TOKENS = 300
	};
	uint16_t       *points = clustered_points(POINTS, DIM, 600, 0.4f, NULL);
	float          *tokens = widened(points, (size_t) POINTS * DIM);
	KmeansResult    result = train(points, POINTS, DIM, CENTROIDS, 0);
	KmeansAssigner *few = kmeans_assigner_create(&result, DIM, nprobes, &hooks);
	Reported        reported = {.keys = calloc(result.ncentroids, sizeof(float))};
	float           worst = -INFINITY;
	uint32_t        wrong = 0;
	uint32_t        most = 0;

	for (uint32_t i = 0; i < TOKENS; i++)
	{
		const float *token = tokens + (size_t) i * DIM;
		double       least = INFINITY;
		uint32_t     probed = 0;
		uint32_t     better = 0;

		for (uint32_t c = 0; c < result.ncentroids; c++)
			reported.keys[c] = NAN;
		kmeans_near(few, token, &(KmeansNear) {&worst, report_key, &reported});
		for (uint32_t p = 0; p < result.nparents; p++)
		{
			double key = parent_key(&result, p, token, DIM);

			if (isnan(reported.keys[result.child_start[p]]))
				continue;
			least = fmin(least, key);
			probed++;
		}
		for (uint32_t p = 0; p < result.nparents; p++)
			better += parent_key(&result, p, token, DIM) > least + ROUNDING;
		wrong += probed == 0 || better >= probed;
		most = probed > most ? probed : most;
	}
	tap_ok(wrong == 0 && most <= nprobes, "%u probes of %u parents: the best ones, at most %u",
		   nprobes, result.nparents, most);
	kmeans_assigner_release(few);
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
	test_assignment();
	test_near();
	test_probed_parents(1);
	test_probed_parents(3);
	test_probed_parents(12);
	test_coarse_codes();
	test_strange_centroids();
	test_extreme_tokens();
	tap_ok(counters.allocated - counters.released == 4 * trained, "assigners release all memory");
	return tap_done();
}
