/*-------------------------------------------------------------------------
 *
 * update.c
 *	  UPDATE that keeps the document: the new version of the row shares the
 *	  entry of the old version.
 *
 * PostgreSQL does not tell an index the old version of a row, nor its location.
 * Both versions store the same bytes for a column that an UPDATE keeps: the
 * TOAST pointer of a document stored out of line, or the document itself. For
 * an index on an expression, the columns are those that the expression reads,
 * which is immutable. The hash of these bytes leads to documents that may
 * belong to the old version (hashes.h).
 *
 * The hash is no proof, and the executor's hint that the columns are unchanged
 * does not cover SET doc = doc, nor what logical replication applies, so it is
 * not used. The old version is the tuple in the table that this transaction has
 * updated to the new version. It is searched for in the HOT chains of the
 * documents found, and its columns must hold the same bytes. While the updating
 * transaction is in progress, VACUUM considers neither the old version nor the
 * root of its chain dead. The document therefore stays live, and the root stays
 * one of its rows.
 *
 * Rows are inserted anew if the table is not a heap, or if the expression reads
 * a whole row or more than MAX_COLUMNS columns.
 *
 * Locks: one page of the table at a time. No page of the index is locked at the
 * same time as a page of the table. The new version's page stays pinned, so
 * that its columns can be read in place.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/sysattr.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "index/hashes.h"
#include "index/versions.h"
#include "optimizer/optimizer.h"
#include "storage/bufmgr.h"
#include "utils/datum.h"

/*
 * Maximum documents of the same hash to examine. Only rows that store the same
 * bytes share a hash, apart from collisions.
 */
#define MAX_DOCUMENTS 8

/* Maximum columns that an indexed expression may read. */
#define MAX_COLUMNS 8

/* The columns that determine the indexed value of a row. count is 0 if they are unknown. */
typedef struct IndexedColumns
{
	int        count;
	AttrNumber columns[MAX_COLUMNS];
} IndexedColumns;

/* The stored values of these columns, pointing into a page. */
typedef struct StoredValues
{
	Datum values[MAX_COLUMNS];
	bool  nulls[MAX_COLUMNS];
} StoredValues;

/* A new version of a row, on a pinned page. */
typedef struct NewVersion
{
	Relation        heap;
	IndexedColumns  indexed;
	Buffer          buffer;
	ItemPointerData tid;
	TransactionId   xmin;
	bool            updated; /* it is the result of an UPDATE, not of an INSERT */
	StoredValues    stored;
} NewVersion;

/* ---- stored columns ---- */

static void
find_columns(const IndexInfo *info, IndexedColumns *indexed)
{
	Bitmapset *attributes = NULL;
	int        attribute = -1;

	indexed->count = 0;
	if (info->ii_IndexAttrNumbers[0] > 0)
	{
		indexed->columns[indexed->count++] = info->ii_IndexAttrNumbers[0];
		return;
	}
	pull_varattnos((Node *) info->ii_Expressions, 1, &attributes);
	while ((attribute = bms_next_member(attributes, attribute)) >= 0)
	{
		int column = attribute + FirstLowInvalidHeapAttributeNumber;

		if (column <= 0 || indexed->count == MAX_COLUMNS)
		{
			indexed->count = 0;
			return;
		}
		indexed->columns[indexed->count++] = (AttrNumber) column;
	}
}

static void
get_stored(const NewVersion *version, HeapTupleHeader header, StoredValues *stored)
{
	HeapTupleData tuple = {.t_data = header, .t_tableOid = RelationGetRelid(version->heap)};

	for (int i = 0; i < version->indexed.count; i++)
		stored->values[i] = heap_getattr(&tuple, version->indexed.columns[i],
										 RelationGetDescr(version->heap), &stored->nulls[i]);
}

static Form_pg_attribute
attribute_of(const NewVersion *version, int i)
{
	return TupleDescAttr(RelationGetDescr(version->heap), version->indexed.columns[i] - 1);
}

static bool
same_stored(const NewVersion *version, const StoredValues *a, const StoredValues *b)
{
	for (int i = 0; i < version->indexed.count; i++)
	{
		Form_pg_attribute attribute = attribute_of(version, i);

		if (a->nulls[i] != b->nulls[i])
			return false;
		/* Compare the stored bytes, without fetching or decompressing. */
		if (!a->nulls[i] &&
			!datumIsEqual(a->values[i], b->values[i], attribute->attbyval, attribute->attlen))
			return false;
	}
	return true;
}

/* Return the hash of the stored bytes, which is never 0. */
static uint32
hash_stored(const NewVersion *version)
{
	uint32 hash = 0;

	for (int i = 0; i < version->indexed.count; i++)
	{
		Form_pg_attribute attribute = attribute_of(version, i);
		Datum             value = version->stored.values[i];

		if (version->stored.nulls[i])
			continue;
		if (attribute->attbyval)
			hash = hash_combine(hash, murmurhash32((uint32) value));
		else
			hash =
				hash_combine(hash, hash_bytes((const unsigned char *) DatumGetPointer(value),
											  (int) datumGetSize(value, false, attribute->attlen)));
	}
	return Max(hash, 1);
}

/* ---- the new version ---- */

/* Return the tuple at a line pointer of a page, following a redirect, or NULL if there is none. */
static HeapTupleHeader
tuple_at(Page page, OffsetNumber offset)
{
	for (int hops = 0; hops < 2; hops++)
	{
		ItemId item;

		if (offset < FirstOffsetNumber || offset > PageGetMaxOffsetNumber(page))
			return NULL;
		item = PageGetItemId(page, offset);
		if (ItemIdIsNormal(item))
			return (HeapTupleHeader) PageGetItem(page, item);
		if (!ItemIdIsRedirected(item))
			return NULL;
		offset = ItemIdGetRedirect(item);
	}
	return NULL;
}

/*
 * Pin the page of a row's new version, and find its columns. Returns false,
 * without a pin, if the version or its columns cannot be found.
 */
static bool
new_version_open(NewVersion *version, Relation heap, const ItemPointerData *tid,
				 const IndexInfo *info)
{
	HeapTupleHeader header;

	version->heap = heap;
	version->tid = *tid;
	find_columns(info, &version->indexed);
	if (version->indexed.count == 0 || heap->rd_tableam != GetHeapamTableAmRoutine())
		return false;
	version->buffer = ReadBuffer(heap, ItemPointerGetBlockNumber(&version->tid));
	LockBuffer(version->buffer, BUFFER_LOCK_SHARE);
	header = tuple_at(BufferGetPage(version->buffer), ItemPointerGetOffsetNumber(&version->tid));
	if (header != NULL)
	{
		version->xmin = HeapTupleHeaderGetXmin(header);
		version->updated = (header->t_infomask & HEAP_UPDATED) != 0;
		get_stored(version, header, &version->stored);
	}
	/* A tuple does not move within its page while the page is pinned. */
	LockBuffer(version->buffer, BUFFER_LOCK_UNLOCK);
	if (header == NULL)
		ReleaseBuffer(version->buffer);
	return header != NULL;
}

/* ---- the old version ---- */

/* Return true if the new version's transaction updated this tuple to the new version. */
static bool
was_updated_to(HeapTupleHeader header, const NewVersion *version)
{
	return !(header->t_infomask & HEAP_XMAX_INVALID) &&
		   !HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask) &&
		   ItemPointerEquals(&header->t_ctid, (ItemPointer) &version->tid) &&
		   TransactionIdEquals(HeapTupleHeaderGetUpdateXid(header), version->xmin);
}

/*
 * Find the old version in the HOT chain that begins at a line pointer of a
 * locked page. Returns NULL if it is not there.
 */
static HeapTupleHeader
find_in_chain(Page page, OffsetNumber offset, const NewVersion *version)
{
	TransactionId before = InvalidTransactionId;

	for (int steps = 0; steps < MaxHeapTuplesPerPage; steps++)
	{
		HeapTupleHeader header = tuple_at(page, offset);

		if (header == NULL || (TransactionIdIsValid(before) &&
							   !TransactionIdEquals(HeapTupleHeaderGetXmin(header), before)))
			return NULL;
		if (was_updated_to(header, version))
			return header;
		if (!HeapTupleHeaderIsHotUpdated(header))
			return NULL;
		offset = ItemPointerGetOffsetNumber(&header->t_ctid);
		before = HeapTupleHeaderGetUpdateXid(header);
	}
	return NULL;
}

/*
 * Return true if a row of a document leads to the old version, and that version
 * stores the same bytes.
 */
static bool
is_old_row(const ItemPointerData *tid, const NewVersion *version)
{
	BlockNumber     block = ItemPointerGetBlockNumberNoCheck(tid);
	Buffer          buffer;
	HeapTupleHeader header;
	StoredValues    old;
	bool            same = false;

	/*
	 * The new version is usually on a later page, in which case the size of the
	 * file need not be read.
	 */
	if (block > ItemPointerGetBlockNumber(&version->tid) &&
		block >= RelationGetNumberOfBlocks(version->heap))
		return false;
	buffer = ReadBuffer(version->heap, block);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	header = find_in_chain(BufferGetPage(buffer), ItemPointerGetOffsetNumberNoCheck(tid), version);
	if (header != NULL)
	{
		get_stored(version, header, &old);
		same = same_stored(version, &old, &version->stored);
	}
	UnlockReleaseBuffer(buffer);
	return same;
}

/* Share a document if the old version is one of its rows. */
static bool
share_document(IndexView *view, uint32 doc, uint32 hash, const NewVersion *version)
{
	DocEntry entry;
	DocRows  rows;

	if (!docstore_entry(view, doc, &entry) || entry.state != DOC_LIVE || entry.hash != hash)
		return false;
	versions_of(view, doc, &entry, &rows);
	for (uint32 i = 0; i < rows.count; i++)
		if (is_old_row(&rows.tids[i], version))
			return versions_add(view, doc, &rows.tids[i], &version->tid);
	return false;
}

static bool
share_by_hash(Relation index, uint32 hash, const NewVersion *version)
{
	IndexView *view = view_open_directory(index);
	uint32     docs[MAX_DOCUMENTS];
	uint32     ndocs = hashes_find(view, hash, docs, MAX_DOCUMENTS);

	for (uint32 i = 0; i < ndocs; i++)
		if (share_document(view, docs[i], hash, version))
			return true;
	return false;
}

uint32
update_stored_hash(Relation heap, ItemPointer tid, const IndexInfo *info)
{
	NewVersion version;
	uint32     hash;

	if (!new_version_open(&version, heap, tid, info))
		return 0;
	hash = hash_stored(&version);
	ReleaseBuffer(version.buffer);
	return hash;
}

bool
update_shares_document(Relation index, Relation heap, ItemPointer tid, const IndexInfo *info,
					   uint32 *hash)
{
	NewVersion version;
	bool       shared = false;

	*hash = 0;
	if (!new_version_open(&version, heap, tid, info))
		return false;
	*hash = hash_stored(&version);
	if (version.updated && TransactionIdIsCurrentTransactionId(version.xmin))
		shared = share_by_hash(index, *hash, &version);
	ReleaseBuffer(version.buffer);
	return shared;
}
