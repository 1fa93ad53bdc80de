/*-------------------------------------------------------------------------
 *
 * extents.c
 *	  Map the logical pages of an array to blocks.
 *
 * The extents of an array hold its logical pages in order. The meta page lists
 * the newest extents. When that list is full, its oldest extents move to a map
 * page. The map pages of an array are chained from newest to oldest.
 *
 * A logical page never changes its block, and extents on map pages never
 * change. A view therefore reads them when it first needs one and keeps them,
 * regardless of later changes to the meta page.
 *
 * At most one map page is locked at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "base/array.h"
#include "miscadmin.h"
#include "storage/storage.h"
#include "utils/memutils.h"

/* Oldest extents of an array, read so far. */
typedef struct OlderExtents
{
	uint32  count;
	uint32  capacity;
	Extent *extents;
} OlderExtents;

struct ExtentCache
{
	MemoryContext context;
	OlderExtents  arrays[ARRAY_COUNT];
};

ExtentCache *
extents_cache_create(void)
{
	ExtentCache *cache = palloc0(sizeof(ExtentCache));

	cache->context = CurrentMemoryContext;
	return cache;
}

/* ---- map pages ---- */

compat_noreturn static void
map_corrupted(Relation rel, ArrayKind kind)
{
	ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
					errmsg("index \"%s\" has a damaged map of array %d",
						   RelationGetRelationName(rel), (int) kind),
					errhint("REINDEX it.")));
}

/* Copy the first n extents of a map page. Returns the next older map page. */
static BlockNumber
read_map_page(Relation rel, BlockNumber block, ArrayKind kind, Extent *extents, uint32 n)
{
	Buffer           buffer = storage_read_buffer(rel, block);
	Page             page = BufferGetPage(buffer);
	const ExtentMap *map = (const ExtentMap *) PageGetContents(page);
	BlockNumber      previous;

	storage_lock(rel, buffer, BUFFER_LOCK_SHARE);
	page_check(rel, block, page, PAGE_MAP, kind);
	if (n > 0)
		memcpy(extents, map->extents, n * sizeof(Extent));
	previous = map->previous;
	UnlockReleaseBuffer(buffer);
	return previous;
}

/* Make room for count extents in the cache of an array. */
static void
reserve_older(const ColbertIndex *index, OlderExtents *older, uint32 count)
{
	older->extents = array_reserve(older->extents, &older->capacity, count, sizeof(Extent),
								   index->extents->context);
}

/*
 * Return true if first pages ascend from the known extents through the new
 * ones to those on the meta page.
 */
static bool
older_agree(const OlderExtents *older, const ArrayPages *array)
{
	const Extent *extents = older->extents;

	if (extents[0].first_page != 0)
		return false;
	for (uint32 i = Max(older->count, 1); i < array->nolder; i++)
		if (extents[i].first_page <= extents[i - 1].first_page)
			return false;
	return extents[array->nolder - 1].first_page < array->extents[0].first_page;
}

/*
 * Read the older extents of an array that are not cached yet. Walks the chain
 * of map pages from the newest back to the cached extents.
 */
static void
read_older(const ColbertIndex *index, const ArrayPages *array, ArrayKind kind, OlderExtents *older)
{
	BlockNumber block = array->map;
	uint32      end = array->nolder;

	if (end > RelationGetNumberOfBlocks(index->rel))
		map_corrupted(index->rel, kind);
	reserve_older(index, older, end);
	while (end > older->count)
	{
		uint32 first = (end - 1) / COLBERT_MAP_EXTENTS * COLBERT_MAP_EXTENTS;

		CHECK_FOR_INTERRUPTS();
		block = read_map_page(index->rel, block, kind, older->extents + first, end - first);
		end = first;
	}
	if (!older_agree(older, array))
		map_corrupted(index->rel, kind);
	older->count = array->nolder;
}

/* Return the older extents of an array that has some. At least array->nolder extents are valid. */
static const Extent *
older_extents(const ColbertIndex *index, const ArrayPages *array, ArrayKind kind)
{
	OlderExtents *older = &index->extents->arrays[kind];

	if (older->count < array->nolder)
		read_older(index, array, kind, older);
	return older->extents;
}

Buffer
extents_move_to_map(Change *change, ArrayPages *stored, ArrayKind kind, BlockRun *run)
{
	Relation    rel = change->index->rel;
	uint32      at = stored->nolder % COLBERT_MAP_EXTENTS;
	bool        fresh = at == 0;
	BlockNumber block = fresh ? run->start : stored->map;
	Buffer      buffer = storage_read_buffer(rel, block);
	Page        page;
	ExtentMap  *map;

	storage_lock(rel, buffer, BUFFER_LOCK_EXCLUSIVE);
	if (!fresh)
		page_check(rel, block, BufferGetPage(buffer), PAGE_MAP, kind);
	page = change_page(change, buffer, fresh);
	if (fresh)
	{
		page_init(page, PAGE_MAP, kind);
		((ExtentMap *) PageGetContents(page))->previous =
			stored->nolder > 0 ? stored->map : InvalidBlockNumber;
		stored->map = block;
		run->start++;
		run->npages--;
	}
	map = (ExtentMap *) PageGetContents(page);
	memcpy(map->extents + at, stored->extents, MOVED_EXTENTS * sizeof(Extent));
	stored->nolder += MOVED_EXTENTS;
	stored->nextents -= MOVED_EXTENTS;
	memmove(stored->extents, stored->extents + MOVED_EXTENTS, stored->nextents * sizeof(Extent));
	return buffer;
}

/* ---- looking up ---- */

/* Return the block of a logical page, found in the last extent that begins at or before it. */
static inline BlockNumber
block_in(const Extent *extents, uint32 n, uint32 page)
{
	const Extent *extent = extents;

	while (n > 1)
	{
		uint32 half = n / 2;

		extent += extent[half].first_page <= page ? half : 0;
		n -= half;
	}
	return extent->start + (page - extent->first_page);
}

BlockNumber
parray_block(const ColbertIndex *index, ArrayKind kind, uint32 item, uint32 *slot)
{
	const ArrayPages *array = &index->meta.pages[kind];

	if (parray_item_size(index, kind) > 0)
	{
		uint32 per_page = parray_per_page(index, kind);
		uint32 page = item / per_page;

		*slot = item % per_page;
		if (page < array->npages)
		{
			if (page >= array->extents[0].first_page)
				return block_in(array->extents, array->nextents, page);
			return block_in(older_extents(index, array, kind), array->nolder, page);
		}
	}
	ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
					errmsg("index \"%s\" refers to item %u of array %d, which has %u items",
						   RelationGetRelationName(index->rel), item, (int) kind,
						   parray_nitems(index, kind)),
					errhint("REINDEX it.")));
}

/* ---- lists of extents ---- */

static int
compare_placed(const void *a, const void *b)
{
	const PlacedExtent *x = a;
	const PlacedExtent *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return (int) x->array - (int) y->array;
}

/* Convert n extents to placed ones. end_page is the logical page after the last extent. */
static void
place(PlacedExtent *placed, const Extent *extents, uint32 n, uint32 end_page, ArrayKind kind)
{
	for (uint32 i = 0; i < n; i++)
	{
		uint32 end = i + 1 < n ? extents[i + 1].first_page : end_page;

		placed[i] = (PlacedExtent) {extents[i].start, end - extents[i].first_page, kind, false};
	}
}

int
extents_of_meta(const MetaPageData *meta, PlacedExtent *extents)
{
	int n = 0;

	for (int kind = 0; kind < ARRAY_COUNT; kind++)
	{
		const ArrayPages *array = &meta->pages[kind];

		place(extents + n, array->extents, array->nextents, array->npages, kind);
		n += array->nextents;
	}
	qsort(extents, n, sizeof(PlacedExtent), compare_placed);
	return n;
}

/* ---- extents that have been checked ---- */

/*
 * Maximum indexes whose extents are remembered: 6 kB each. An index replaces
 * another one of the same remainder. The result of the checks depends on these
 * bytes alone, so it does not matter whose they are.
 */
#define KNOWN_INDEXES 64

static ArrayPages known[KNOWN_INDEXES][ARRAY_COUNT]; /* zeroes: no extents, which are sound */

StaticAssertDecl(sizeof(known[0]) == sizeof(((MetaPageData *) NULL)->pages), "all are compared");

void
extents_remember(Relation rel, const MetaPageData *meta)
{
	memcpy(known[RelationGetRelid(rel) % KNOWN_INDEXES], meta->pages, sizeof(meta->pages));
}

bool
extents_known(Relation rel, const MetaPageData *meta)
{
	return memcmp(known[RelationGetRelid(rel) % KNOWN_INDEXES], meta->pages, sizeof(meta->pages)) ==
		   0;
}

/* ---- all extents of an index ---- */

/* Return the number of map pages of an array. */
static uint32
map_pages(const ArrayPages *array)
{
	return array->nolder / COLBERT_MAP_EXTENTS + (array->nolder % COLBERT_MAP_EXTENTS > 0);
}

/* Add the older extents of an array and its map pages to placed. Returns their number. */
static uint32
place_older(const ColbertIndex *index, const ArrayPages *array, ArrayKind kind,
			PlacedExtent *placed)
{
	uint32      n = array->nolder;
	BlockNumber block = array->map;

	if (n == 0)
		return 0;
	place(placed, older_extents(index, array, kind), n, array->extents[0].first_page, kind);
	for (uint32 i = 0; i < map_pages(array); i++)
	{
		CHECK_FOR_INTERRUPTS();
		placed[n++] = (PlacedExtent) {block, 1, kind, true};
		block = read_map_page(index->rel, block, kind, NULL, 0);
	}
	return n;
}

void
extents_list(const ColbertIndex *index, ExtentList *list)
{
	const ArrayPages *arrays = index->meta.pages;
	Size              most = ARRAY_COUNT * MAX_EXTENTS;

	for (int kind = 0; kind < ARRAY_COUNT; kind++)
		most = add_size(most, (Size) arrays[kind].nolder + map_pages(&arrays[kind]));
	list->extents = palloc_extended(mul_size(most, sizeof(PlacedExtent)), MCXT_ALLOC_HUGE);
	list->next = 0;
	list->nextents = extents_of_meta(&index->meta, list->extents);
	for (int kind = 0; kind < ARRAY_COUNT; kind++)
		list->nextents += place_older(index, &arrays[kind], kind, list->extents + list->nextents);
	qsort(list->extents, list->nextents, sizeof(PlacedExtent), compare_placed);
}

const PlacedExtent *
extents_find(ExtentList *list, BlockNumber block)
{
	while (list->next < list->nextents)
	{
		const PlacedExtent *extent = &list->extents[list->next];

		if (block < extent->start)
			break;
		if (block - extent->start < extent->npages)
			return extent;
		list->next++;
	}
	return NULL;
}

BlockNumber
extents_skip(ExtentList *list, BlockNumber block)
{
	const PlacedExtent *extent;

	while ((extent = extents_find(list, block)) != NULL)
		block = (BlockNumber) Min((uint64) extent->start + extent->npages, InvalidBlockNumber);
	return block;
}
