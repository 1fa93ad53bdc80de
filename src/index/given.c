/*-------------------------------------------------------------------------
 *
 * given.c
 *	  Centroids that a build takes as nodes instead of training them.
 *
 * access/build_centroids.c reads and checks them. They are nodes as they are:
 * nothing here moves a centroid. As after training, an assigner searches the
 * centroids by way of parents.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "index/given.h"
#include "kernels/kernels.h"
#include "miscadmin.h"
#include "nodes/kmeans_hooks.h"

/* With fewer centroids one level is as fast (kmeans.c). */
#define MIN_FOR_TWO_LEVELS 64

/* Rows converted between two checks for interrupts. */
#define ROWS_PER_CHECK 1024

/* Train parents over the centroids. */
static void
train_parents(const IndexView *view, const GivenCentroids *given, KmeansResult *upper)
{
	uint32      dim = view->dim;
	uint32      n = given->ncentroids;
	uint16     *points = palloc_extended(mul_size(n, dim * sizeof(uint16)), MCXT_ALLOC_HUGE);
	KmeansInput input = {
		.chunks = (const uint16 *const *) &points,
		.chunk_shift = 31, /* all rows are in one chunk */
		.nsample = n,
		.dim = dim,
		.ncentroids = n < MIN_FOR_TWO_LEVELS ? 1 : (uint32) (sqrt((double) n) + 0.5),
		.nparents = 1,
		.seed = view->index->meta.shape.seed,
	};

	for (uint32 i = 0; i < n; i += ROWS_PER_CHECK)
	{
		CHECK_FOR_INTERRUPTS();
		kernels->float_to_half(given->centroids + (size_t) i * dim, points + (size_t) i * dim,
							   (size_t) Min(n - i, ROWS_PER_CHECK) * dim);
	}
	kmeans_train(&input, &kmeans_hooks, upper);
	pfree(points);
}

/* Sort the centroids by parent, keeping their order within each. Parents without children go. */
static void
group(GivenCentroids *given, const uint32 *parent_of, uint32 dim)
{
	uint32  n = given->ncentroids;
	uint32 *start = palloc0(mul_size((Size) given->nparents + 1, sizeof(uint32)));
	float  *sorted = palloc_extended(mul_size(n, dim * sizeof(float)), MCXT_ALLOC_HUGE);
	uint32  kept = 0;

	for (uint32 i = 0; i < n; i++)
		start[parent_of[i] + 1]++;
	for (uint32 p = 0; p < given->nparents; p++)
		start[p + 1] += start[p];
	given->child_start = palloc(mul_size((Size) given->nparents + 1, sizeof(uint32)));
	for (uint32 p = 0; p < given->nparents; p++)
	{
		if (start[p] == start[p + 1])
			continue;
		memmove(given->parents + (size_t) kept * dim, given->parents + (size_t) p * dim,
				dim * sizeof(float));
		given->child_start[kept++] = start[p];
	}
	given->child_start[kept] = n;
	for (uint32 i = 0; i < n; i++)
	{
		if (i % ROWS_PER_CHECK == 0)
			CHECK_FOR_INTERRUPTS();
		memcpy(sorted + (size_t) start[parent_of[i]]++ * dim, given->centroids + (size_t) i * dim,
			   dim * sizeof(float));
	}
	given->nparents = kept;
	pfree(given->centroids);
	given->centroids = sorted;
	pfree(start);
}

void
given_make_parents(const IndexView *view, GivenCentroids *given)
{
	KmeansResult    upper;
	KmeansAssigner *assigner;
	uint32         *parent_of =
		palloc_extended(mul_size(given->ncentroids, sizeof(uint32)), MCXT_ALLOC_HUGE);

	train_parents(view, given, &upper);
	assigner = kmeans_assigner_create(&upper, view->dim, 1, &kmeans_hooks);
	kmeans_assign(assigner, given->centroids, given->ncentroids, parent_of, NULL);
	kmeans_assigner_release(assigner);
	given->parents = upper.centroids;
	given->nparents = upper.ncentroids;
	group(given, parent_of, view->dim);
	pfree(parent_of);
}

static void *
share(const TokenSample *sample, Size n, Size item_size)
{
	Size bytes = mul_size(n, item_size);

	return sample->team != NULL ? sample->team->alloc_shared(sample->team->arg, bytes)
								: palloc_extended(bytes, MCXT_ALLOC_HUGE);
}

void
given_share(const IndexView *view, const TokenSample *sample, const GivenCentroids *given,
			uint32 ncentroids, uint32 nparents, KmeansResult *result)
{
	Size        row = view->dim * sizeof(float);
	KmeansHooks hooks = kmeans_hooks;

	hooks.team = sample->team;
	memset(result, 0, sizeof(KmeansResult));
	result->ncentroids = ncentroids;
	result->nparents = nparents;
	result->parents = share(sample, nparents, row);
	result->centroids = share(sample, ncentroids, row);
	result->child_start = share(sample, (Size) nparents + 1, sizeof(uint32));
	result->codes = share(sample, ncentroids, kmeans_centroid_size(view->dim) - row);
	if (given != NULL)
	{
		memcpy(result->parents, given->parents, nparents * row);
		memcpy(result->centroids, given->centroids, ncentroids * row);
		memcpy(result->child_start, given->child_start, ((Size) nparents + 1) * sizeof(uint32));
	}
	if (sample->team != NULL)
		sample->team->barrier(sample->team->arg);
	kmeans_encode(result, view->dim, &hooks);
	train_restore_lengths(view, sample, result);
}
