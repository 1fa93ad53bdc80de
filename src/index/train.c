/*-------------------------------------------------------------------------
 *
 * train.c
 *	  Train the mean, the codebooks and the nodes of an index from a sample of
 *	  tokens.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "access/parallel.h"
#include "base/vec.h"
#include "commands/progress.h"
#include "index/train.h"
#include "miscadmin.h"
#include "nodes/kmeans_hooks.h"
#include "pgstat.h"
#include "storage/pace.h"
#include "utils/memutils.h"

/* Points per centroid beyond which k-means gains little, while its time grows with them. */
#define WANTED_POINTS_PER_CENTROID 32

/* Points per centroid below which centroids overfit. */
#define POOR_POINTS_PER_CENTROID 8

/* Minimum nodes of an index unless the number of lists is given. */
#define MIN_NODES 256

/* Minimum tokens sampled, if available, for the mean and the codebooks. */
#define ENOUGH_TOKENS 65536

/* Tokens have the same length if the longest is at most this many times the shortest. */
#define SAME_LENGTH 1.01f

/* Centroids per work item. */
#define ITEM_CENTROIDS 1024

/*
 * Parts of a sample whose sums are computed separately, so that the result
 * does not depend on the number of participants.
 */
#define STATISTICS_PARTS 64

/*
 * Sixteenths of maintenance_work_mem for the sample, for the centroids, and
 * for the points that the participants are processing.
 */
#define SAMPLE_MEMORY    11
#define CENTROIDS_MEMORY 4
#define SCRATCH_MEMORY   1

/*
 * Sixteenths for the centroids near each, which are found when the sample has
 * been freed; and the number of these per candidate of the graph.
 */
#define NEAR_MEMORY 8
#define NEAR_TIMES  2

static Size
memory_part(int sixteenths)
{
	return maintenance_memory() / 16 * sixteenths;
}

void
train_sample_init(SampleShared *shared, const MetaPageData *meta, SampleUse use)
{
	SampleSize enough = {.most = ENOUGH_TOKENS};

	if (use == SAMPLE_FOR_STATISTICS)
		enough.share = PG_UINT32_MAX;
	else if (meta->shape.lists > 0)
	{
		enough.share = PG_UINT32_MAX;
		enough.most = Max(enough.most, (uint64) meta->shape.lists * WANTED_POINTS_PER_CENTROID);
	}
	else
		enough.share = meta->shape.tokens_per_node / WANTED_POINTS_PER_CENTROID;
	sample_init(shared, meta->shape.dim, memory_part(SAMPLE_MEMORY), enough);
}

void
train_sample_document(IndexView *view, TokenSample *sample, const DocEntry *entry,
					  VectorReader read)
{
	float *tokens =
		palloc_extended(mul_size(SKETCH_BLOCK_TOKENS, view->dim * sizeof(float)), MCXT_ALLOC_HUGE);

	for (uint32 first = 0; first < entry->ntokens; first += SKETCH_BLOCK_TOKENS)
	{
		uint32 n = Min(entry->ntokens - first, SKETCH_BLOCK_TOKENS);

		read(view, entry, first, n, tokens);
		for (uint32 t = 0; t < n; t++)
			sample_add(sample,
					   sample_hash(ItemPointerGetBlockNumberNoCheck(&entry->tid),
								   ItemPointerGetOffsetNumberNoCheck(&entry->tid), first + t),
					   tokens + (size_t) t * view->dim);
	}
	pfree(tokens);
}

/* ---- statistics ---- */

/* Sums of one part of a sample. */
typedef struct PartSums
{
	double squares;
	double lengths;
	float  shortest; /* squared lengths */
	float  longest;
} PartSums;

typedef struct Statistics
{
	const TokenSample *sample;
	PartSums          *parts; /* STATISTICS_PARTS, shared */
	double            *sums;  /* STATISTICS_PARTS x dim, shared */
} Statistics;

/* Sum up one part of the sample, which is a work item. */
static void
sum_part(void *arg, uint32 part)
{
	Statistics        *statistics = arg;
	const TokenSample *sample = statistics->sample;
	uint32             dim = sample->dim;
	double            *sums = statistics->sums + (size_t) part * dim;
	PartSums           own = {.shortest = INFINITY};
	uint64             first = sample->count * part / STATISTICS_PARTS;
	uint64             end = sample->count * (part + 1) / STATISTICS_PARTS;
	float             *token = palloc(dim * sizeof(float));

	memset(sums, 0, dim * sizeof(double));
	for (uint64 i = first; i < end; i++)
	{
		float square;

		if (i % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
		kernels->half_to_float(sample_token(sample, i), token, dim);
		for (uint32 k = 0; k < dim; k++)
			sums[k] += token[k];
		square = vec_squared(token, dim);
		own.squares += square;
		own.lengths += sqrtf(square);
		own.shortest = Min(own.shortest, square);
		own.longest = Max(own.longest, square);
	}
	statistics->parts[part] = own;
	pfree(token);
}

/* Return the standard deviation of the lengths divided by their mean; 0 if it is undefined. */
static float
length_spread(const PartSums *all, uint64 count)
{
	double mean = all->lengths / count;

	if (!isfinite(all->squares) || !(mean > 0))
		return 0;
	return (float) sqrt(Max(all->squares / count - mean * mean, 0)) / mean;
}

static void *
share(Team *team, Size bytes)
{
	return team != NULL ? team->alloc_shared(team->arg, bytes)
						: palloc_extended(bytes, MCXT_ALLOC_HUGE);
}

static void
unshare(Team *team, void *memory)
{
	if (team != NULL)
		team->free_shared(team->arg, memory);
	else
		pfree(memory);
}

void
train_statistics(const TokenSample *sample, TokenStatistics *statistics)
{
	uint32     dim = sample->dim;
	uint64     count = Max(sample->count, 1);
	Statistics work = {.sample = sample};
	PartSums   all = {.shortest = INFINITY};

	work.parts = share(sample->team, STATISTICS_PARTS * sizeof(PartSums));
	work.sums = share(sample->team, mul_size(STATISTICS_PARTS * sizeof(double), dim));
	team_run(sample->team, STATISTICS_PARTS, sum_part, &work);

	statistics->mean = palloc(dim * sizeof(float));
	for (uint32 k = 0; k < dim; k++)
	{
		double sum = 0;

		for (int part = 0; part < STATISTICS_PARTS; part++)
			sum += work.sums[(size_t) part * dim + k];
		/*
		 * Elements beyond the range of binary16 were stored as infinity. Their
		 * dimension is not centred.
		 */
		statistics->mean[k] = isfinite(sum) ? (float) (sum / count) : 0.0f;
	}
	for (int part = 0; part < STATISTICS_PARTS; part++)
	{
		all.squares += work.parts[part].squares;
		all.lengths += work.parts[part].lengths;
		all.shortest = Min(all.shortest, work.parts[part].shortest);
		all.longest = Max(all.longest, work.parts[part].longest);
	}
	statistics->lengths.norm = isfinite(all.squares) ? (float) sqrt(all.squares / count) : 0;
	statistics->lengths.spread = length_spread(&all, count);
	statistics->lengths.same =
		isfinite(all.longest) && sqrtf(all.longest) <= SAME_LENGTH * sqrtf(all.shortest);
	unshare(sample->team, work.sums);
	unshare(sample->team, work.parts);
}

/* ---- training ---- */

uint64
train_min_tokens(const MetaPageData *meta)
{
	if (meta->shape.lists > 0)
		return Max((uint64) meta->shape.lists * POOR_POINTS_PER_CENTROID, MIN_TOKENS_FOR_LISTS);
	return (uint64) MIN_NODES * Max(meta->shape.tokens_per_node, 4);
}

/* ---- codebooks ---- */

float *
train_codebooks(const IndexView *view, const TokenSample *sample)
{
	/* Centroids are not trained yet, so their part of the memory is available. */
	Size        memory = memory_part(CENTROIDS_MEMORY + SCRATCH_MEMORY);
	Team       *team = sample->team;
	KmeansHooks hooks = kmeans_hooks;
	KmeansInput points = {
		.chunks = sample->chunks,
		.chunk_shift = sample->chunk_shift,
		.rows = sample->rows,
		.nsample = sample->count,
		.dim = view->dim,
		.scratch = memory / (team != NULL ? team->nparticipants : 1),
		.seed = view->index->meta.shape.seed,
	};
	CodecTraining training = {&points, &hooks, memory};
	Size          size = mul_size(coder_codebook_floats(&view->coder), sizeof(float));
	float        *codebooks;

	if (size == 0)
		return NULL;
	hooks.team = team;
	codebooks = share(team, size);
	coder_train(&view->coder, &training, codebooks);
	return codebooks;
}

/* ---- centroids ---- */

typedef struct Restoring
{
	KmeansResult *result;
	uint32        dim;
	float         length; /* of the tokens */
} Restoring;

/*
 * Scale centroids to the length of the tokens, and store the inverse factor (a
 * work item). A graph of unscaled centroids is searched poorly: the shortest
 * ones, those of the most mixed tokens, become neighbours of all others.
 */
static void
restore_length(void *arg, uint32 item)
{
	const Restoring *restoring = arg;
	KmeansResult    *result = restoring->result;
	uint32           dim = restoring->dim;
	uint32           end = Min(result->ncentroids, (item + 1) * ITEM_CENTROIDS);

	CHECK_FOR_INTERRUPTS();
	for (uint32 i = item * ITEM_CENTROIDS; i < end; i++)
	{
		float *centroid = result->centroids + (size_t) i * dim;
		float  length = kernel_norm(centroid, dim);

		result->shrinks[i] = Min(length / restoring->length, 1);
		for (uint32 k = 0; length > 0 && k < dim; k++)
			centroid[k] *= restoring->length / length;
	}
}

void
train_restore_lengths(const IndexView *view, const TokenSample *sample, KmeansResult *result)
{
	const MetaPageData *meta = &view->index->meta;
	KmeansHooks         hooks = kmeans_hooks;

	hooks.team = sample->team;
	result->shrinks = NULL;
	result->near = NULL;
	if (meta->shape.finder != FINDER_HNSW || meta->nodes.length_spread > 0)
		return;
	result->shrinks = share(sample->team, mul_size(result->ncentroids, sizeof(float)));
	team_run(sample->team, (result->ncentroids + ITEM_CENTROIDS - 1) / ITEM_CENTROIDS,
			 restore_length, &(Restoring) {result, view->dim, meta->nodes.token_norm});
	kmeans_encode(result, view->dim, &hooks);
}

void
train_near(const IndexView *view, Team *team, KmeansResult *result)
{
	const MetaShape *shape = &view->index->meta.shape;
	const FinderOps *ops = finder_by_kind(shape->finder);
	uint64           room = memory_part(NEAR_MEMORY) / sizeof(uint32) / Max(result->ncentroids, 1);

	result->nnear = (uint32) Min(room, NEAR_TIMES * shape->ef_construction);
	if (ops->near_trained == NULL || result->nnear < shape->ef_construction)
		return;
	result->near =
		share(team, mul_size(mul_size(result->ncentroids, result->nnear), sizeof(uint32)));
	ops->near_trained(result, view->dim, team);
}

void
train_forget_near(Team *team, KmeansResult *result)
{
	if (result->near != NULL)
		unshare(team, result->near);
	result->near = NULL;
}

/* Return the number of nodes for an index of this many tokens. */
static uint64
wanted_nodes(const MetaPageData *meta, uint64 ntokens)
{
	if (meta->shape.lists > 0)
		return meta->shape.lists;
	return Max(Min(ntokens / meta->shape.tokens_per_node,
				   meta->shape.finder == FINDER_IVF ? MAX_LISTS : PG_UINT64_MAX),
			   1);
}

/* Report the share of training done as tuples of the build. */
static void
report_progress(void *arg, double done)
{
	const TokenSample *sample = arg;

	pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_TOTAL, sample->count);
	pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, (int64) (done * sample->count));
}

static void
notice_low_memory(const TokenSample *sample, uint64 wanted, uint64 ncentroids, uint64 ntokens)
{
	if (ncentroids == wanted &&
		sample->count >= Min(ncentroids * POOR_POINTS_PER_CENTROID, ntokens))
		return;
	ereport(NOTICE,
			(errmsg("maintenance_work_mem holds only " UINT64_FORMAT
					" tokens to train " UINT64_FORMAT " nodes",
					sample->count, wanted),
			 errdetail("The index is valid, but its searches are slower or have lower recall."),
			 errhint("Increase maintenance_work_mem and REINDEX.")));
}

uint64
train_possible_nodes(const IndexView *view, uint64 ntokens)
{
	uint64 room = memory_part(CENTROIDS_MEMORY) / kmeans_centroid_size(view->dim);

	return Min(wanted_nodes(&view->index->meta, ntokens), Max(room, 1));
}

uint64
train_good_nodes(const IndexView *view, uint64 ntokens)
{
	uint64 sampled = Min(memory_part(SAMPLE_MEMORY) / sample_token_size(view->dim), ntokens);

	return Min(train_possible_nodes(view, ntokens), sampled / POOR_POINTS_PER_CENTROID);
}

void
train_centroids(const IndexView *view, const TokenSample *sample, uint64 ntokens,
				KmeansResult *result)
{
	KmeansHooks hooks = kmeans_hooks;
	KmeansInput input = {0};
	uint64      wanted = wanted_nodes(&view->index->meta, ntokens);
	uint64      ncentroids = Min(train_possible_nodes(view, ntokens), Max(sample->count, 1));

	if (!IsParallelWorker())
	{
		notice_low_memory(sample, wanted, ncentroids, ntokens);
		hooks.progress = view->index->building ? report_progress : NULL;
	}
	hooks.arg = (void *) sample;
	hooks.team = sample->team;
	input.chunks = sample->chunks;
	input.chunk_shift = sample->chunk_shift;
	input.rows = sample->rows;
	input.nsample = Min(sample->count, ncentroids * WANTED_POINTS_PER_CENTROID);
	input.dim = view->dim;
	input.ncentroids = (uint32) Min(ncentroids, INVALID_ORDINAL / 2);
	input.scratch =
		memory_part(SCRATCH_MEMORY) / (sample->team != NULL ? sample->team->nparticipants : 1);
	input.seed = view->index->meta.shape.seed;
	kmeans_train(&input, &hooks, result);
	train_restore_lengths(view, sample, result);
}

void
train_store_nodes(IndexView *view, const KmeansResult *result, uint32 *node_of)
{
	Finder *finder = finder_open(view->index, &view->sketch);

	finder_store(finder, result, node_of);
	finder_close(finder);
}
