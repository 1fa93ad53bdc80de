/*-------------------------------------------------------------------------
 *
 * create.c
 *	  Set up the meta data of a new index.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "index/create.h"
#include "index/scale.h"
#include "index/shape.h"

/* Default of tokens_per_node, measured on a million tokens (doc/tuning.md). */
#define AUTO_TOKENS_PER_NODE 64

/* Fixed seed: the same documents give the same index. */
#define INDEX_SEED UINT64CONST(0x636f6c6265727431)

static void
check_pq_m(const MetaShape *shape)
{
	uint32 most = rotation_padded(shape->dim);

	if (shape->pq_m > most)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("pq_m must not be above %u for %u dimensions", most, (unsigned) shape->dim),
			 shape->dim < shape->column_dim
				 ? errdetail("The index projects tokens of %u dimensions to %u.",
							 (unsigned) shape->column_dim, (unsigned) shape->dim)
				 : 0,
			 errhint(
				 "pq_m is the number of bytes per token. A quarter of the dimensions is usual.")));
}

/* Lower m if a node with its neighbours would not fit on a page. */
static void
limit_m(MetaShape *shape)
{
	const FinderOps *finder = finder_by_kind(shape->finder);
	uint32           most = finder->max_m != NULL ? finder->max_m(shape->dim) : shape->m;

	if (shape->m <= most)
		return;
	ereport(NOTICE, (errmsg("m is lowered from %u to %u", (unsigned) shape->m, most),
					 errdetail("The neighbours of a node and their sketches must fit on a page.")));
	shape->m = most;
}

void
create_meta(const MetaShape *asked, MetaPageData *meta)
{
	MetaShape     *shape = &meta->shape;
	MetaDocuments *documents = &meta->documents;

	memset(meta, 0, sizeof(MetaPageData));
	meta->magic = COLBERT_MAGIC;
	meta->version = COLBERT_VERSION;
	*shape = *asked;
	if (shape->codec != CODEC_PQ)
		shape->pq_m = 0;
	if (shape->tokens_per_node == 0)
		shape->tokens_per_node = AUTO_TOKENS_PER_NODE;
	shape->seed = INDEX_SEED;
	shape->dim = shape_kept_dim(shape);
	check_pq_m(shape);
	limit_m(shape);
	for (int kind = 0; kind < ARRAY_COUNT; kind++)
		shape->item_sizes[kind] = shape_item_size(shape, kind);

	meta->nodes.entry_node = INVALID_ORDINAL;
	documents->scale_log2 = scale_unset(shape->metric);
	documents->null_head = INVALID_ORDINAL;
	for (int i = 0; i < FREE_CLASSES; i++)
		documents->free_head[i] = INVALID_ORDINAL;
	for (int i = 0; i < RUN_CLASSES; i++)
		documents->free_runs[i] = INVALID_ORDINAL;
}

void
create_meta_page(Page page, const MetaPageData *meta)
{
	page_init(page, PAGE_META, 0);
	memcpy(meta_data(page), meta, sizeof(MetaPageData));
}
