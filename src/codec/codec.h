/*-------------------------------------------------------------------------
 *
 * codec.h
 *	  Codecs of the code rows: a table of functions, one file a codec.
 *
 * A search knows a codec only through this table. Tokens are prepared
 * (normalised where the metric is cosine); keys are larger for nearer:
 * the inner product, or for L2  <q, x> - |x|^2/2.
 *
 * Plain C without PostgreSQL; never allocates.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_CODEC_H
#define COLBERT_CODEC_H

#include "kernels/kernels.h"

/* On-disk numbers: never reuse one. */
typedef enum CodecId
{
	CODEC_SQ8 = 1,
	CODEC_FLAT = 2,				/* float4 rows */
	CODEC_BIT = 3				/* no rows: sketches narrow, the stored column decides */
} CodecId;

typedef struct CodecShape
{
	uint32_t	dim;
	bool		has_add;		/* L2 */
} CodecShape;

typedef struct Codec
{
	CodecId		id;
	const char *name;			/* as in WITH (quantizer = ...) */

	/* Bytes of a row; 0 where the codec has none, and then all below is NULL. */
	size_t		(*row_size) (CodecShape shape);
	void		(*encode) (CodecShape shape, const float *token, uint8_t *row);
	void		(*decode) (CodecShape shape, const uint8_t *row, float *token);

	/* A query against rows: bytes, preparation, number of best slots, running maxima. */
	size_t		(*query_size) (CodecShape shape, uint32_t ntokens);
	void	   *(*query_prepare) (CodecShape shape, const float *tokens, uint32_t ntokens, void *memory);
	uint32_t	(*query_slots) (const void *query);
	void		(*score_rows) (CodecShape shape, const void *query, const uint8_t *rows, uint32_t nrows, float *best);
} Codec;

extern const Codec codec_sq8;
extern const Codec codec_flat;
extern const Codec codec_bit;

/* NULL where there is none. */
extern const Codec *codec_by_id(int id);
extern const Codec *codec_by_name(const char *name);

#endif							/* COLBERT_CODEC_H */
