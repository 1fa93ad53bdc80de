/*-------------------------------------------------------------------------
 *
 * shape.c
 *	  Compute the item sizes of an index.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "codec/codec.h"
#include "index/projection.h"
#include "index/shape.h"
#include "multivector/score.h"

static CodecShape
codec_shape(const MetaShape *shape)
{
	return (CodecShape) {shape->dim, shape->metric == METRIC_L2, shape->pq_m};
}

size_t
shape_item_size(const MetaShape *shape, ArrayKind kind)
{
	switch (kind)
	{
		case ARRAY_DOCS:
			return sizeof(DocEntry);
		case ARRAY_SKETCHES:
			return kernel_sketch_block_size(rotation_padded(shape->dim),
											shape->metric == METRIC_L2);
		case ARRAY_ROWS:
			return codec_by_id(shape->codec)->row_size(codec_shape(shape));
		case ARRAY_PENDING_ROWS:
			return codec_by_id(shape->codec)->coarse ? codec_sq8.row_size(codec_shape(shape)) : 0;
		case ARRAY_QUEUE:
			return sizeof(uint32);
		case ARRAY_NULLS:
			return sizeof(NullPage);
		case ARRAY_VERSIONS:
			return sizeof(VersionPage);
		case ARRAY_HASHES:
			return sizeof(HashBucket);
		case ARRAY_PARAMS:
			return sizeof(float);
		case ARRAY_MEANS:
			return kernel_sketch_block_size(rotation_padded(shape->dim),
											shape->metric == METRIC_L2) /
				   SKETCH_BLOCK_TOKENS;
		default:
			return finder_by_kind(shape->finder)->item_size(shape, kind);
	}
}

/*
 * Return true if all items fit on a page with m lowered to MIN_M; tokens are not
 * projected then. An excessive pq_m, which create_meta refuses, is ignored.
 */
static bool
fits(MetaShape shape)
{
	shape.m = MIN_M;
	shape.pq_m = Min(shape.pq_m, rotation_padded(shape.dim));
	for (int kind = 0; kind < ARRAY_COUNT; kind++)
		if (shape_item_size(&shape, kind) > PAGE_PAYLOAD)
			return false;
	return true;
}

uint32
shape_kept_dim(const MetaShape *shape)
{
	MetaShape kept = *shape;

	kept.dim = shape->column_dim;
	if (fits(kept))
		return kept.dim;
	kept.dim = Min(kept.dim / PROJECTION_DIM_STEP * PROJECTION_DIM_STEP, PROJECTION_MAX_DIM);
	while (kept.dim > PROJECTION_DIM_STEP && !fits(kept))
		kept.dim -= PROJECTION_DIM_STEP;
	return kept.dim;
}
