/*-------------------------------------------------------------------------
 *
 * storage.h
 *	  Pages of an index: the meta page, page arrays, and changes that are
 *	  logged in WAL.
 *
 * locks.h defines the order in which pages are locked.
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

/* This backend's copy of the extents on map pages (extents.c). */
typedef struct ExtentCache ExtentCache;

/*
 * Open index with a copy of its meta data. Items are located by the copy. A
 * writer changes the copy and then copies its part back to the meta page.
 */
typedef struct ColbertIndex
{
	Relation rel;
	bool     building; /* write pages without WAL; the build logs the whole index at its end */
	Snapshot snapshot; /* of a scan, to detect "snapshot too old"; NULL otherwise */
	BufferAccessStrategy ring; /* of a scan of an index larger than shared_buffers, for code rows */
	ExtentCache         *extents; /* NULL if only the meta page is read */
	MetaPageData         meta;  /* as of the last meta_copy or meta_read, plus changes made here */
	bool nodes_ahead;           /* meta.nodes is newer than the page, until meta_write_nodes */
	struct PostingSweep *sweep; /* sweep during which postings are written; NULL: none */
} ColbertIndex;

/* ---- pages (page.c) ---- */

/* Initialise a page of this kind. An array page or meta page has no hole: all of it is payload. */
extern void page_init(Page page, PageKind kind, ArrayKind array);

static inline PageTrailer *
page_trailer(Page page)
{
	return (PageTrailer *) PageGetSpecialPointer(page);
}

/*
 * Check that a page is of this kind; otherwise raise ERRCODE_INDEX_CORRUPTED.
 * array is checked on array and map pages only.
 */
extern void page_check(Relation rel, BlockNumber block, Page page, PageKind kind, ArrayKind array);

/*
 * Pin a page, as ReadBuffer does, using a hint of its last buffer (hints.c). A
 * block beyond the end of the file raises an error.
 */
extern Buffer storage_read_buffer(Relation rel, BlockNumber block);

/* The same, by a ring of buffers if the page is not in shared buffers. ring: NULL: none. */
extern Buffer storage_read_by_ring(Relation rel, BlockNumber block, BufferAccessStrategy ring);

/*
 * Return a ring of buffers for pages of which a scan reads few of many, if the
 * index is larger than shared buffers; otherwise NULL. By a ring, these pages do
 * not evict those that most scans read.
 */
extern BufferAccessStrategy storage_ring(Relation rel);

/*
 * Prefetch into the CPU's cache the memory needed to pin a page. Returns the
 * page's address according to its hint, so that the caller can prefetch its
 * contents; NULL without a hint. Nothing is pinned. A wrong hint prefetches
 * other memory, which is harmless.
 */
extern const char *storage_prefetch(Relation rel, BlockNumber block);

/*
 * Prefetch the hint that storage_prefetch of a block reads. The hint table of
 * a large index does not stay in the CPU's cache.
 */
extern void storage_prefetch_hint(Relation rel, BlockNumber block);

/*
 * Return true if this backend already holds the page's lock. Locking it again
 * would self-deadlock. The lock order rules that out, except that damage or
 * the free space map may name a page that is in use for something else.
 */
extern bool storage_holds(Buffer buffer);

/*
 * Lock a page that a pointer in the index refers to. Raises
 * ERRCODE_INDEX_CORRUPTED if this backend already holds its lock.
 */
extern void storage_lock(Relation rel, Buffer buffer, int mode);

/*
 * Check a share-locked page read by an index scan: raise "snapshot too old" if
 * VACUUM may have removed rows from it that the scan's snapshot sees.
 */
static inline void
storage_check_snapshot(const ColbertIndex *index, Page page)
{
	if (index->snapshot != NULL)
		compat_test_old_snapshot(index->snapshot, index->rel, page);
}

/* ---- changes, logged in WAL (change.c) ---- */

#define CHANGE_MAX_PAGES MAX_GENERIC_XLOG_PAGES

/* Page of a change. */
typedef struct ChangedPage
{
	Buffer buffer;
	bool   whole; /* the record gets the whole page */
	Page   image; /* copy that the change modifies; the page itself during a build */
	char  *delta; /* what differs, for the record (delta.h) */
	uint32 delta_length;
} ChangedPage;

/*
 * Change of at most four pages, atomic for a crash and for a standby. The
 * caller keeps its page locks until after the commit. A build changes pages in
 * place; if it fails, the whole index is dropped.
 */
typedef struct Change
{
	ColbertIndex *index;
	bool          in_place; /* during a build */
	bool          logged;
	int           npages;
	ChangedPage   pages[CHANGE_MAX_PAGES];
} Change;

extern void change_begin(Change *change, ColbertIndex *index);

/*
 * Register an exclusively locked buffer and return the page to modify. fresh:
 * the page is overwritten entirely.
 */
extern Page change_page(Change *change, Buffer buffer, bool fresh);
extern void change_commit(Change *change);

/* Leave the pages unchanged. Not allowed during a build. */
extern void change_cancel(Change *change);

/* ---- the meta page (meta.c) ---- */

/* Read, lock and check the meta page. Returns its buffer, pinned and locked in this mode. */
extern Buffer meta_lock(ColbertIndex *index, int mode);

/* Return the meta data on a page: of a locked meta buffer, or of change_page. */
static inline MetaPageData *
meta_data(Page page)
{
	return (MetaPageData *) PageGetContents(page);
}

/*
 * Copy the meta data: from the locked meta page, or locking it for the copy.
 * If nodes_ahead, meta.nodes stays.
 */
extern void meta_copy(ColbertIndex *index, Buffer buffer);
extern void meta_read(ColbertIndex *index);

/*
 * Write the copy's nodes, lists and growth back to the meta page as one change.
 * The caller is the only writer of these parts: a build, or the holder of the
 * merge lock.
 */
extern void meta_write_nodes(ColbertIndex *index);

/* Do the same as a part of a change. buffer: the meta page, locked by meta_lock. */
extern void meta_change_nodes(Change *change, Buffer buffer);

/* ---- page arrays (parray.c) ---- */

/* Return the number of items handed out. */
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
 * Return the block of an item; *slot is its position on the page. Raises
 * ERRCODE_INDEX_CORRUPTED if the item is beyond the array's pages.
 */
extern BlockNumber parray_block(const ColbertIndex *index, ArrayKind kind, uint32 item,
								uint32 *slot);

/* Return the number of items from this one to the end of its page. */
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
 * Pin, share-lock and check the page of an item. *data points to the item,
 * followed by the other items of its page; NULL if the page was never written.
 */
extern Buffer parray_read(ColbertIndex *index, ArrayKind kind, uint32 item, char **data);

/*
 * Prefetch the memory that parray_read of an item will access, as
 * storage_prefetch does. Out-of-range items are ignored.
 */
extern void parray_prefetch(ColbertIndex *index, ArrayKind kind, uint32 item);

/* Pin, exclusively lock and check the page of an item. */
extern Buffer parray_lock(ColbertIndex *index, ArrayKind kind, uint32 item);

/*
 * Register a page locked by parray_lock with a change, initialising a new
 * page. Returns a pointer to the item.
 */
extern char *parray_change(Change *change, Buffer buffer, ArrayKind kind, uint32 item);

/*
 * Set the bytes in use of an item that fills its page and is registered with a
 * change. The rest of the page is excluded from the WAL record and reads as
 * zeroes after the change.
 */
extern void parray_set_used(char *item, Size used);

/*
 * Copy count items, page by page. Pages that were never written read as
 * zeroes. Each page written is a change of its own.
 */
extern void parray_copy_out(ColbertIndex *index, ArrayKind kind, uint32 first, uint32 count,
							void *to);
extern void parray_copy_in(ColbertIndex *index, ArrayKind kind, uint32 first, uint32 count,
						   const void *from);

/*
 * Take the next count items and return the first. There is room for them; only
 * the copy of the meta data is changed.
 */
extern uint32 parray_take(ColbertIndex *index, ArrayKind kind, uint32 count);

/* Copy one array's part of the locked meta page: its items handed out and its extents. */
extern void parray_refresh(ColbertIndex *index, ArrayKind kind, Buffer meta_buffer);

/* Compare two ordinals (uint32), for qsort and bsearch. */
extern int compare_ordinals(const void *a, const void *b);

/* ---- extents (extents.c) ---- */

/* Create an empty cache in the current memory context, which must outlive it. */
extern ExtentCache *extents_cache_create(void);

/* Consecutive blocks that belong to an array: an extent or a map page. */
typedef struct PlacedExtent
{
	BlockNumber start;
	uint32      npages;
	ArrayKind   array;
	bool        is_map;
} PlacedExtent;

/*
 * List the extents on the meta page, ordered by block. Returns their number,
 * at most ARRAY_COUNT * MAX_EXTENTS.
 */
extern int extents_of_meta(const MetaPageData *meta, PlacedExtent *extents);

/*
 * Remember the extents on a meta page, which meta_lock has checked and which
 * overlap neither each other nor the meta page, or tell whether this backend
 * remembers them. They change only when the index grows, but each search, and
 * each insert of a row, reads the meta page. All bytes are compared, so damage
 * is noticed.
 */
extern void extents_remember(Relation rel, const MetaPageData *meta);
extern bool extents_known(Relation rel, const MetaPageData *meta);

/* All extents and map pages, ordered by block. */
typedef struct ExtentList
{
	PlacedExtent *extents; /* palloc'd */
	int           nextents;
	int           next; /* first extent that does not end before the last block looked up */
} ExtentList;

/* List all extents and map pages of an index. Reads map pages not read before. */
extern void extents_list(const ColbertIndex *index, ExtentList *list);

/*
 * Return the extent of a block; NULL if it belongs to no array. Successive
 * calls must pass ascending blocks.
 */
extern const PlacedExtent *extents_find(ExtentList *list, BlockNumber block);

/*
 * Return the first block from this one on that belongs to no array. Successive
 * calls must pass ascending blocks.
 */
extern BlockNumber extents_skip(ExtentList *list, BlockNumber block);

/* Fresh blocks at the end of the relation. */
typedef struct BlockRun
{
	BlockNumber start;
	uint32      npages;
} BlockRun;

/*
 * Move the oldest MOVED_EXTENTS extents of an array from the meta page
 * (stored) to its newest map page. If that page is full, the first block of
 * run becomes a new one. Returns the map page's buffer, exclusively locked and
 * registered with the change.
 */
extern Buffer extents_move_to_map(Change *change, ArrayPages *stored, ArrayKind kind,
								  BlockRun *run);

/* ---- growth (grow.c) ---- */

/* Items about to be taken from an array. */
typedef struct ArrayDemand
{
	ArrayKind kind;
	uint64    count;
} ArrayDemand;

/*
 * Return true if the arrays have room for these items beyond those handed out,
 * within the maximum number of items.
 */
extern bool parray_have_room(const ColbertIndex *index, const ArrayDemand *demands, int n);

/*
 * Make room in arrays by extending the relation.
 *
 * The caller holds no page lock: this takes time, accepts interrupts, and may
 * wait for another backend that extends the index. The copy of the meta data
 * is brought up to date for these arrays. Other backends may take the room
 * before the caller locks the meta page, so callers check again then, except
 * for arrays with a single writer. Raises ERRCODE_PROGRAM_LIMIT_EXCEEDED if
 * the index is full.
 */
extern void parray_make_room(ColbertIndex *index, const ArrayDemand *demands, int n);

/*
 * Wait until no array is being extended, and copy the meta data. Returns the
 * number of blocks at that time. A block below it that belongs to no array
 * never will.
 */
extern BlockNumber storage_settled(ColbertIndex *index);

/* Set MetaPageData.settled_blocks. */
extern void storage_set_settled(ColbertIndex *index, BlockNumber nblocks);

/* Return true if this many pages fit in the free space of a relation's disk, or it is unknown. */
extern bool storage_has_room(Relation rel, uint32 npages);

/* Extend the relation for posting pages by 1 to npages pages. The caller holds no page lock. */
extern BlockRun storage_extend(ColbertIndex *index, uint32 npages);

/*
 * Add a block for a posting page during a build. Returns its buffer,
 * exclusively locked; the page is new.
 */
extern Buffer storage_new_page(ColbertIndex *index);

#endif /* COLBERT_STORAGE_H */
