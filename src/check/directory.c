/*-------------------------------------------------------------------------
 *
 * directory.c
 *	  Check the documents: their entries, their places in the other arrays,
 *	  and the document counters of the meta page.
 *
 * Every sketch block, code row and pending row belongs to at most one slot.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "check/check.h"
#include "miscadmin.h"

typedef struct DirectoryCheck
{
	Check *check;
	uint8 *blocks; /* one bit per sketch block: some slot owns it */
	uint8 *rows;
	uint8 *pending_rows;
	uint64 documents[DOC_FREE + 1];
	uint64 live_tokens;
} DirectoryCheck;

/*
 * Return true if the place of a live document in an array has been written.
 * Code rows are written only once codebooks are trained.
 */
static bool
is_written(const IndexView *view, ArrayKind kind, const DocEntry *entry)
{
	if (kind != ARRAY_ROWS || coder_codebook_floats(&view->coder) == 0)
		return true;
	return view->codebooks != NULL && docstore_has_rows(view, entry);
}

/*
 * Mark n items as owned by a slot. Report items that the array does not have,
 * or that another slot owns.
 */
static void
claim(DirectoryCheck *directory, ArrayKind kind, uint8 *owned, uint32 doc, uint32 first, uint32 n)
{
	Check          *check = directory->check;
	const DocEntry *entry = &check->docs[doc];

	if (!check_in_array(check, kind, first, n))
	{
		findings_add(check->findings, FINDING_ERROR, doc,
					 "document has %u items from item %u of array %d, which has %u items", n, first,
					 (int) kind, parray_nitems(check->view->index, kind));
		return;
	}
	for (uint32 i = 0; i < n; i++)
	{
		if (bit_test(owned, (uint64) first + i))
		{
			findings_add(check->findings, FINDING_ERROR, doc,
						 "item %u of array %d belongs to two documents", first + i, (int) kind);
			return;
		}
		bit_set(owned, (uint64) first + i);
	}
	/*
	 * The end of a place may never have been written: the place was larger, and
	 * free since it was taken, because a build did not find its row again.
	 */
	if (entry->state == DOC_LIVE && is_written(check->view, kind, entry))
		check_use(check, kind, first,
				  kind == ARRAY_SKETCHES ? sketch_blocks_for(entry->ntokens) : entry->ntokens);
}

static void
check_places(DirectoryCheck *directory, uint32 doc, const DocEntry *entry)
{
	const IndexView *view = directory->check->view;

	claim(directory, ARRAY_SKETCHES, directory->blocks, doc, entry->first_block,
		  sketch_blocks_for(entry->capacity));
	if (view->row_size > 0)
		claim(directory, ARRAY_ROWS, directory->rows, doc, entry->first_row, entry->capacity);
	if (view->coder.codec->coarse && entry->state != DOC_FREE && (entry->flags & DOC_PENDING))
		claim(directory, ARRAY_PENDING_ROWS, directory->pending_rows, doc, entry->first_pending_row,
			  pending_rows_capacity(entry->ntokens));
}

static void
check_entry(DirectoryCheck *directory, uint32 doc, const DocEntry *entry)
{
	Check *check = directory->check;

	if (entry->state > DOC_FREE || (entry->flags & ~DOC_FLAGS) != 0)
	{
		findings_add(check->findings, FINDING_ERROR, doc,
					 "document has invalid state %d or flags %d", (int) entry->state,
					 (int) entry->flags);
		return;
	}
	directory->documents[entry->state]++;
	if (entry->state == DOC_NONE)
		return;
	if (entry->capacity == 0 ||
		(entry->state != DOC_FREE && (entry->ntokens == 0 || entry->ntokens > entry->capacity)))
	{
		findings_add(check->findings, FINDING_ERROR, doc, "document has %u tokens, but room for %u",
					 entry->ntokens, entry->capacity);
		return;
	}
	if (entry->state == DOC_LIVE)
	{
		directory->live_tokens += entry->ntokens;
		if (!ItemPointerIsValid(&entry->tid))
			findings_add(check->findings, FINDING_ERROR, doc, "document has an invalid row TID");
		if (entry->epoch > check->view->index->meta.nodes.epoch)
			findings_add(check->findings, FINDING_ERROR, doc,
						 "document has sketches of epoch %u, but the latest epoch is %u",
						 entry->epoch, check->view->index->meta.nodes.epoch);
	}
	check_places(directory, doc, entry);
}

/* Each document has a mean, at its own ordinal. */
static void
check_means(Check *check)
{
	uint32 nmeans = parray_nitems(check->view->index, ARRAY_MEANS);

	if (nmeans != check->ndocs)
		findings_add(check->findings, FINDING_ERROR, NO_ITEM,
					 "there are %u means of documents, but %u documents", nmeans, check->ndocs);
	else
		for (uint32 doc = 0; doc < check->ndocs; doc++)
			if (check->docs[doc].state == DOC_LIVE)
				check_use(check, ARRAY_MEANS, doc, 1);
}

/* Check that no slot owns a row of a free run of pending rows. */
static void
check_runs(DirectoryCheck *directory)
{
	const Check *check = directory->check;

	for (uint32 i = 0; i < check->nruns; i++)
	{
		const CheckRun *run = &check->runs[i];

		for (uint32 row = run->first; row - run->first < run->nrows; row++)
		{
			if (!check_in_array(check, ARRAY_PENDING_ROWS, row, 1) ||
				bit_test(directory->pending_rows, row))
			{
				findings_add(check->findings, FINDING_ERROR, row,
							 "free pending row does not exist or is in use");
				break;
			}
			bit_set(directory->pending_rows, row);
		}
	}
}

static void
check_counter(Check *check, const char *name, uint64 stored, uint64 counted)
{
	if (stored != counted)
		findings_add(check->findings, FINDING_ERROR, NO_ITEM,
					 "meta page counts " UINT64_FORMAT " %s, but there are " UINT64_FORMAT, stored,
					 name, counted);
}

void
check_directory(Check *check)
{
	const MetaPageData *meta = &check->view->index->meta;
	DirectoryCheck      directory = {check};

	directory.blocks = check_bits(meta_nitems(meta, ARRAY_SKETCHES));
	directory.rows = check_bits(meta_nitems(meta, ARRAY_ROWS));
	directory.pending_rows = check_bits(meta_nitems(meta, ARRAY_PENDING_ROWS));
	check_use(check, ARRAY_DOCS, 0, check->ndocs);
	for (uint32 doc = 0; doc < check->ndocs; doc++)
	{
		CHECK_FOR_INTERRUPTS();
		check_entry(&directory, doc, &check->docs[doc]);
	}
	check_runs(&directory);
	check_means(check);
	if (directory.documents[DOC_NONE] > 0)
		findings_add(check->findings, FINDING_ERROR, NO_ITEM,
					 UINT64_FORMAT " slots were allocated but never written",
					 directory.documents[DOC_NONE]);
	check_counter(check, "live documents", meta->documents.live_docs,
				  directory.documents[DOC_LIVE]);
	check_counter(check, "tokens of live documents", meta->documents.live_tokens,
				  directory.live_tokens);
	check_counter(check, "dead documents", meta->documents.dead_docs,
				  directory.documents[DOC_DEAD]);
	check_counter(check, "free slots", meta->documents.free_docs, directory.documents[DOC_FREE]);
}
