/*-------------------------------------------------------------------------
 *
 * storage.h
 *	  Pages of an index: the meta page, page arrays and the one WAL wrapper.
 *
 * Lock order, for everyone: meta page, then documents, sketches, code rows,
 * pending rows, queue, nodes, neighbours, upper entries, posting pages; within
 * one of these by block number, unless the meta page is held exclusively. Readers hold one page lock at a time, except
 * that a reader may hold the meta page shared while it reads the queue.
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

/* Bytes that come from memory at a time. */
#define CACHE_LINE 64

/*
 * An index, opened. building: pages are written without WAL, and the caller
 * logs the whole index at the end. snapshot: that of a scan, which must not
 * be too old for the pages that it reads; NULL for others.
 */
typedef struct ColbertIndex
{
	Relation	rel;
	bool		building;
	Snapshot	snapshot;
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
	ColbertIndex *index;
	GenericXLogState *wal;		/* NULL while building */
	int			npages;
	Buffer		buffers[CHANGE_MAX_PAGES];
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

/* A copy of the meta data as it stands. */
extern void meta_read(ColbertIndex *index, MetaPageData *meta);

/*
 * Copy what one writer owns back to the meta page as one change: the arrays
 * of the finders, the entry point, the number of postings and what was assigned. Its caller is the one writer of these (a build or a merge).
 */
extern void meta_write_nodes(ColbertIndex *index, const MetaPageData *meta);

/* ---- page arrays (parray.c) ---- */

static inline uint32
parray_per_page(const ArrayMeta *array)
{
	return PAGE_PAYLOAD / array->item_size;
}

/*
 * The block of an item, and its place on it. ERRCODE_INDEX_CORRUPTED where
 * the item is beyond what was handed out.
 */
extern BlockNumber parray_block(Relation rel, const MetaPageData *meta, ArrayKind kind, uint32 item, uint32 *slot);

/* Items from item onwards that stand on the same page. */
static inline uint32
parray_run(const ArrayMeta *array, uint32 item)
{
	return parray_per_page(array) - item % parray_per_page(array);
}

static inline bool
parray_same_page(const ArrayMeta *array, uint32 a, uint32 b)
{
	return a / parray_per_page(array) == b / parray_per_page(array);
}

/*
 * Pin, share-lock and check the page of an item. *data is where the item
 * stands, the items after it following; NULL where the page was never written.
 */
extern Buffer parray_read(ColbertIndex *index, const MetaPageData *meta, ArrayKind kind, uint32 item, char **data);

/* Fetch what parray_read of an item will look at into the CPU's cache, as storage_prefetch does. Items that there are not are let be. */
extern void parray_prefetch(ColbertIndex *index, const MetaPageData *meta, ArrayKind kind, uint32 item);

/* Pin and exclusively lock the page of an item, to change it. */
extern Buffer parray_lock(ColbertIndex *index, const MetaPageData *meta, ArrayKind kind, uint32 item);

/* Register a page locked by parray_lock with a change (initialising it if it is new); returns where the item stands. */
extern char *parray_change(Change *change, Buffer buffer, const MetaPageData *meta, ArrayKind kind, uint32 item);

/* Copy count items from first on, page by page. Never-written pages read as zeroes. Each page of a write is one change. */
extern void parray_copy_out(ColbertIndex *index, const MetaPageData *meta, ArrayKind kind, uint32 first, uint32 count, void *to);
extern void parray_copy_in(ColbertIndex *index, const MetaPageData *meta, ArrayKind kind, uint32 first, uint32 count, const void *from);

/*
 * Make room for count items beyond nitems, in one extent as a rule; extends
 * the relation. The new extent is entered into *meta, a private copy, and on
 * the meta page itself (which the caller must hold exclusively locked, in
 * meta_buffer), in a change of its own that also logs the extent's last page. Does
 * nothing where there is room. ERRCODE_PROGRAM_LIMIT_EXCEEDED where ordinals
 * or extents run out.
 */
extern void parray_make_room(ColbertIndex *index, Buffer meta_buffer, MetaPageData *meta, ArrayKind kind, uint64 count);

/* Is there room for so many, and may there be? */
extern bool parray_has_room(const ArrayMeta *array, uint64 count);

/* All extents of all arrays, by block; returns how many there are (ARRAY_COUNT * MAX_EXTENTS at the most). */
typedef struct PlacedExtent
{
	Extent		extent;
	ArrayKind	array;
} PlacedExtent;

extern int	parray_sorted_extents(const MetaPageData *meta, PlacedExtent *extents);

/* The next count items, for which there is room: counts them as handed out in *meta. */
extern uint32 parray_take(MetaPageData *meta, ArrayKind kind, uint32 count);

/* Order two ordinals (uint32), for qsort and bsearch. */
extern int	compare_ordinals(const void *a, const void *b);

/* A fresh block for a posting page at the end of the relation; the buffer is returned exclusively locked, the page new. */
extern Buffer storage_new_page(ColbertIndex *index);

#endif							/* COLBERT_STORAGE_H */
