/*-------------------------------------------------------------------------
 *
 * heap.c
 *	  Compare the table with the index: each visible row is indexed exactly
 *	  once, and each index entry has a row or a line pointer.
 *
 * The snapshot is taken before the directory is copied. A row that it sees was
 * inserted by a transaction that had ended, so its document had already been
 * published. VACUUM removes no row that the snapshot sees.
 *
 * A live document may belong to a row that is dead or not committed, but its
 * line pointer must exist: VACUUM marks the document dead before it frees the
 * line pointer. An entry whose line pointer is missing is therefore read again
 * before it is reported.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "check/check.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"

/* A live index entry. */
typedef struct IndexedRow
{
	uint64 tid;  /* block number << 16 | offset number */
	uint32 item; /* ordinal of a document or of a null page */
	bool   is_null;
	bool   seen; /* the snapshot sees the row */
} IndexedRow;

typedef struct HeapCheck
{
	Check         *check;
	IndexedRow    *rows; /* sorted by tid */
	uint64         nrows;
	EncodingCheck *encoding;    /* NULL unless encodings are compared */
	MemoryContext  row_context; /* reset per row: the fetched and decompressed document */
	uint32         document;    /* the document being compared, and its datum */
	Datum          value;
} HeapCheck;

static uint64
tid_number(const ItemPointerData *tid)
{
	return (uint64) ItemPointerGetBlockNumberNoCheck(tid) << 16 |
		   ItemPointerGetOffsetNumberNoCheck(tid);
}

static int
compare_rows(const void *a, const void *b)
{
	uint64 x = ((const IndexedRow *) a)->tid;
	uint64 y = ((const IndexedRow *) b)->tid;

	return x < y ? -1 : x > y;
}

static void
add_row(HeapCheck *heap, const ItemPointerData *tid, uint32 item, bool is_null)
{
	heap->rows[heap->nrows++] = (IndexedRow) {tid_number(tid), item, is_null, false};
}

static const char *
kind_name(const IndexedRow *row)
{
	return row->is_null ? "null page" : "document";
}

/* Return the number of versions on a version page. A damaged count is capped. */
static uint32
versions_on(const VersionPage *page)
{
	return Min(page->count, VERSIONS_PER_PAGE);
}

/* The rows on a null page, of as many as it can hold. */
static uint32
nulls_on(const NullPage *page)
{
	return Min(page->count, NULLS_PER_PAGE);
}

static Size
most_rows(const Check *check)
{
	Size rows = check->ndocs;

	for (uint32 page = 0; page < check->nversion_pages; page++)
		rows = add_size(rows, versions_on(&check->versions[page]));
	for (uint32 page = 0; page < check->nnull_pages; page++)
		rows = add_size(rows, nulls_on(&check->nulls[page]));
	return rows;
}

/*
 * Add the row versions that are not in the directory. Versions without a live
 * document are skipped: versions.c has reported them.
 */
static void
list_versions(HeapCheck *heap)
{
	Check *check = heap->check;
	uint32 per_page = parray_per_page(check->view->index, ARRAY_DOCS);

	for (uint32 page = 0; page < check->nversion_pages; page++)
		for (uint32 i = 0; i < versions_on(&check->versions[page]); i++)
		{
			const RowVersion *version = &check->versions[page].versions[i];
			uint64            doc = (uint64) page * per_page + version->slot;

			if (doc < check->ndocs && check->docs[doc].state == DOC_LIVE)
				add_row(heap, &version->tid, (uint32) doc, false);
		}
}

/* Collect all live entries, sorted by row. Report rows with more than one entry. */
static void
list_rows(HeapCheck *heap)
{
	Check *check = heap->check;

	heap->rows =
		palloc_extended(Max(mul_size(most_rows(check), sizeof(IndexedRow)), 1), MCXT_ALLOC_HUGE);
	for (uint32 doc = 0; doc < check->ndocs; doc++)
		if (check->docs[doc].state == DOC_LIVE)
			add_row(heap, &check->docs[doc].tid, doc, false);
	list_versions(heap);
	for (uint32 page = 0; page < check->nnull_pages; page++)
		for (uint32 i = 0; i < nulls_on(&check->nulls[page]); i++)
			add_row(heap, &check->nulls[page].tids[i], page, true);
	qsort(heap->rows, heap->nrows, sizeof(IndexedRow), compare_rows);
	for (uint64 i = 1; i < heap->nrows; i++)
		if (heap->rows[i - 1].tid == heap->rows[i].tid)
			findings_add(check->findings, FINDING_ERROR, heap->rows[i].item,
						 "%s and %s %u belong to the same row (%u,%u)", kind_name(&heap->rows[i]),
						 kind_name(&heap->rows[i - 1]), heap->rows[i - 1].item,
						 (uint32) (heap->rows[i].tid >> 16), (uint32) (heap->rows[i].tid & 0xFFFF));
}

/* ---- from the table to the index ---- */

static void
compare_encoding(Check *check, void *arg)
{
	HeapCheck    *heap = arg;
	MemoryContext old = MemoryContextSwitchTo(heap->row_context);

	encoding_check_document(heap->encoding, heap->document, heap->value);
	MemoryContextSwitchTo(old);
	MemoryContextReset(heap->row_context);
}

static void
check_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *arg)
{
	HeapCheck  *heap = arg;
	Check      *check = heap->check;
	IndexedRow  key = {tid_number(tid)};
	IndexedRow *row = bsearch(&key, heap->rows, heap->nrows, sizeof(IndexedRow), compare_rows);

	CHECK_FOR_INTERRUPTS();
	if (row == NULL)
	{
		findings_add(check->findings, FINDING_ERROR, NO_ITEM, "row (%u,%u) is not in the index",
					 ItemPointerGetBlockNumber(tid), ItemPointerGetOffsetNumber(tid));
		return;
	}
	row->seen = true;
	if (row->is_null != isnull[0])
		findings_add(check->findings, FINDING_ERROR, row->item,
					 "%s belongs to row (%u,%u), whose document is %s", kind_name(row),
					 ItemPointerGetBlockNumber(tid), ItemPointerGetOffsetNumber(tid),
					 isnull[0] ? "NULL" : "not NULL");
	else if (heap->encoding != NULL && !isnull[0])
	{
		heap->document = row->item;
		heap->value = values[0];
		check_try(check, compare_encoding, heap, row->item);
	}
}

static void
scan_table(HeapCheck *heap)
{
	Check        *check = heap->check;
	IndexInfo    *info = BuildIndexInfo(check->index);
	TableScanDesc scan = table_beginscan_strat(check->heap, check->snapshot, 0, NULL, true, true);

	/* As a concurrent build does: scan by snapshot, and do not wait for writers. */
	info->ii_Concurrent = true;
	table_index_build_scan(check->heap, check->index, info, true, false, check_row, heap, scan);
}

/* ---- from the index to the table ---- */

/* Return true if the table has a used line pointer at this tid. */
static bool
row_exists(Relation heap, uint64 tid)
{
	BlockNumber  block = (BlockNumber) (tid >> 16);
	OffsetNumber offset = (OffsetNumber) (tid & 0xFFFF);
	Buffer       buffer;
	Page         page;
	bool         exists;

	if (block >= RelationGetNumberOfBlocks(heap))
		return false;
	buffer = ReadBuffer(heap, block);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	exists = offset >= FirstOffsetNumber && offset <= PageGetMaxOffsetNumber(page) &&
			 ItemIdIsUsed(PageGetItemId(page, offset));
	UnlockReleaseBuffer(buffer);
	return exists;
}

/* Return true if one of n TIDs belongs to this row. */
static bool
names_row(const ItemPointerData *tids, uint32 n, const IndexedRow *row)
{
	for (uint32 i = 0; i < n; i++)
		if (tid_number(&tids[i]) == row->tid)
			return true;
	return false;
}

/* Return true if a document or a null page still contains this row. */
static bool
still_live(Check *check, const IndexedRow *row)
{
	DocRows  rows;
	NullPage page;

	if (row->is_null)
	{
		nulls_copy_page(check->view, row->item, &page);
		return names_row(page.tids, page.count, row);
	}
	versions_read(check->view, row->item, &rows);
	return names_row(rows.tids, rows.count, row);
}

static void
check_unseen(Check *check, const IndexedRow *row)
{
	/*
	 * Look twice: between reading the table and reading the entry, VACUUM may
	 * have removed the entry and an insert may have reused it.
	 */
	for (int look = 0; look < 2; look++)
		if (row_exists(check->heap, row->tid) || !still_live(check, row))
			return;
	findings_add(check->findings, FINDING_ERROR, row->item,
				 "%s belongs to row (%u,%u), which does not exist", kind_name(row),
				 (uint32) (row->tid >> 16), (uint32) (row->tid & 0xFFFF));
}

void
check_heap(Check *check)
{
	HeapCheck heap = {check};

	list_rows(&heap);
	if (check->rescore)
	{
		heap.encoding = encoding_check_begin(check);
		heap.row_context = AllocSetContextCreate(CurrentMemoryContext, "colbert_pg check row",
												 ALLOCSET_DEFAULT_SIZES);
	}
	scan_table(&heap);

	/* Only heap tables have line pointers. */
	if (check->heap->rd_tableam != GetHeapamTableAmRoutine())
		return;
	for (uint64 i = 0; i < heap.nrows; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!heap.rows[i].seen)
			check_unseen(check, &heap.rows[i]);
	}
}
