/*-------------------------------------------------------------------------
 *
 * codec.h
 *	  Codecs of the code rows: a table of functions, one file a codec.
 *
 * A search knows a codec only through this table. Tokens are prepared
 * (normalised where the metric is cosine); keys are larger for nearer:
 * the inner product, or for L2  <q, x> - |x|^2/2.
 *
 * Plain C without PostgreSQL; nothing but training allocates.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_CODEC_H
#define COLBERT_CODEC_H

#include "codec/rotation.h"
#include "kernels/kernels.h"
#include "kmeans/kmeans.h"

/* On-disk numbers: never reuse one. */
typedef enum CodecId
{
	CODEC_SQ8 = 1,
	CODEC_FLAT = 2, /* float4 rows */
	CODEC_BIT = 3,  /* no rows: sketches narrow, the stored column decides */
	CODEC_SQ4 = 4,
	CODEC_PQ = 5
} CodecId;

/* What the size of a row depends on. */
typedef struct CodecShape
{
	uint32_t dim;
	bool     has_add; /* L2 */
	uint32_t pq_m;    /* pq: parts that the dims are cut into, at most rotation_padded(dim) */
} CodecShape;

typedef struct Codec Codec;

/* A codec with all that it encodes with. */
typedef struct Coder
{
	const Codec    *codec;
	CodecShape      shape;
	const Rotation *rotation;  /* of shape.dim */
	const float    *codebooks; /* of a codec that is trained; NULL before, when there are no rows */
} Coder;

/* What a codec is trained on: a sample, and how to work. */
typedef struct CodecTraining
{
	const KmeansInput *points; /* chunks, rows, nsample, dim, scratch and seed count */
	const KmeansHooks *hooks;
	size_t memory; /* decides how many points are used, whoever works on them; 0 = default */
} CodecTraining;

/* A query that a codec has prepared: each casts it to its own kind. */
typedef struct CodecQuery CodecQuery;

/* What the functions coder_ below call. */
struct Codec
{
	CodecId     id;
	const char *name; /* as in WITH (quantizer = ...) */

	/* Documents cannot be read back from the rows: a pending one has rows of sq8 beside them until it is merged. */
	bool coarse;

	/* Bytes of a row; 0 where the codec has none, and then all below is NULL. */
	size_t (*row_size)(CodecShape shape);

	/* Floats of the codebooks, and how they are found; NULL where nothing is trained. */
	size_t (*codebook_floats)(CodecShape shape);
	void (*train)(const Coder *coder, const CodecTraining *training, float *codebooks);

	/* Floats of scratch that encode and decode need; NULL = none. */
	size_t (*scratch_floats)(CodecShape shape);

	/* n x dim floats into n rows, and one row back into dim floats. */
	void (*encode)(const Coder *coder, const float *tokens, uint32_t n, uint8_t *rows,
				   float *scratch);
	void (*decode)(const Coder *coder, const uint8_t *row, float *token, float *scratch);

	/* A query against rows: bytes, preparation, number of best slots, running maxima. */
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

/* NULL where there is none. */
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

/* Whether rows can be encoded and mean something: the codec has rows, and its codebooks if it needs them. */
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

/* Find the codebooks of a codec that is trained. */
static inline void
coder_train(const Coder *coder, const CodecTraining *training, float *codebooks)
{
	coder->codec->train(coder, training, codebooks);
}

/* n x dim floats into n rows. */
static inline void
coder_encode(const Coder *coder, const float *tokens, uint32_t n, uint8_t *rows, float *scratch)
{
	coder->codec->encode(coder, tokens, n, rows, scratch);
}

/* One row back into dim floats. */
static inline void
coder_decode(const Coder *coder, const uint8_t *row, float *token, float *scratch)
{
	coder->codec->decode(coder, row, token, scratch);
}

/* Bytes of memory that a query of that many tokens takes. */
static inline size_t
coder_query_size(const Coder *coder, uint32_t ntokens)
{
	return coder->codec->query_size(coder->shape, ntokens);
}

/* Prepare a query in memory of coder_query_size bytes. */
static inline CodecQuery *
coder_query_prepare(const Coder *coder, const float *tokens, uint32_t ntokens, void *memory)
{
	return coder->codec->query_prepare(coder, tokens, ntokens, memory);
}

/* Best keys that score_rows keeps: at least one per token. */
static inline uint32_t
coder_query_slots(const Coder *coder, const CodecQuery *query)
{
	return coder->codec->query_slots(query);
}

/* Score rows against every token of a query. best: running maxima, updated in place. */
static inline void
coder_score_rows(const Coder *coder, const CodecQuery *query, const uint8_t *rows, uint32_t nrows,
				 float *best)
{
	coder->codec->score_rows(coder, query, rows, nrows, best);
}

#endif /* COLBERT_CODEC_H */
