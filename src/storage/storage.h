/*-------------------------------------------------------------------------
 *
 * storage.h
 *	  Pages of an index: the meta page, page arrays and the one WAL wrapper.
 *
 * The order in which pages are locked stands in locks.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_STORAGE_H
#define COLBERT_STORAGE_H

#include "storage/layout.h"

#include "access/generic_xlog.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* This backend's copy of the extents that stand on map pages (extents.c). */
typedef struct ExtentCache ExtentCache;

/*
 * An index, opened, with a copy of its meta data. Items are found by the copy,
 * and a writer changes the copy before it writes its part of it back.
 */
typedef struct ColbertIndex
{
	Relation     rel;
	bool         building;    /* pages are written without WAL; the build logs the whole index */
	Snapshot     snapshot;    /* of a scan: not too old for the pages that it reads; or NULL */
	ExtentCache *extents;     /* NULL: nothing but the meta page is read */
	MetaPageData meta;        /* as of the last meta_copy or meta_read, and since changed here */
	bool         nodes_ahead; /* meta.nodes is newer than on the page, until meta_write_nodes */
} ColbertIndex;

/* ---- pages (page.c) ---- */

/* Initialise a page of that kind. Array and meta pages get all of it as payload. */
extern void page_init(Page page, PageKind kind, ArrayKind array);

static inline PageTrailer *
page_trailer(Page page)
{
	return (PageTrailer *) PageGetSpecialPointer(page);
}

/*
 * Check a page that was read: ERRCODE_INDEX_CORRUPTED unless it is of that
 * kind. array is looked at for array pages only.
 */
extern void page_check(Relation rel, BlockNumber block, Page page, PageKind kind, ArrayKind array);

/* Pin a page, as ReadBuffer does, by a hint of where it was last (hints.c). */
extern Buffer storage_read_buffer(Relation rel, BlockNumber block);

/*
 * Fetch what it takes to pin a page into the CPU's cache. Returns where the
 * page is by its hint, for its bytes to be fetched; NULL without a hint. Pins
 * nothing: a hint that is wrong fetches something else, to no harm.
 */
extern const char *storage_prefetch(Relation rel, BlockNumber block);

/* Fetch what storage_prefetch of a block will look at: of a large index that takes a while too. */
extern void storage_prefetch_hint(Relation rel, BlockNumber block);

/*
 * Does this backend hold the lock of a page? It would wait for itself for
 * ever. The lock order rules it out; a page that damage, or the free space
 * map, took for another does not.
 */
extern bool storage_holds(Buffer buffer);

/* Lock a page that something refers to; ERRCODE_INDEX_CORRUPTED where it is held already. */
extern void storage_lock(Relation rel, Buffer buffer, int mode);

/*
 * Of a share-locked page that an index's scan reads: raise "snapshot too old"
 * if VACUUM may have removed from it what the scan's snapshot sees.
 */
static inline void
storage_check_snapshot(const ColbertIndex *index, Page page)
{
	if (index->snapshot != NULL)
		compat_test_old_snapshot(index->snapshot, index->rel, page);
}

/* ---- changes: the one WAL wrapper (change.c) ---- */

#define CHANGE_MAX_PAGES MAX_GENERIC_XLOG_PAGES

/*
 * A change of at most four pages, atomic for a crash and for a standby.
 * The caller keeps its locks until after the commit. While building, pages
 * are changed in place: a failure then takes the whole index with it.
 */
typedef struct Change
{
	ColbertIndex     *index;
	GenericXLogState *wal; /* NULL while building */
	int               npages;
	Buffer            buffers[CHANGE_MAX_PAGES];
} Change;

extern void change_begin(Change *change, ColbertIndex *index);

/* The page to modify, for an exclusively locked buffer. fresh: the page is overwritten as a whole. */
extern Page change_page(Change *change, Buffer buffer, bool fresh);
extern void change_commit(Change *change);

/* Leave the pages as they were; not while building. */
extern void change_cancel(Change *change);

/* ---- the meta page (meta.c) ---- */

/* Read, lock and check the meta page; the buffer is returned locked in that mode. */
extern Buffer meta_lock(ColbertIndex *index, int mode);

/* The meta data on a locked meta page (of the buffer, or of change_page). */
static inline MetaPageData *
meta_data(Page page)
{
	return (MetaPageData *) PageGetContents(page);
}

/* Copy the meta data of the locked meta page, or as they stand. The part of the nodes is kept if it is ahead. */
extern void meta_copy(ColbertIndex *index, Buffer buffer);
extern void meta_read(ColbertIndex *index);

/* Copy the part of the nodes back to the meta page as one change. The caller is its one writer: a build, or a merge. */
extern void meta_write_nodes(ColbertIndex *index);

/* ---- page arrays (parray.c) ---- */

/* Items handed out. */
static inline uint32
parray_nitems(const ColbertIndex *index, ArrayKind kind)
{
	return meta_nitems(&index->meta, kind);
}

static inline size_t
parray_item_size(const ColbertIndex *index, ArrayKind kind)
{
	return index->meta.shape.item_sizes[kind];
}

static inline uint32
parray_per_page(const ColbertIndex *index, ArrayKind kind)
{
	return meta_items_per_page(&index->meta, kind);
}

/*
 * The block of an item, and its place on it. ERRCODE_INDEX_CORRUPTED where
 * the item is beyond what was handed out.
 */
extern BlockNumber parray_block(const ColbertIndex *index, ArrayKind kind, uint32 item,
								uint32 *slot);

/* Items from item onwards that stand on the same page. */
static inline uint32
parray_run(const ColbertIndex *index, ArrayKind kind, uint32 item)
{
	uint32 per_page = parray_per_page(index, kind);

	return per_page - item % per_page;
}

static inline bool
parray_same_page(const ColbertIndex *index, ArrayKind kind, uint32 a, uint32 b)
{
	uint32 per_page = parray_per_page(index, kind);

	return a / per_page == b / per_page;
}

/*
 * Pin, share-lock and check the page of an item. *data is where the item
 * stands, the items after it following; NULL where the page was never written.
 */
extern Buffer parray_read(ColbertIndex *index, ArrayKind kind, uint32 item, char **data);

/* Fetch what parray_read of an item will look at into the CPU's cache, as storage_prefetch does. Items that there are not are let be. */
extern void parray_prefetch(ColbertIndex *index, ArrayKind kind, uint32 item);

/* Pin and exclusively lock the page of an item, to change it. */
extern Buffer parray_lock(ColbertIndex *index, ArrayKind kind, uint32 item);

/* Register a page locked by parray_lock with a change (initialising it if it is new); returns where the item stands. */
extern char *parray_change(Change *change, Buffer buffer, ArrayKind kind, uint32 item);

/*
 * Of an item that fills its page, registered with a change: the bytes in use,
 * from its beginning. The others read as zeroes from the change on, and are no
 * part of it.
 */
extern void parray_set_used(char *item, Size used);

/* Copy count items from first on, page by page. Never-written pages read as zeroes. Each page of a write is one change. */
extern void parray_copy_out(ColbertIndex *index, ArrayKind kind, uint32 first, uint32 count,
							void *to);
extern void parray_copy_in(ColbertIndex *index, ArrayKind kind, uint32 first, uint32 count,
						   const void *from);

/* The next count items, for which there is room: counts them as handed out in the index's copy of the meta data. */
extern uint32 parray_take(ColbertIndex *index, ArrayKind kind, uint32 count);

/* Copy what the locked meta page says of one array: items handed out, and where its pages stand. */
extern void parray_refresh(ColbertIndex *index, ArrayKind kind, Buffer meta_buffer);

/* Order two ordinals (uint32), for qsort and bsearch. */
extern int compare_ordinals(const void *a, const void *b);

/* ---- extents (extents.c) ---- */

/* An empty cache, in the current memory context, which must live as long as the cache. */
extern ExtentCache *extents_cache_create(void);

/* Consecutive blocks that belong to an array: an extent, or a map page. */
typedef struct PlacedExtent
{
	BlockNumber start;
	uint32      npages;
	ArrayKind   array;
	bool        is_map;
} PlacedExtent;

/* The extents that the meta page lists, by block; returns their number (at most ARRAY_COUNT * MAX_EXTENTS). */
extern int extents_of_meta(const MetaPageData *meta, PlacedExtent *extents);

/* All extents and map pages, by block. */
typedef struct ExtentList
{
	PlacedExtent *extents; /* palloc'd */
	int           nextents;
	int           next; /* the first extent that does not end before the last block looked up */
} ExtentList;

extern void extents_list(const ColbertIndex *index, ExtentList *list);

/* The extent of a block; NULL if it belongs to no array. Blocks must come in ascending order. */
extern const PlacedExtent *extents_find(ExtentList *list, BlockNumber block);

/* The first block from this one on that belongs to no array. Blocks must come in ascending order. */
extern BlockNumber extents_skip(ExtentList *list, BlockNumber block);

/* Move the oldest extents of an array to its map; *map is the map page, locked. run: fresh blocks, of which it may take the first. */
typedef struct BlockRun
{
	BlockNumber start;
	uint32      npages;
} BlockRun;

extern Buffer extents_move_to_map(Change *change, ArrayPages *stored, ArrayKind kind,
								  BlockRun *run);

/* ---- growth (grow.c) ---- */

/* Items that somebody is about to take from an array. */
typedef struct ArrayDemand
{
	ArrayKind kind;
	uint64    count;
} ArrayDemand;

/* Return true if arrays have room for the items beyond those handed out, and may hold them. */
extern bool parray_have_room(const ColbertIndex *index, const ArrayDemand *demands, int n);

/*
 * Make room in arrays, by extending the relation. No page may be locked: this
 * takes time, can be interrupted, and may wait for another backend that grows
 * the index. The copy of the meta data is brought up to date for these arrays.
 * Other backends may take the room before the caller locks the meta page:
 * callers look again then, except for arrays that have one writer.
 * ERRCODE_PROGRAM_LIMIT_EXCEEDED if ordinals run out.
 */
extern void parray_make_room(ColbertIndex *index, const ArrayDemand *demands, int n);

/*
 * Wait until no array is growing, and copy the meta data; returns the number of
 * blocks then. A block below that belongs to no array will never do.
 */
extern BlockNumber storage_settled(ColbertIndex *index);

/* Set MetaPageData.settled_blocks. */
extern void storage_set_settled(ColbertIndex *index, BlockNumber nblocks);

/* Extend the relation for posting pages: at least by one page, at most by npages. No page may be locked. */
extern BlockRun storage_extend(ColbertIndex *index, uint32 npages);

/* A fresh block for a posting page of a build; the buffer is returned exclusively locked, the page new. */
extern Buffer storage_new_page(ColbertIndex *index);

#endif /* COLBERT_STORAGE_H */
