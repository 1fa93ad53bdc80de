/*-------------------------------------------------------------------------
 *
 * versions.h
 *	  Versions of a row that share one document.
 *
 * An UPDATE that keeps the document makes a new version of the row, and the
 * index gives it the entry of the old one: the TID of the first version stands
 * in DocEntry.tid, those of the others on a version page. Page n of
 * ARRAY_VERSIONS holds the versions of the documents on page n of the
 * directory, in the order in which they came. A document that has some there
 * is flagged DOC_VERSIONS, as others of its page may be. At most one version is
 * visible to a snapshot.
 *
 * When VACUUM finds the first version dead, the oldest one left takes its
 * place; a document is dead when all its versions are.
 *
 * Version pages, the flag and DocEntry.tid of a live document change while the
 * meta page is held exclusively, flag and version page in one change. A
 * version moves from its page to the directory and never back, so that a
 * reader that reads the version page first and then the entry misses none,
 * with one page locked at a time.
 *
 * Lock order: meta page, directory page, version page.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_VERSIONS_H
#define COLBERT_VERSIONS_H

#include "index/docstore.h"

/* Maximum versions of a row that share a document. An old snapshot may have to look at all of them. */
#define VERSIONS_MAX_ROWS 64

/* The versions of a document's row, the newest first. */
typedef struct DocRows
{
	uint32          count;
	ItemPointerData tids[VERSIONS_MAX_ROWS];
} DocRows;

/* The versions of a document's row: none if it is not live. */
extern void versions_read(IndexView *view, uint32 doc, DocRows *rows);

/* The same from an entry that was read before, which may have changed since: for a caller that makes sure of them. */
extern void versions_of(IndexView *view, uint32 doc, const DocEntry *entry, DocRows *rows);

/*
 * Give a document another version of its row, beside known, one that it has.
 * Returns false if it has it no longer, or no room. No page is locked.
 */
extern bool versions_add(IndexView *view, uint32 doc, const ItemPointerData *known,
						 const ItemPointerData *tid);

/* The versions on version pages. */
extern uint64 versions_count(IndexView *view);

/* ---- VACUUM ---- */

#define DOCS_PER_PAGE (PAGE_PAYLOAD / sizeof(DocEntry))

/* The documents of one directory page and their versions, and which rows are dead. */
typedef struct DirectoryPage
{
	uint32      first; /* document */
	uint32      ndocs;
	DocEntry    docs[DOCS_PER_PAGE];
	VersionPage versions;                   /* none where no document is flagged */
	bool        dead_firsts[DOCS_PER_PAGE]; /* the row of DocEntry.tid is dead */
	bool        dead_versions[VERSIONS_PER_PAGE];
} DirectoryPage;

/* Copy the directory page that begins with a document, as far as view->index->meta knows of documents. No row is dead. */
extern void versions_copy_page(IndexView *view, uint32 first, DirectoryPage *page);

/* Remove the dead versions; a document without another version is dead. The caller alone removes versions. */
extern void versions_drop_dead(IndexView *view, const DirectoryPage *page);

#endif /* COLBERT_VERSIONS_H */
