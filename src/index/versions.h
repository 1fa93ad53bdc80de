/*-------------------------------------------------------------------------
 *
 * versions.h
 *	  Row versions that share one document.
 *
 * An UPDATE that keeps the document creates a new version of the row, which
 * shares the old version's directory entry. DocEntry.tid is the TID of the
 * first version; the TIDs of the others are on a version page. Page n of
 * ARRAY_VERSIONS holds the versions of the documents on page n of the
 * directory, in order of creation. Every document with versions there has
 * DOC_VERSIONS set; other documents of its page may have it, too. At most one
 * version of a row is visible to a snapshot.
 *
 * When VACUUM finds the first version dead, the oldest remaining one takes its
 * place. A document is dead when all its versions are.
 *
 * Version pages, the flag, and DocEntry.tid of a live document are changed
 * only while the meta page is locked exclusively; flag and version page are
 * written in one change. A version moves from its page to the directory and
 * never back. A reader that reads the version page before the entry therefore
 * misses no version, although it locks one page at a time.
 *
 * Lock order: meta page, directory page, version page.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_VERSIONS_H
#define COLBERT_VERSIONS_H

#include "index/docstore.h"

/* Maximum row versions per document. A scan with an old snapshot may have to test all of them. */
#define VERSIONS_MAX_ROWS 64

/* Versions of a document's row, newest first. */
typedef struct DocRows
{
	uint32          count;
	ItemPointerData tids[VERSIONS_MAX_ROWS];
} DocRows;

/* Read the row versions of a document; none if it is not live. */
extern void versions_read(IndexView *view, uint32 doc, DocRows *rows);

/*
 * Read the row versions by an entry read earlier. The entry may have changed
 * since, so the caller verifies them.
 */
extern void versions_of(IndexView *view, uint32 doc, const DocEntry *entry, DocRows *rows);

/*
 * Add a row version to a document that has the version known. Returns false if
 * it no longer has that version or if there is no room. The caller holds no
 * page lock.
 */
extern bool versions_add(IndexView *view, uint32 doc, const ItemPointerData *known,
						 const ItemPointerData *tid);

/* Return the number of versions on all version pages. */
extern uint64 versions_count(IndexView *view);

/* ---- VACUUM ---- */

#define DOCS_PER_PAGE (PAGE_PAYLOAD / sizeof(DocEntry))

/* Documents of one directory page, their versions, and which of these rows are dead. */
typedef struct DirectoryPage
{
	uint32      first; /* first document */
	uint32      ndocs;
	DocEntry    docs[DOCS_PER_PAGE];
	VersionPage versions;                   /* empty if no document is flagged */
	bool        dead_firsts[DOCS_PER_PAGE]; /* the row in DocEntry.tid is dead */
	bool        dead_versions[VERSIONS_PER_PAGE];
} DirectoryPage;

/*
 * Copy the directory page that begins with document first, up to the documents
 * counted in the view's meta data. No row is marked dead yet.
 */
extern void versions_copy_page(IndexView *view, uint32 first, DirectoryPage *page);

/*
 * Remove the dead versions; a document without a remaining version becomes
 * dead. Only one backend at a time, VACUUM, may remove versions.
 */
extern void versions_drop_dead(IndexView *view, const DirectoryPage *page);

#endif /* COLBERT_VERSIONS_H */
