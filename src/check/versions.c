/*-------------------------------------------------------------------------
 *
 * versions.c
 *	  Check the row versions that share a document: each belongs to a live
 *	  document with DOC_VERSIONS set, and the version page of flagged
 *	  documents is not empty.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "check/check.h"
#include "miscadmin.h"

/* A version page and the documents of its directory page. */
typedef struct VersionCheck
{
	Check *check;
	uint32 page;
	uint32 first; /* first document of the directory page */
	uint32 ndocs;
	uint32 versions[DOCS_PER_PAGE]; /* number of versions seen per document */
} VersionCheck;

static void
check_version(VersionCheck *state, const RowVersion *version)
{
	Check *check = state->check;
	uint32 doc = state->first + version->slot;

	if (version->slot >= state->ndocs || check->docs[doc].state != DOC_LIVE)
	{
		findings_add(check->findings, FINDING_ERROR, state->page,
					 "version belongs to slot %u, which holds no live document",
					 (unsigned) version->slot);
		return;
	}
	if (!(check->docs[doc].flags & DOC_VERSIONS))
		findings_add(check->findings, FINDING_ERROR, doc,
					 "document has versions, but is not flagged");
	if (!ItemPointerIsValid((ItemPointer) &version->tid))
		findings_add(check->findings, FINDING_ERROR, doc,
					 "version of the document has an invalid row TID");
	if (++state->versions[version->slot] == VERSIONS_MAX_ROWS)
		findings_add(check->findings, FINDING_ERROR, doc, "document has more than %d versions",
					 VERSIONS_MAX_ROWS);
}

static bool
is_flagged(const VersionCheck *state)
{
	for (uint32 i = 0; i < state->ndocs; i++)
		if (state->check->docs[state->first + i].state == DOC_LIVE &&
			(state->check->docs[state->first + i].flags & DOC_VERSIONS))
			return true;
	return false;
}

/* Check a version page. A page that does not exist has no versions. */
static void
check_page(VersionCheck *state)
{
	Check *check = state->check;
	uint32 count = state->page < check->nversion_pages ? check->versions[state->page].count : 0;

	if (count > VERSIONS_PER_PAGE)
	{
		findings_add(check->findings, FINDING_ERROR, state->page,
					 "version page has an invalid count of %u versions", count);
		return;
	}
	if (count == 0 && is_flagged(state))
		findings_add(check->findings, FINDING_ERROR, state->page,
					 "documents are flagged, but their version page is empty");
	if (count > 0)
		check_use(check, ARRAY_VERSIONS, state->page, 1);
	memset(state->versions, 0, sizeof(state->versions));
	for (uint32 i = 0; i < count; i++)
		check_version(state, &check->versions[state->page].versions[i]);
}

void
check_versions(Check *check)
{
	uint32        per_page = parray_per_page(check->view->index, ARRAY_DOCS);
	uint32        npages = (check->ndocs + per_page - 1) / per_page;
	VersionCheck *state = palloc0(sizeof(VersionCheck));

	state->check = check;
	if (check->nversion_pages > npages)
		findings_add(check->findings, FINDING_ERROR, NO_ITEM,
					 "there are %u version pages for %u pages of documents", check->nversion_pages,
					 npages);
	for (state->page = 0; state->page < npages; state->page++)
	{
		CHECK_FOR_INTERRUPTS();
		state->first = state->page * per_page;
		state->ndocs = Min(per_page, check->ndocs - state->first);
		check_page(state);
	}
	pfree(state);
}
