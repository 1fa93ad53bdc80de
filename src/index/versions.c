/*-------------------------------------------------------------------------
 *
 * versions.c
 *	  Row versions that share one document (versions.h).
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "index/versions.h"
#include "miscadmin.h"

/* Return the version page of a document; it has the number of its directory page. */
static uint32
version_page(const IndexView *view, uint32 doc)
{
	return doc / parray_per_page(view->index, ARRAY_DOCS);
}

static uint16
slot_of(const IndexView *view, uint32 doc)
{
	return (uint16) (doc % parray_per_page(view->index, ARRAY_DOCS));
}

/* Return the number of version pages handed out. */
static uint32
pages(const IndexView *view)
{
	return parray_nitems(view->index, ARRAY_VERSIONS);
}

/*
 * Pin and share-lock a version page. Returns its contents, or NULL if nothing
 * was written to it. The caller releases the buffer.
 */
static const VersionPage *
read_page(IndexView *view, uint32 page, Buffer *buffer)
{
	char              *data;
	const VersionPage *versions;

	*buffer = parray_read(view->index, ARRAY_VERSIONS, page, &data);
	versions = (const VersionPage *) data;
	if (versions != NULL && versions->count > VERSIONS_PER_PAGE)
		ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
						errmsg("index \"%s\" has a version page with %u versions",
							   RelationGetRelationName(view->index->rel), versions->count),
						errhint("REINDEX it.")));
	return versions;
}

/*
 * Copy the versions of a document from its version page into rows, newest
 * first. Returns the number of versions on the page, of all its documents.
 */
static uint32
collect(IndexView *view, uint32 doc, DocRows *rows)
{
	uint32             page = version_page(view, doc);
	uint16             slot = slot_of(view, doc);
	const VersionPage *versions;
	Buffer             buffer;
	uint32             count;

	rows->count = 0;
	if (page >= pages(view))
		return 0;
	versions = read_page(view, page, &buffer);
	count = versions == NULL ? 0 : versions->count;
	for (uint32 i = count; i-- > 0 && rows->count < VERSIONS_MAX_ROWS - 1;)
		if (versions->versions[i].slot == slot)
			rows->tids[rows->count++] = versions->versions[i].tid;
	UnlockReleaseBuffer(buffer);
	return count;
}

static bool
same_row(const ItemPointerData *a, const ItemPointerData *b)
{
	return memcmp(a, b, sizeof(ItemPointerData)) == 0;
}

static bool
rows_have(const DocRows *rows, const ItemPointerData *tid)
{
	for (uint32 i = 0; i < rows->count; i++)
		if (same_row(&rows->tids[i], tid))
			return true;
	return false;
}

void
versions_read(IndexView *view, uint32 doc, DocRows *rows)
{
	DocEntry entry;

	collect(view, doc, rows);
	if (!docstore_entry(view, doc, &entry) || entry.state != DOC_LIVE)
		rows->count = 0;
	/* VACUUM may have moved this version to the directory after its version page was read. */
	else if (!rows_have(rows, &entry.tid))
		rows->tids[rows->count++] = entry.tid;
}

void
versions_of(IndexView *view, uint32 doc, const DocEntry *entry, DocRows *rows)
{
	rows->count = 0;
	if (entry->flags & DOC_VERSIONS)
		collect(view, doc, rows);
	rows->tids[rows->count++] = entry->tid;
}

uint64
versions_count(IndexView *view)
{
	uint64 count = 0;

	for (uint32 page = 0; page < pages(view); page++)
	{
		Buffer             buffer;
		const VersionPage *versions;

		CHECK_FOR_INTERRUPTS();
		versions = read_page(view, page, &buffer);
		count += versions == NULL ? 0 : versions->count;
		UnlockReleaseBuffer(buffer);
	}
	return count;
}

/* ---- adding ---- */

/*
 * Lock the meta page exclusively and copy it, once there is room for version
 * pages up to the one of this document. *demand is set to the number of pages
 * to take.
 */
static Buffer
lock_with_page(IndexView *view, uint32 doc, ArrayDemand *demand)
{
	for (;;)
	{
		Buffer meta_buffer = meta_lock(view->index, BUFFER_LOCK_EXCLUSIVE);

		meta_copy(view->index, meta_buffer);
		*demand = (ArrayDemand) {ARRAY_VERSIONS, 0};
		/*
		 * Take pages for the whole directory: a statement that updates one row
		 * often updates many.
		 */
		if (version_page(view, doc) >= pages(view))
			demand->count =
				version_page(view, parray_nitems(view->index, ARRAY_DOCS) - 1) + 1 - pages(view);
		if (parray_have_room(view->index, demand, 1))
			return meta_buffer;
		UnlockReleaseBuffer(meta_buffer);
		parray_make_room(view->index, demand, 1);
	}
}

/* Exclude the unused end of a changed version page from WAL. */
static void
set_used(VersionPage *versions)
{
	parray_set_used((char *) versions,
					offsetof(VersionPage, versions) + versions->count * sizeof(RowVersion));
}

/*
 * Set DOC_VERSIONS on all live documents of a directory page, so that an
 * UPDATE of many rows changes the page once.
 */
static void
flag_page(IndexView *view, Change *change, Buffer buffer, uint32 doc)
{
	ColbertIndex *index = view->index;
	uint32        first = doc - slot_of(view, doc);
	uint32        ndocs =
		Min(parray_per_page(index, ARRAY_DOCS), parray_nitems(index, ARRAY_DOCS) - first);
	DocEntry *docs = (DocEntry *) parray_change(change, buffer, ARRAY_DOCS, first);

	for (uint32 i = 0; i < ndocs; i++)
		if (docs[i].state == DOC_LIVE)
			docs[i].flags |= DOC_VERSIONS;
}

/*
 * Write a version to its page and flag its document. The meta page is locked
 * exclusively; the number of version pages is taken from the view's meta data.
 */
static void
write_version(IndexView *view, Buffer meta_buffer, uint32 doc, const DocEntry *entry,
			  const ItemPointerData *tid)
{
	ColbertIndex *index = view->index;
	Buffer        doc_buffer = parray_lock(index, ARRAY_DOCS, doc);
	Buffer        buffer = parray_lock(index, ARRAY_VERSIONS, version_page(view, doc));
	MetaPageData *stored = meta_data(BufferGetPage(meta_buffer));
	VersionPage  *versions;
	Change        change;

	change_begin(&change, index);
	if (meta_nitems(stored, ARRAY_VERSIONS) != pages(view))
		meta_set_nitems(meta_data(change_page(&change, meta_buffer, false)), ARRAY_VERSIONS,
						pages(view));
	if (!(entry->flags & DOC_VERSIONS))
		flag_page(view, &change, doc_buffer, doc);
	versions =
		(VersionPage *) parray_change(&change, buffer, ARRAY_VERSIONS, version_page(view, doc));
	versions->versions[versions->count++] = (RowVersion) {*tid, slot_of(view, doc)};
	set_used(versions);
	change_commit(&change);
	UnlockReleaseBuffer(buffer);
	UnlockReleaseBuffer(doc_buffer);
}

bool
versions_add(IndexView *view, uint32 doc, const ItemPointerData *known, const ItemPointerData *tid)
{
	ArrayDemand demand;
	Buffer      meta_buffer = lock_with_page(view, doc, &demand);
	DocEntry    entry;
	DocRows     rows;
	bool fits = collect(view, doc, &rows) < VERSIONS_PER_PAGE && rows.count + 1 < VERSIONS_MAX_ROWS;

	/* The exclusive lock on the meta page keeps all of this stable. */
	fits = fits && docstore_entry(view, doc, &entry) && entry.state == DOC_LIVE;
	if (fits)
	{
		rows.tids[rows.count++] = entry.tid;
		fits = rows_have(&rows, known);
	}
	if (fits)
	{
		parray_take(view->index, ARRAY_VERSIONS, (uint32) demand.count);
		write_version(view, meta_buffer, doc, &entry, tid);
	}
	UnlockReleaseBuffer(meta_buffer);
	return fits;
}

/* ---- VACUUM ---- */

void
versions_copy_page(IndexView *view, uint32 first, DirectoryPage *page)
{
	ColbertIndex *index = view->index;
	bool          flagged = false;

	page->first = first;
	page->ndocs = Min(parray_per_page(index, ARRAY_DOCS), parray_nitems(index, ARRAY_DOCS) - first);
	parray_copy_out(index, ARRAY_DOCS, first, page->ndocs, page->docs);
	for (uint32 i = 0; i < page->ndocs; i++)
		flagged |= (page->docs[i].flags & DOC_VERSIONS) != 0;
	page->versions.count = 0;
	if (flagged && version_page(view, first) < pages(view))
	{
		Buffer             buffer;
		const VersionPage *versions = read_page(view, version_page(view, first), &buffer);

		if (versions != NULL)
			memcpy(&page->versions, versions, sizeof(VersionPage));
		UnlockReleaseBuffer(buffer);
	}
	memset(page->dead_firsts, false, sizeof(page->dead_firsts));
	memset(page->dead_versions, false, sizeof(page->dead_versions));
}

/* Return true if version i of the page is the one copied earlier and is dead. */
static bool
is_dead_version(const DirectoryPage *page, uint32 i, const RowVersion *version)
{
	return i < page->versions.count && page->dead_versions[i] &&
		   memcmp(&page->versions.versions[i], version, sizeof(RowVersion)) == 0;
}

/*
 * Remove dead versions from a version page. A document that lost its first
 * version (vacant) gets its oldest remaining one as the new first version.
 * Documents left vacant have no version any more.
 */
static void
settle_versions(VersionPage *versions, DocEntry *docs, const DirectoryPage *page, bool *vacant)
{
	uint32 count = Min(versions->count, VERSIONS_PER_PAGE);
	uint32 kept = 0;

	for (uint32 i = 0; i < count; i++)
	{
		RowVersion version = versions->versions[i];

		if (is_dead_version(page, i, &version))
			continue;
		if (version.slot < page->ndocs && vacant[version.slot])
		{
			docs[version.slot].tid = version.tid;
			vacant[version.slot] = false;
			continue;
		}
		versions->versions[kept++] = version;
	}
	versions->count = kept;
	set_used(versions);
}

/*
 * Update the documents of a directory page and their counters. All pages are
 * registered with the caller's change.
 */
static void
settle_documents(MetaPageData *meta, DocEntry *docs, VersionPage *versions,
				 const DirectoryPage *page)
{
	bool   vacant[DOCS_PER_PAGE] = {0};
	uint32 ndocs = Min(DOCS_PER_PAGE, meta_nitems(meta, ARRAY_DOCS) - page->first);

	for (uint32 i = 0; i < page->ndocs; i++)
		vacant[i] = page->dead_firsts[i] && docs[i].state == DOC_LIVE &&
					same_row(&docs[i].tid, &page->docs[i].tid);
	if (versions != NULL)
		settle_versions(versions, docs, page, vacant);
	/* Documents added after the page was copied may be flagged, too. */
	for (uint32 i = 0; i < ndocs; i++)
	{
		if (vacant[i] || versions == NULL || versions->count == 0)
			docs[i].flags &= ~DOC_VERSIONS;
		if (!vacant[i])
			continue;
		docs[i].state = DOC_DEAD;
		meta->documents.live_docs--;
		meta->documents.live_tokens -= docs[i].ntokens;
		meta->documents.dead_docs++;
	}
}

void
versions_drop_dead(IndexView *view, const DirectoryPage *page)
{
	Buffer       meta_buffer = meta_lock(view->index, BUFFER_LOCK_EXCLUSIVE);
	Buffer       doc_buffer;
	Buffer       buffer = InvalidBuffer;
	VersionPage *versions = NULL;
	DocEntry    *docs;
	Change       change;

	/* The version page may have been allocated since the view was opened. */
	parray_refresh(view->index, ARRAY_VERSIONS, meta_buffer);
	doc_buffer = parray_lock(view->index, ARRAY_DOCS, page->first);
	if (version_page(view, page->first) < pages(view))
		buffer = parray_lock(view->index, ARRAY_VERSIONS, version_page(view, page->first));

	change_begin(&change, view->index);
	docs = (DocEntry *) parray_change(&change, doc_buffer, ARRAY_DOCS, page->first);
	/* A page that was never written has no versions. */
	if (BufferIsValid(buffer) && !PageIsNew(BufferGetPage(buffer)))
		versions = (VersionPage *) parray_change(&change, buffer, ARRAY_VERSIONS,
												 version_page(view, page->first));
	settle_documents(meta_data(change_page(&change, meta_buffer, false)), docs, versions, page);
	change_commit(&change);
	if (BufferIsValid(buffer))
		UnlockReleaseBuffer(buffer);
	UnlockReleaseBuffer(doc_buffer);
	UnlockReleaseBuffer(meta_buffer);
}
