/*-------------------------------------------------------------------------
 *
 * codec.h
 *	  Codecs of code rows: a table of functions, and one file per codec.
 *
 * A search knows a codec only through this table. Tokens are prepared
 * (normalized if the metric is cosine). Keys are larger for nearer tokens: the
 * inner product, or for L2  <q, x> - |x|^2/2.
 *
 * Plain C without PostgreSQL; only training allocates.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_CODEC_H
#define COLBERT_CODEC_H

#include "codec/rotation.h"
#include "kernels/kernels.h"
#include "kmeans/kmeans.h"

/* Numbers stored on disk; never reuse one. */
typedef enum CodecId
{
	CODEC_SQ8 = 1,
	CODEC_FLAT = 2, /* float4 rows */
	CODEC_BIT = 3,  /* no rows */
	CODEC_SQ4 = 4,
	CODEC_PQ = 5
} CodecId;

/* The parameters that determine the size of a row. */
typedef struct CodecShape
{
	uint32_t dim;
	bool     has_add; /* L2 */
	uint32_t pq_m;    /* pq: parts that the dims are divided into, at most rotation_padded(dim) */
} CodecShape;

typedef struct Codec Codec;

/* A codec with everything it needs to encode. */
typedef struct Coder
{
	const Codec    *codec;
	CodecShape      shape;
	const Rotation *rotation;  /* for shape.dim */
	const float    *codebooks; /* of a trained codec; NULL until there are rows */
} Coder;

/* Parameters of training: a sample, and how to work on it. */
typedef struct CodecTraining
{
	const KmeansInput *points; /* only chunks, rows, nsample, dim, scratch and seed are used */
	const KmeansHooks *hooks;
	size_t             memory; /* limits the points used, independent of the team; 0 = default */
} CodecTraining;

/* A query prepared by a codec, which casts it to its own type. */
typedef struct CodecQuery CodecQuery;

/* The functions called by the coder_ functions below. */
struct Codec
{
	CodecId     id;
	const char *name; /* as in WITH (quantizer = ...) */

	/*
	 * True if tokens read back from the rows are too inexact. Pending
	 * documents then have sq8 rows beside their own until they are merged.
	 */
	bool coarse;

	/*
	 * Typical error of a vector that is read back from a row, as a part of its
	 * length; rather too small than too large.
	 */
	double error;

	/* Bytes of a row. 0 if the codec has no rows; then all of the following are NULL. */
	size_t (*row_size)(CodecShape shape);

	/* Floats of the codebooks, and the function that trains them. NULL if nothing is trained. */
	size_t (*codebook_floats)(CodecShape shape);
	void (*train)(const Coder *coder, const CodecTraining *training, float *codebooks);

	/* Floats of scratch for encode and decode; NULL = none. */
	size_t (*scratch_floats)(CodecShape shape);

	/* Encode n x dim floats into n rows; decode one row into dim floats. */
	void (*encode)(const Coder *coder, const float *tokens, uint32_t n, uint8_t *rows,
				   float *scratch);
	void (*decode)(const Coder *coder, const uint8_t *row, float *token, float *scratch);

	/*
	 * Score a query: bytes of a prepared query, its preparation, its number of
	 * running maxima, and their update by rows.
	 */
	size_t (*query_size)(CodecShape shape, uint32_t ntokens);
	CodecQuery *(*query_prepare)(const Coder *coder, const float *tokens, uint32_t ntokens,
								 void *memory);
	uint32_t (*query_slots)(const CodecQuery *query);
	void (*score_rows)(const Coder *coder, const CodecQuery *query, const uint8_t *rows,
					   uint32_t nrows, float *best);
};

extern const Codec codec_sq8;
extern const Codec codec_flat;
extern const Codec codec_bit;
extern const Codec codec_sq4;
extern const Codec codec_pq;

/* Return NULL if there is no such codec. */
extern const Codec *codec_by_id(int id);
extern const Codec *codec_by_name(const char *name);

static inline size_t
coder_row_size(const Coder *coder)
{
	return coder->codec->row_size(coder->shape);
}

static inline size_t
coder_codebook_floats(const Coder *coder)
{
	return coder->codec->codebook_floats == NULL ? 0 : coder->codec->codebook_floats(coder->shape);
}

/* Return true if rows can be encoded: the codec has rows, and codebooks if it needs them. */
static inline bool
coder_has_rows(const Coder *coder)
{
	return coder_row_size(coder) > 0 &&
		   (coder->codec->codebook_floats == NULL || coder->codebooks != NULL);
}

static inline size_t
coder_scratch_floats(const Coder *coder)
{
	return coder->codec->scratch_floats == NULL ? 0 : coder->codec->scratch_floats(coder->shape);
}

/* Train the codebooks of a codec that has them. */
static inline void
coder_train(const Coder *coder, const CodecTraining *training, float *codebooks)
{
	coder->codec->train(coder, training, codebooks);
}

/* Encode n x dim floats into n rows. */
static inline void
coder_encode(const Coder *coder, const float *tokens, uint32_t n, uint8_t *rows, float *scratch)
{
	coder->codec->encode(coder, tokens, n, rows, scratch);
}

/* Decode one row into dim floats. */
static inline void
coder_decode(const Coder *coder, const uint8_t *row, float *token, float *scratch)
{
	coder->codec->decode(coder, row, token, scratch);
}

/* Return the bytes of a prepared query with this many tokens. */
static inline size_t
coder_query_size(const Coder *coder, uint32_t ntokens)
{
	return coder->codec->query_size(coder->shape, ntokens);
}

/* Prepare a query in memory of coder_query_size() bytes. */
static inline CodecQuery *
coder_query_prepare(const Coder *coder, const float *tokens, uint32_t ntokens, void *memory)
{
	return coder->codec->query_prepare(coder, tokens, ntokens, memory);
}

/* Return the number of running maxima of score_rows: at least one per token. */
static inline uint32_t
coder_query_slots(const Coder *coder, const CodecQuery *query)
{
	return coder->codec->query_slots(query);
}

/* Score rows against every token of a query. best holds running maxima, updated in place. */
static inline void
coder_score_rows(const Coder *coder, const CodecQuery *query, const uint8_t *rows, uint32_t nrows,
				 float *best)
{
	coder->codec->score_rows(coder, query, rows, nrows, best);
}

#endif /* COLBERT_CODEC_H */
