/*-------------------------------------------------------------------------
 *
 * create.c
 *	  A new index: its structure, as it will stand on the meta page.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "index/create.h"
#include "index/scale.h"

/* Measured on a million tokens: about one node for 64 tokens (doc/tuning.md). */
#define AUTO_TOKENS_PER_NODE 64

/* One fixed seed: the same documents give the same index. */
#define INDEX_SEED UINT64CONST(0x636f6c6265727431)

/* Does every fixed-size item of tokens of this shape fit on a page, but for a pq_m that is refused anyway? */
static bool
fits(const Finder *finder, const Codec *codec, CodecShape shape)
{
	shape.pq_m = Min(shape.pq_m, rotation_padded(shape.dim));
	return codec->row_size(shape) <= PAGE_PAYLOAD && codec_sq8.row_size(shape) <= PAGE_PAYLOAD &&
		   kernel_sketch_block_size(rotation_padded(shape.dim), shape.has_add) <= PAGE_PAYLOAD &&
		   finder->fits(shape.dim);
}

uint32
create_kept_dim(const Finder *finder, const Codec *codec, CodecShape shape)
{
	if (fits(finder, codec, shape))
		return shape.dim;
	shape.dim = Min(shape.dim / PROJECTION_DIM_STEP * PROJECTION_DIM_STEP, PROJECTION_MAX_DIM);
	while (shape.dim > PROJECTION_DIM_STEP && !fits(finder, codec, shape))
		shape.dim -= PROJECTION_DIM_STEP;
	return shape.dim;
}

static void
check_pq_m(CodecShape shape, uint32 column_dim)
{
	uint32 most = rotation_padded(shape.dim);

	if (shape.pq_m > most)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("pq_m must not be above %u for %u dimensions", most, shape.dim),
			 shape.dim < column_dim
				 ? errdetail("The index keeps the %u dimensions projected to %u.", column_dim,
							 shape.dim)
				 : 0,
			 errhint(
				 "It is how many parts a token is cut into, and the bytes of its code; a quarter of the dimensions is usual.")));
}

void
create_meta(const IndexShape *shape, MetaPageData *meta)
{
	const Finder *finder = finder_by_kind(shape->finder);
	const Codec  *codec = codec_by_id(shape->codec);
	bool          has_add = shape->metric == METRIC_L2;
	CodecShape    row_shape = {shape->dim, has_add, shape->codec == CODEC_PQ ? shape->pq_m : 0};
	ArrayMeta    *arrays = meta->arrays;

	row_shape.dim = create_kept_dim(finder, codec, row_shape);
	check_pq_m(row_shape, shape->dim);
	memset(meta, 0, sizeof(MetaPageData));
	meta->magic = COLBERT_MAGIC;
	meta->version = COLBERT_VERSION;
	meta->dim = row_shape.dim;
	meta->column_dim = shape->dim;
	meta->metric = shape->metric;
	meta->codec = shape->codec;
	meta->pq_m = row_shape.pq_m;
	meta->finder = shape->finder;
	meta->scale_log2 = scale_unset(shape->metric);
	meta->m = shape->m;
	meta->ef_construction = shape->ef_construction;
	meta->tokens_per_node =
		shape->tokens_per_node > 0 ? shape->tokens_per_node : AUTO_TOKENS_PER_NODE;
	meta->lists = shape->lists;
	meta->seed = INDEX_SEED;
	meta->entry_node = INVALID_ORDINAL;
	meta->null_free_head = INVALID_ORDINAL;
	for (int i = 0; i < FREE_CLASSES; i++)
		meta->free_head[i] = INVALID_ORDINAL;
	for (int i = 0; i < RUN_CLASSES; i++)
		meta->free_runs[i] = INVALID_ORDINAL;

	arrays[ARRAY_DOCS].item_size = sizeof(DocEntry);
	arrays[ARRAY_SKETCHES].item_size =
		kernel_sketch_block_size(rotation_padded(row_shape.dim), has_add);
	arrays[ARRAY_ROWS].item_size = codec->row_size(row_shape);
	if (codec->coarse)
		arrays[ARRAY_PENDING_ROWS].item_size = codec_sq8.row_size(row_shape);
	arrays[ARRAY_QUEUE].item_size = sizeof(uint32);
	arrays[ARRAY_NULLS].item_size = sizeof(NullEntry);
	arrays[ARRAY_VERSIONS].item_size = sizeof(VersionPage);
	arrays[ARRAY_HASHES].item_size = sizeof(HashBucket);
	arrays[ARRAY_PARAMS].item_size = sizeof(float);
	finder->lay_out(meta);
}

void
create_meta_page(Page page, const MetaPageData *meta)
{
	page_init(page, PAGE_META, 0);
	memcpy(meta_data(page), meta, sizeof(MetaPageData));
}
