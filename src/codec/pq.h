/*-------------------------------------------------------------------------
 *
 * pq.h
 *	  Codebooks of product quantization, shared by encoding and training.
 *
 * The codebooks of an index are one array of floats. For each part of the dims
 * it has PQ_CENTROIDS centroids, each followed by its addend to a key for L2,
 * minus half of its squared length.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_CODEC_PQ_H
#define COLBERT_CODEC_PQ_H

#include "codec/codec.h"

/* One part of the dims and its centroids, each of which has width floats and an addend. */
typedef struct PqPart
{
	uint32_t     start; /* first of the padded dims */
	uint32_t     width;
	const float *centroids;
} PqPart;

/* Return part s. Widths differ by at most one, if pq_m does not divide the padded dims. */
static inline PqPart
pq_part(CodecShape shape, const float *codebooks, uint32_t s)
{
	uint64_t padded = rotation_padded(shape.dim);
	uint32_t start = (uint32_t) (s * padded / shape.pq_m);
	uint32_t end = (uint32_t) ((s + 1) * padded / shape.pq_m);

	return (PqPart) {start, end - start, codebooks + (size_t) PQ_CENTROIDS * (start + s)};
}

/* Return the bytes from one centroid to the next. */
static inline size_t
pq_stride(PqPart part)
{
	return (part.width + 1) * sizeof(float);
}

static inline const float *
pq_centroid(PqPart part, uint32_t code)
{
	return part.centroids + (size_t) code * (part.width + 1);
}

static inline float
pq_add(PqPart part, uint32_t code)
{
	return pq_centroid(part, code)[part.width];
}

/*
 * Find the nearest centroid of each packed piece. keys and codes have one
 * entry per slot of the query.
 */
static inline void
pq_nearest(PqPart part, const KernelQuery *pieces, float *keys, uint32_t *codes)
{
	KernelRows rows = {
		.rows = part.centroids,
		.stride = pq_stride(part),
		.nrows = PQ_CENTROIDS,
		.add = part.centroids + part.width,
		.param_stride = pq_stride(part),
	};

	for (uint32_t i = 0; i < kernel_query_slots(pieces); i++)
	{
		keys[i] = -__builtin_inff();
		codes[i] = 0;
	}
	kernels->maxsim_rows(pieces, &rows, keys, codes);
}

/* pq_train.c */
extern void pq_train(const Coder *coder, const CodecTraining *training, float *codebooks);

#endif /* COLBERT_CODEC_PQ_H */
