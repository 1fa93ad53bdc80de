/*-------------------------------------------------------------------------
 *
 * meta.c
 *	  Read, check and write the meta page.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "storage/storage.h"

/* Return true if the extents of an array are in order and end within the array. */
static bool
extents_agree(const ArrayPages *array)
{
	const Extent *extents = array->extents;

	if (array->nextents == 0)
		return array->npages == 0 && array->nolder == 0;
	if (array->nolder % MOVED_EXTENTS != 0 || array->nolder > extents[0].first_page ||
		(array->nolder == 0) != (extents[0].first_page == 0))
		return false;
	for (uint32 i = 1; i < array->nextents; i++)
		if (extents[i].first_page <= extents[i - 1].first_page)
			return false;
	return extents[array->nextents - 1].first_page < array->npages;
}

/* Return true if the extents of all arrays are in order, or are known to be. */
static bool
all_extents_agree(Relation rel, const MetaPageData *meta)
{
	if (extents_known(rel, meta))
		return true;
	for (int kind = 0; kind < ARRAY_COUNT; kind++)
	{
		const ArrayPages *array = &meta->pages[kind];

		if (array->nextents > MAX_EXTENTS || array->npages > MaxBlockNumber ||
			!extents_agree(array))
			return false;
	}
	return true;
}

/* Return true if an array's pages can hold the items handed out. */
static bool
array_agrees(const MetaPageData *meta, ArrayKind kind)
{
	const ArrayPages *array = &meta->pages[kind];
	uint32            item_size = meta->shape.item_sizes[kind];

	if (item_size > PAGE_PAYLOAD)
		return false;
	return item_size == 0 ||
		   meta_nitems(meta, kind) <= (uint64) array->npages * meta_items_per_page(meta, kind);
}

/* Return true if the generations of the lists are in order, not empty, and within the arrays. */
static bool
generations_agree(const MetaPageData *meta)
{
	const MetaLists *lists = &meta->lists;
	bool             filling = lists->next_node > 0;
	uint32           nnodes = meta_nitems(meta, ARRAY_NODES);
	uint32           nparents = meta_nitems(meta, ARRAY_PARENTS);

	if (lists->first_node == 0 && lists->first_parent == 0 && !filling)
		return true;
	return meta->shape.finder == FINDER_IVF && lists->cleared_nodes <= lists->first_node &&
		   lists->first_node < nnodes && lists->first_parent < nparents &&
		   (!filling ||
			(lists->first_node < lists->next_node && lists->next_node < nnodes &&
			 lists->first_parent < lists->next_parent && lists->next_parent < nparents));
}

/* Return true if the work left to later merges names documents and a node that exist. */
static bool
growth_agrees(const MetaPageData *meta)
{
	const MetaGrowth *growth = &meta->growth;

	if (growth->unsettled_end == 0 && growth->unsettled_first == 0 && growth->adopting == 0)
		return true;
	return meta->shape.finder == FINDER_HNSW && growth->unsettled_first <= growth->unsettled_end &&
		   growth->unsettled_end <= meta_nitems(meta, ARRAY_DOCS) &&
		   growth->adopting <= meta_nitems(meta, ARRAY_NODES);
}

/*
 * Return true if an index may have these options: they are divisors and sizes
 * of memory. Any seed gives sound sizes.
 */
static bool
options_agree(const MetaShape *shape)
{
	if (shape->tokens_per_node == 0 || shape->tokens_per_node > MAX_TOKENS_PER_NODE ||
		shape->lists > MAX_LISTS)
		return false;
	return shape->finder != FINDER_HNSW ||
		   (shape->m >= MIN_M && shape->m <= MAX_M &&
			shape->ef_construction >= MIN_EF_CONSTRUCTION &&
			shape->ef_construction <= MAX_EF_CONSTRUCTION && shape->lists == 0);
}

/* Return true if the parameters of the current epoch are within their array. */
static bool
params_agree(const MetaPageData *meta)
{
	return (uint64) meta->nodes.params_first + meta->nodes.nparams <=
		   meta_nitems(meta, ARRAY_PARAMS);
}

compat_noreturn static void
meta_damaged(Relation rel)
{
	ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
					errmsg("index \"%s\" has a damaged meta page", RelationGetRelationName(rel)),
					errhint("REINDEX it.")));
}

static void
check_meta(Relation rel, const MetaPageData *meta)
{
	bool agree = options_agree(&meta->shape) && generations_agree(meta) && growth_agrees(meta) &&
				 params_agree(meta) &&
				 meta_nitems(meta, ARRAY_MEANS) == meta_nitems(meta, ARRAY_DOCS) &&
				 all_extents_agree(rel, meta);

	if (meta->magic != COLBERT_MAGIC)
		ereport(ERROR,
				(errcode(ERRCODE_INDEX_CORRUPTED),
				 errmsg("index \"%s\" is not a colbert_pg index", RelationGetRelationName(rel)),
				 errhint("REINDEX it.")));
	if (meta->version != COLBERT_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_INDEX_CORRUPTED),
				 errmsg("index \"%s\" has format version %u, expected %u",
						RelationGetRelationName(rel), meta->version, (unsigned) COLBERT_VERSION),
				 errhint("REINDEX it.")));
	for (int i = 0; i < ARRAY_COUNT; i++)
		agree &= array_agrees(meta, i);
	if (!agree)
		meta_damaged(rel);
}

Buffer
meta_lock(ColbertIndex *index, int mode)
{
	Buffer buffer = ReadBuffer(index->rel, META_BLOCK);
	Page   page;

	LockBuffer(buffer, mode);
	page = BufferGetPage(buffer);
	storage_check_snapshot(index, page);
	page_check(index->rel, META_BLOCK, page, PAGE_META, 0);
	check_meta(index->rel, meta_data(page));
	return buffer;
}

void
meta_copy(ColbertIndex *index, Buffer buffer)
{
	const MetaPageData *stored = meta_data(BufferGetPage(buffer));
	MetaNodes           nodes = index->meta.nodes;

	/* A shape never changes, and callers have sized their memory by the first copy. */
	if (index->meta.magic != 0 &&
		memcmp(&index->meta.shape, &stored->shape, sizeof(MetaShape)) != 0)
		meta_damaged(index->rel);
	memcpy(&index->meta, stored, sizeof(MetaPageData));
	if (index->nodes_ahead)
		index->meta.nodes = nodes;
}

void
meta_read(ColbertIndex *index)
{
	Buffer buffer = meta_lock(index, BUFFER_LOCK_SHARE);

	meta_copy(index, buffer);
	UnlockReleaseBuffer(buffer);
}

void
meta_change_nodes(Change *change, Buffer buffer)
{
	MetaPageData       *stored = meta_data(change_page(change, buffer, false));
	const MetaPageData *meta = &change->index->meta;

	stored->nodes = meta->nodes;
	stored->lists = meta->lists;
	stored->growth = meta->growth;
	stored->origin = meta->origin;
}

void
meta_write_nodes(ColbertIndex *index)
{
	Buffer buffer = meta_lock(index, BUFFER_LOCK_EXCLUSIVE);
	Change change;

	change_begin(&change, index);
	meta_change_nodes(&change, buffer);
	change_commit(&change);
	UnlockReleaseBuffer(buffer);
	index->nodes_ahead = false;
}
