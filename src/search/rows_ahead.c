/*-------------------------------------------------------------------------
 *
 * rows_ahead.c
 *	  Request the pages of heap rows, and of their documents in the TOAST
 *	  table, before they are fetched.
 *
 * The heap pages of some rows are requested together. Then each row is looked
 * up for its TOAST pointer, and the TOAST index for the pages of its chunks,
 * which are requested, too. Rows and chunks are read only when they are scored.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/detoast.h"
#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/toast_internals.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "search/rows_ahead.h"
#include "storage/bufmgr.h"
#include "storage/readahead.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

struct RowsAhead
{
	Relation             table;
	Snapshot             snapshot;
	AttrNumber           column;
	ReadAhead            ahead;
	IndexFetchTableData *fetch;
	TupleTableSlot      *slot;
	uint32               left; /* rows requested and not fetched yet */
};

RowsAhead *
rows_ahead_begin(Relation table, Snapshot snapshot, AttrNumber column, bool large)
{
	RowsAhead *ahead = palloc0(sizeof(RowsAhead));

	ahead->table = table;
	ahead->snapshot = snapshot;
	ahead->column = column;
	ahead->ahead = readahead_of(table, large);
	return ahead;
}

void
rows_ahead_end(RowsAhead *ahead)
{
	if (ahead->fetch == NULL)
		return;
	table_index_fetch_end(ahead->fetch);
	ExecDropSingleTupleTableSlot(ahead->slot);
}

uint32
rows_ahead_wanted(RowsAhead *ahead, uint32 row_count)
{
	uint32 distance = readahead_distance(&ahead->ahead);

	if (ahead->left > 0)
	{
		ahead->left--;
		return 0;
	}
	return Min(Min(distance, row_count), ROWS_AHEAD_MAX);
}

/* ---- documents in the TOAST table ---- */

/*
 * Copy the TOAST pointer of a row's document. Returns false if the row is not
 * visible, or its document is in the row itself.
 */
static bool
find_pointer(RowsAhead *ahead, ItemPointerData tid, struct varatt_external *pointer)
{
	bool  call_again = false;
	bool  isnull = true;
	Datum value = 0;
	bool  found;

	found = ItemPointerGetBlockNumber(&tid) < RelationGetNumberOfBlocks(ahead->table) &&
			table_index_fetch_tuple(ahead->fetch, &tid, ahead->snapshot, ahead->slot, &call_again,
									NULL);
	if (found)
		value = slot_getattr(ahead->slot, ahead->column, &isnull);
	found = !isnull && VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value));
	if (found)
		VARATT_EXTERNAL_GET_POINTER(*pointer, DatumGetPointer(value));
	ExecClearTuple(ahead->slot);
	return found;
}

/* Request the pages of a document's chunks. Returns their number, at most `most`. */
static uint32
request_chunks(Relation toast, Relation index, Oid value, uint32 most)
{
	IndexScanDesc scan = compat_index_beginscan_keys(toast, index, SnapshotAny, 1);
	BlockNumber   last = InvalidBlockNumber;
	uint32        n = 0;
	ScanKeyData   key;
	ItemPointer   tid;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(value));
	index_rescan(scan, &key, 1, NULL, 0);
	while (n < most && (tid = index_getnext_tid(scan, ForwardScanDirection)) != NULL)
	{
		BlockNumber block = ItemPointerGetBlockNumber(tid);

		if (block == last)
			continue;
		readahead_request(toast, block);
		last = block;
		n++;
	}
	index_endscan(scan);
	return n;
}

static void
request_documents(RowsAhead *ahead, const struct varatt_external *pointers, uint32 n)
{
	Relation  toast = table_open(pointers[0].va_toastrelid, AccessShareLock);
	uint32    left = ahead->ahead.distance;
	Relation *indexes;
	int       nindexes;
	int       valid = toast_open_indexes(toast, AccessShareLock, &indexes, &nindexes);

	for (uint32 i = 0; i < n && left > 0; i++)
		if (pointers[i].va_toastrelid == pointers[0].va_toastrelid)
			left -= request_chunks(toast, indexes[valid], pointers[i].va_valueid, left);
	toast_close_indexes(indexes, nindexes, AccessShareLock);
	table_close(toast, AccessShareLock);
}

void
rows_ahead_request(RowsAhead *ahead, const ItemPointerData *tids, uint32 n)
{
	struct varatt_external pointers[ROWS_AHEAD_MAX];
	uint32                 npointers = 0;

	for (uint32 i = 0; i < n; i++)
		readahead_request(ahead->table, ItemPointerGetBlockNumber(&tids[i]));
	ahead->left = n > 0 ? n - 1 : 0;
	/* Looking up a row of a serializable transaction would lock it. */
	if (ahead->column == 0 || IsolationIsSerializable())
		return;
	if (ahead->fetch == NULL)
	{
		ahead->fetch = compat_table_fetch_begin(ahead->table);
		ahead->slot = table_slot_create(ahead->table, NULL);
	}
	for (uint32 i = 0; i < n; i++)
		npointers += find_pointer(ahead, tids[i], &pointers[npointers]);
	table_index_fetch_reset(ahead->fetch);
	if (npointers > 0)
		request_documents(ahead, pointers, npointers);
}
