/*-------------------------------------------------------------------------
 *
 * train.c
 *	  From a sample of tokens to the mean and the nodes of an index.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "common/hashfn.h"
#include "index/train.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* k-means gains little beyond this many points a centroid, and time grows with them. */
#define WANTED_POINTS_PER_CENTROID 32

/* Below this many the centroids fit their few points and little else. */
#define POOR_POINTS_PER_CENTROID 8

#define MIN_NODES 256

/* Where their number was asked for: fewer tokens are as fast to go through. */
#define LEAST_TOKENS_FOR_LISTS 2048

#define MAX_LISTS 1048576

/* ---- the sample ---- */

TokenSample *
sample_create(uint32 dim, Size bytes)
{
	TokenSample *sample = palloc0(sizeof(TokenSample));

	sample->context = CurrentMemoryContext;
	sample->dim = dim;
	sample->limit = Max(bytes / (dim * sizeof(uint16) + sizeof(uint32)), 1);
	sample->threshold = PG_UINT32_MAX;
	return sample;
}

void
sample_free(TokenSample *sample)
{
	if (sample->hashes != NULL)
	{
		pfree(sample->hashes);
		pfree(sample->vectors);
	}
	pfree(sample);
}

uint32
sample_hash(BlockNumber block, OffsetNumber offset, uint32 token)
{
	return hash_combine(murmurhash32(block), hash_combine(murmurhash32(offset), murmurhash32(token)));
}

/* Keep the tokens whose hash is below the threshold, in their order. */
static void
sample_trim(TokenSample *sample, uint32 threshold)
{
	uint64		kept = 0;

	for (uint64 i = 0; i < sample->count; i++)
	{
		if (sample->hashes[i] >= threshold)
			continue;
		if (kept != i)
		{
			sample->hashes[kept] = sample->hashes[i];
			memcpy(sample->vectors + kept * sample->dim, sample->vectors + i * sample->dim,
				   sample->dim * sizeof(uint16));
		}
		kept++;
	}
	sample->count = kept;
	sample->threshold = threshold;
}

static void *
grow(MemoryContext context, void *memory, Size size)
{
	return memory == NULL ? MemoryContextAllocHuge(context, size) : repalloc_huge(memory, size);
}

void
sample_add(TokenSample *sample, uint32 hash, const float *token)
{
	sample->offered++;
	if (hash >= sample->threshold)
		return;
	while (sample->count >= sample->limit && sample->threshold > 1)
		sample_trim(sample, sample->threshold / 2);
	if (hash >= sample->threshold || sample->count >= sample->limit)
		return;
	if (sample->count == sample->capacity)
	{
		sample->capacity = Min(Max(sample->capacity * 2, 1024), sample->limit);
		sample->hashes = grow(sample->context, sample->hashes, mul_size(sample->capacity, sizeof(uint32)));
		sample->vectors = grow(sample->context, sample->vectors,
							   mul_size(sample->capacity, sample->dim * sizeof(uint16)));
	}
	sample->hashes[sample->count] = hash;
	kernels->float_to_half(token, sample->vectors + sample->count * sample->dim, sample->dim);
	sample->count++;
}

/* ---- training ---- */

uint64
train_min_tokens(const MetaPageData *meta)
{
	if (meta->lists > 0)
		return Max((uint64) meta->lists * POOR_POINTS_PER_CENTROID, LEAST_TOKENS_FOR_LISTS);
	return (uint64) MIN_NODES * Max(meta->tokens_per_node, 4);
}

float
train_mean(const TokenSample *sample, float *mean)
{
	double		squares = 0;
	double	   *sums = palloc0(sample->dim * sizeof(double));
	float	   *token = palloc(sample->dim * sizeof(float));

	for (uint64 i = 0; i < sample->count; i++)
	{
		if (i % 4096 == 0)
			CHECK_FOR_INTERRUPTS();
		kernels->half_to_float(sample->vectors + i * sample->dim, token, sample->dim);
		for (uint32 k = 0; k < sample->dim; k++)
		{
			sums[k] += token[k];
			squares += (double) token[k] * token[k];
		}
	}
	for (uint32 k = 0; k < sample->dim; k++)
	{
		mean[k] = sample->count > 0 ? (float) (sums[k] / sample->count) : 0.0f;
		/* Elements beyond the range of binary16 came as infinity: do without centring there. */
		if (!isfinite(mean[k]))
			mean[k] = 0.0f;
	}
	pfree(sums);
	pfree(token);
	squares = sample->count > 0 ? sqrt(squares / sample->count) : 0;
	return isfinite(squares) ? (float) squares : 0;
}

static void *
hook_alloc(void *arg, size_t bytes)
{
	return MemoryContextAllocExtended(CurrentMemoryContext, Max(bytes, 1), MCXT_ALLOC_HUGE);
}

static void
hook_release(void *arg, void *memory)
{
	if (memory != NULL)
		pfree(memory);
}

static void
hook_interrupt(void *arg)
{
	CHECK_FOR_INTERRUPTS();
}

const KmeansHooks train_hooks = {.alloc = hook_alloc, .release = hook_release, .interrupt = hook_interrupt};

/*
 * The length that all tokens of the sample have, within a hundredth; or 0.
 */
static float
common_length(const TokenSample *sample)
{
	float	   *token = palloc(sample->dim * sizeof(float));
	float		shortest = INFINITY;
	float		longest = 0;

	for (uint64 i = 0; i < sample->count; i++)
	{
		float		length;

		if (i % 4096 == 0)
			CHECK_FOR_INTERRUPTS();
		kernels->half_to_float(sample->vectors + i * sample->dim, token, sample->dim);
		length = kernel_norm(token, sample->dim);
		shortest = Min(shortest, length);
		longest = Max(longest, length);
	}
	pfree(token);
	return longest <= 1.01f * shortest ? 0.5f * (shortest + longest) : 0;
}

/*
 * Give centroids the length of the tokens, where these have one. A mean of
 * normalised tokens is the shorter the more they differ, which says nothing
 * about where its tokens point: left as they are, tight centroids would come
 * before nearer ones, in searches by inner product above all.
 */
static void
restore_length(const TokenSample *sample, KmeansResult *result)
{
	float		wanted = common_length(sample);

	if (!(wanted > 0) || !isfinite(wanted))
		return;
	for (uint32 i = 0; i < result->ncentroids; i++)
	{
		float	   *centroid = result->centroids + (size_t) i * sample->dim;
		float		length = kernel_norm(centroid, sample->dim);

		for (uint32 k = 0; length > 0 && k < sample->dim; k++)
			centroid[k] *= wanted / length;
	}
}

/* How many nodes an index of so many tokens should have. */
static uint64
wanted_nodes(const MetaPageData *meta, uint64 ntokens)
{
	if (meta->lists > 0)
		return meta->lists;
	return Max(Min(ntokens / meta->tokens_per_node, meta->finder == FINDER_IVF ? MAX_LISTS : PG_UINT64_MAX), 1);
}

void
train_centroids(const IndexView *view, TokenSample *sample, uint64 ntokens, KmeansResult *result)
{
	KmeansInput input = {0};
	uint64		wanted = wanted_nodes(&view->meta, ntokens);
	uint64		room = (Size) maintenance_work_mem * 1024 / 4 / (view->dim * sizeof(float));
	uint64		ncentroids = Min(wanted, Max(Min(room, sample->count), 1));

	if (ncentroids < wanted || sample->count < Min(ncentroids * POOR_POINTS_PER_CENTROID, ntokens))
		ereport(NOTICE,
				(errmsg("maintenance_work_mem holds only " UINT64_FORMAT " tokens to train " UINT64_FORMAT " nodes",
						sample->count, wanted),
				 errdetail("The index is built, but its searches are slower or find less."),
				 errhint("Increase maintenance_work_mem and REINDEX.")));

	if (sample->count > ncentroids * WANTED_POINTS_PER_CENTROID)
		sample_trim(sample, (uint32) ((double) sample->threshold * (ncentroids * WANTED_POINTS_PER_CENTROID) / sample->count));

	input.chunks = (const uint16 *const *) &sample->vectors;
	input.chunk_shift = 31;
	input.nsample = sample->count;
	input.dim = view->dim;
	input.ncentroids = (uint32) Min(ncentroids, INVALID_ORDINAL / 2);
	input.seed = view->meta.seed;
	kmeans_train(&input, &train_hooks, result);
	restore_length(sample, result);
}

uint32 *
train_store_nodes(IndexView *view, const KmeansResult *result)
{
	uint32	   *node_of = palloc_extended(mul_size(result->ncentroids, sizeof(uint32)), MCXT_ALLOC_HUGE);
	void	   *state = view->finder->open(&view->index, &view->meta, &view->sketch);

	view->finder->store(state, result, node_of);
	view->finder->close(state);
	return node_of;
}
