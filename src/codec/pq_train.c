/*-------------------------------------------------------------------------
 *
 * pq_train.c
 *	  Train the codebooks of product quantization.
 *
 * Each part of the dims is trained on its own by Lloyd's iterations over the
 * sample's pieces, from centroids at evenly spread points. An item of the
 * team's only phase is a few parts, so that the sample is rotated once for all
 * of them. The codebook of a part does not depend on the participant that
 * trains it, nor on the other parts of its item.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/pq.h"

#include <math.h>
#include <string.h>

#include "base/splitmix.h"
#include "base/vec.h"

#define MAX_POINTS       65536 /* 256 per centroid: more gain nothing */
#define ITERATIONS       12
#define CHUNK            1024 /* points packed together */
#define MAX_PARTS        4    /* per item */
#define DEFAULT_MEMORY   ((size_t) 16 << 20)
#define INTERRUPT_POINTS 4096

/* State shared by all participants. */
typedef struct PqTraining
{
	const Coder         *coder;
	const CodecTraining *training;
	float               *codebooks;
	uint32_t             npoints;
	uint32_t             nparts; /* per item */
} PqTraining;

/* Training of one part: its pieces, packed in chunks, and the state of the iterations. */
typedef struct PqLloyd
{
	const KmeansHooks *hooks;
	PqPart             part;
	uint32_t           npoints;
	const float       *pieces;      /* npoints x width */
	char              *packed;      /* one KernelQuery per chunk */
	size_t             packed_size; /* per chunk */
	uint32_t          *codes;       /* per point */
	float             *keys;        /* per point of a chunk */
	float             *sums;        /* PQ_CENTROIDS x width */
	uint32_t           counts[PQ_CENTROIDS];
} PqLloyd;

static void *
allocate(const KmeansHooks *hooks, size_t bytes)
{
	return hooks->alloc(hooks->arg, bytes);
}

/* ---- One part ---- */

/* Return a centroid of the part, writable. */
static float *
centroid(const PqLloyd *lloyd, uint32_t code)
{
	return (float *) pq_centroid(lloyd->part, code);
}

static void
set_centroid(const PqLloyd *lloyd, uint32_t code, const float *from)
{
	float   *to = centroid(lloyd, code);
	uint32_t width = lloyd->part.width;

	memcpy(to, from, width * sizeof(float));
	to[width] = -0.5f * vec_squared(from, width);
}

/* Start from one random point of each of PQ_CENTROIDS equal ranges of the sample. */
static void
choose_first(const PqLloyd *lloyd, uint64_t seed)
{
	for (uint32_t code = 0; code < PQ_CENTROIDS; code++)
	{
		uint64_t at =
			((uint64_t) code << 32 | splitmix_next(&seed) >> 32) * lloyd->npoints / PQ_CENTROIDS >>
			32;

		set_centroid(lloyd, code, lloyd->pieces + at * lloyd->part.width);
	}
}

/* Assign each point to its nearest centroid. */
static void
assign(PqLloyd *lloyd)
{
	for (uint32_t first = 0, chunk = 0; first < lloyd->npoints; first += CHUNK, chunk++)
	{
		if (first % INTERRUPT_POINTS == 0)
			lloyd->hooks->interrupt(lloyd->hooks->arg);
		pq_nearest(lloyd->part, (const KernelQuery *) (lloyd->packed + chunk * lloyd->packed_size),
				   lloyd->keys, lloyd->codes + first);
	}
}

static void
add_up(PqLloyd *lloyd)
{
	uint32_t width = lloyd->part.width;

	memset(lloyd->counts, 0, sizeof(lloyd->counts));
	memset(lloyd->sums, 0, PQ_CENTROIDS * width * sizeof(float));
	for (uint32_t i = 0; i < lloyd->npoints; i++)
	{
		const float *piece = lloyd->pieces + (size_t) i * width;
		float       *sum = lloyd->sums + (size_t) lloyd->codes[i] * width;

		lloyd->counts[lloyd->codes[i]]++;
		for (uint32_t k = 0; k < width; k++)
			sum[k] += piece[k];
	}
}

/* Split the largest cluster: its centroid and that of an empty cluster move to both sides of it. */
static void
split_largest(PqLloyd *lloyd, uint32_t empty)
{
	uint32_t width = lloyd->part.width;
	uint32_t largest = 0;
	float   *from;
	float   *to;

	for (uint32_t code = 1; code < PQ_CENTROIDS; code++)
		if (lloyd->counts[code] > lloyd->counts[largest])
			largest = code;
	lloyd->counts[empty] = lloyd->counts[largest] / 2;
	lloyd->counts[largest] -= lloyd->counts[empty];

	from = lloyd->sums + (size_t) largest * width;
	to = lloyd->sums + (size_t) empty * width;
	for (uint32_t k = 0; k < width; k++)
	{
		float shift = k % 2 == 0 ? 1.0f / 1024 : -1.0f / 1024;

		to[k] = from[k] * (1.0f + shift);
		from[k] *= 1.0f - shift;
	}
}

/* Move centroids to the means of their points. */
static void
update(PqLloyd *lloyd)
{
	uint32_t width = lloyd->part.width;

	for (uint32_t code = 0; code < PQ_CENTROIDS; code++)
	{
		float inverse = lloyd->counts[code] > 0 ? 1.0f / (float) lloyd->counts[code] : 0.0f;

		for (uint32_t k = 0; k < width; k++)
			lloyd->sums[(size_t) code * width + k] *= inverse;
	}
	for (uint32_t code = 0; code < PQ_CENTROIDS; code++)
		if (lloyd->counts[code] == 0)
			split_largest(lloyd, code);
	for (uint32_t code = 0; code < PQ_CENTROIDS; code++)
		set_centroid(lloyd, code, lloyd->sums + (size_t) code * width);
}

static void
train_part(const PqTraining *pq, uint32_t s, const float *pieces)
{
	const KmeansHooks *hooks = pq->training->hooks;
	uint32_t           nchunks = (pq->npoints + CHUNK - 1) / CHUNK;
	PqLloyd  lloyd = {hooks, pq_part(pq->coder->shape, pq->codebooks, s), pq->npoints, pieces};
	uint32_t width = lloyd.part.width;

	lloyd.packed_size = (kernel_query_size(CHUNK, width) + 63) & ~(size_t) 63;
	lloyd.packed = allocate(hooks, nchunks * lloyd.packed_size);
	lloyd.codes = allocate(hooks, (size_t) nchunks * CHUNK * sizeof(uint32_t));
	lloyd.keys = allocate(hooks, CHUNK * sizeof(float));
	lloyd.sums = allocate(hooks, (size_t) PQ_CENTROIDS * width * sizeof(float));
	for (uint32_t chunk = 0; chunk < nchunks; chunk++)
	{
		uint32_t left = pq->npoints - chunk * CHUNK;

		kernel_query_pack(lloyd.packed + chunk * lloyd.packed_size,
						  pieces + (size_t) chunk * CHUNK * width, left < CHUNK ? left : CHUNK,
						  width);
	}

	choose_first(&lloyd, pq->training->points->seed + s);
	for (int i = 0; i < ITERATIONS; i++)
	{
		assign(&lloyd);
		add_up(&lloyd);
		update(&lloyd);
	}
	hooks->release(hooks->arg, lloyd.packed);
	hooks->release(hooks->arg, lloyd.codes);
	hooks->release(hooks->arg, lloyd.keys);
	hooks->release(hooks->arg, lloyd.sums);
}

/* ---- All parts ---- */

/*
 * Cut the pieces of parts first .. end - 1, part by part, from points spread
 * evenly over the sample. A point beyond the range of binary16 counts as zero.
 */
static void
cut_pieces(const PqTraining *pq, uint32_t first, uint32_t end, float *pieces)
{
	const KmeansInput *points = pq->training->points;
	const KmeansHooks *hooks = pq->training->hooks;
	uint32_t           padded = pq->coder->rotation->padded;
	float             *token = allocate(hooks, ((size_t) points->dim + padded) * sizeof(float));
	float             *rotated = token + points->dim;
	uint32_t           start = pq_part(pq->coder->shape, NULL, first).start;

	for (uint32_t i = 0; i < pq->npoints; i++)
	{
		uint64_t point = (uint64_t) i * points->nsample / pq->npoints;
		float   *part_pieces = pieces;

		if (i % INTERRUPT_POINTS == 0)
			hooks->interrupt(hooks->arg);
		kernels->half_to_float(kmeans_row(points, kmeans_row_of_point(points, point)), token,
							   points->dim);
		rotation_apply(pq->coder->rotation, token, rotated);
		for (uint32_t k = 0; k < padded; k++)
			if (!isfinite(rotated[k]))
				rotated[k] = 0.0f;
		for (uint32_t s = first; s < end; s++)
		{
			PqPart part = pq_part(pq->coder->shape, NULL, s);

			memcpy(part_pieces + (size_t) i * part.width, rotated + part.start,
				   part.width * sizeof(float));
			part_pieces = pieces + (size_t) pq->npoints * (part.start + part.width - start);
		}
	}
	hooks->release(hooks->arg, token);
}

/* Work item: train a few parts. */
static void
train_parts(void *arg, uint32_t item)
{
	const PqTraining  *pq = arg;
	const KmeansHooks *hooks = pq->training->hooks;
	CodecShape         shape = pq->coder->shape;
	uint32_t           first = item * pq->nparts;
	uint32_t           end = first + pq->nparts < shape.pq_m ? first + pq->nparts : shape.pq_m;
	uint32_t           start = pq_part(shape, NULL, first).start;
	PqPart             last = pq_part(shape, NULL, end - 1);
	float             *pieces =
		allocate(hooks, (size_t) pq->npoints * (last.start + last.width - start) * sizeof(float));

	cut_pieces(pq, first, end, pieces);
	for (uint32_t s = first; s < end; s++)
		train_part(pq, s, pieces + (size_t) pq->npoints * (pq_part(shape, NULL, s).start - start));
	hooks->release(hooks->arg, pieces);
}

void
pq_train(const Coder *coder, const CodecTraining *training, float *codebooks)
{
	PqTraining pq = {coder, training, codebooks};
	CodecShape shape = coder->shape;
	size_t     scratch = training->points->scratch > 0 ? training->points->scratch : DEFAULT_MEMORY;
	size_t     memory = training->memory > 0 ? training->memory : DEFAULT_MEMORY;
	size_t     widest = (rotation_padded(shape.dim) + shape.pq_m - 1) / shape.pq_m;

	/* Each point takes its pieces, the packed pieces and a code. */
	size_t room = memory / (2 * widest * sizeof(float) + sizeof(uint32_t));

	pq.npoints = (uint32_t) (training->points->nsample < MAX_POINTS ? training->points->nsample
																	: MAX_POINTS);
	if (pq.npoints > room)
		pq.npoints = room > PQ_CENTROIDS ? (uint32_t) room : PQ_CENTROIDS;
	pq.nparts = 1;
	while (pq.nparts < MAX_PARTS &&
		   (size_t) pq.npoints * (pq.nparts + 2) * widest * sizeof(float) <= scratch)
		pq.nparts++;
	team_run(training->hooks->team, (shape.pq_m + pq.nparts - 1) / pq.nparts, train_parts, &pq);
}
