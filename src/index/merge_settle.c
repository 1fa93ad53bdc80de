/*-------------------------------------------------------------------------
 *
 * merge_settle.c
 *	  Merge documents again that were merged while the index lacked nodes.
 *
 * A merge that inserts wait for adds few nodes or none. The documents that it
 * posts are then listed at nodes far from their tokens, and nodes that later
 * batches add are made of other documents. A search begins at those nodes and
 * ranks the older documents too low. Measured on 1,500 MedQuAD passages
 * inserted after 500 others by one statement while the machine was busy: 5 to
 * 14 of the 2,000 were not found by their own tokens.
 *
 * Such a document therefore gets the flag DOC_UNSETTLED, in the change that
 * clears DOC_PENDING. The meta page keeps the range of the ordinals with the
 * flag. When no insert waits, these documents are merged again, with one new
 * node per tokens_per_node tokens. While documents come, a few are merged at a
 * time; when many of those are pending, the others stay unsettled until later.
 * The old postings remain: a superfluous posting costs a search one candidate.
 *
 * The tokens are read back from the code rows, because the pending rows are
 * free by then. An index without code rows (the quantizer bit) has no unsettled
 * documents.
 *
 * The range may be long and have few documents to merge again, because some
 * took free slots and others were appended. A slice passes over the others, by
 * page, and leaves the rest of a long range to the next slice.
 *
 * A document with the flag is in the queue or in the range. It enters the range
 * in the change that removes it from the queue. A crash in between leaves it in
 * the queue, and the next merge, which passes over it, extends the range. The
 * flag is cleared before the range shrinks. A crash in between leaves a range
 * without flags, which the next slice passes over.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "index/merge_internal.h"
#include "utils/memutils.h"

/*
 * An index may lack 1 / LACK_SHARE of its nodes before documents are merged
 * again; not measured.
 */
#define LACK_SHARE 8

/* Nodes added per tokens_per_node tokens that are merged again. */
#define SETTLING_GROWTH 1

/*
 * Maximum directory pages that a slice looks at for unsettled documents, while
 * other merges wait; not measured.
 */
#ifndef COLBERT_LOOK_PAGES
#define COLBERT_LOOK_PAGES 1024
#endif

/* ---- noting ---- */

void
settle_doc_later(IndexView *view, uint32 doc)
{
	MetaGrowth *growth = &view->index->meta.growth;

	if (growth->unsettled_end == 0)
		*growth = (MetaGrowth) {doc, doc + 1, growth->adopting};
	growth->unsettled_first = Min(growth->unsettled_first, doc);
	growth->unsettled_end = Max(growth->unsettled_end, doc + 1);
}

/*
 * Return true if the index lacks more nodes than it may for the tokens merged
 * so far, of which this many are still counted as pending.
 */
static bool
lacks_nodes(const IndexView *view, uint64 tokens)
{
	ColbertIndex now = {.rel = view->index->rel};
	uint64       live;
	uint64       pending;
	uint64       due;

	meta_read(&now);
	live = now.meta.documents.live_tokens;
	pending = now.meta.documents.pending_tokens;
	pending -= Min(pending, tokens);
	due = (live - Min(live, pending)) / now.meta.shape.tokens_per_node;
	return due > meta_nnodes(&now.meta) + due / LACK_SHARE;
}

bool
settle_batch_later(const Merge *merge, uint64 tokens)
{
	if (!merge->stunted || merge->ntokens == 0 || !coder_has_rows(&merge->view->coder) ||
		!lacks_nodes(merge->view, tokens))
		return false;
	for (uint32 i = 0; i < merge->ndocs; i++)
		settle_doc_later(merge->view, merge->queue[merge->at + i]);
	return true;
}

/* ---- settling ---- */

/* Return true if a document with this entry is unsettled and can be merged again. */
static bool
is_settleable(const IndexView *view, const DocEntry *entry)
{
	return entry->state == DOC_LIVE &&
		   (entry->flags & (DOC_PENDING | DOC_UNSETTLED)) == DOC_UNSETTLED && entry->ntokens > 0 &&
		   entry->ntokens <= entry->capacity && docstore_has_rows(view, entry);
}

bool
merge_is_settleable(IndexView *view, uint32 doc, DocEntry *entry)
{
	return docstore_entry(view, doc, entry) && is_settleable(view, entry);
}

/*
 * List the first unsettled documents, of at least this many tokens together if
 * COLBERT_LOOK_PAGES pages have enough. Returns their number. *end is set to
 * the end of the ordinals that were looked at.
 */
static uint32
first_unsettled(IndexView *view, Pace *pace, uint32 tokens, uint32 *docs, uint32 *end)
{
	const MetaGrowth *growth = &view->index->meta.growth;
	DocEntry         *entries = palloc(PAGE_PAYLOAD);
	uint32            found = 0;
	uint32            doc = growth->unsettled_first;
	uint64            sum = 0;

	for (int pages = 0; pages < COLBERT_LOOK_PAGES && doc < growth->unsettled_end && sum < tokens;
		 pages++)
	{
		uint32 run = Min(parray_run(view->index, ARRAY_DOCS, doc), growth->unsettled_end - doc);

		pace_delay(view->index, pace);
		parray_copy_out(view->index, ARRAY_DOCS, doc, run, entries);
		for (uint32 i = 0; i < run && sum < tokens; i++, doc++)
		{
			if (!is_settleable(view, &entries[i]))
				continue;
			docs[found++] = doc;
			sum += entries[i].ntokens;
		}
	}
	*end = doc;
	pfree(entries);
	return found;
}

/* Remove the ordinals below end from the range. */
static void
mark_settled(IndexView *view, uint32 end)
{
	MetaGrowth *growth = &view->index->meta.growth;

	growth->unsettled_first = end;
	if (end >= growth->unsettled_end)
		growth->unsettled_first = growth->unsettled_end = 0;
	meta_write_nodes(view->index);
}

bool
merge_settle(Relation rel, uint32 tokens, uint64 pending_limit)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg merge", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	IndexView    *view = view_open(rel, false, VIEW_WITHOUT_PENDING);
	Merge         merge = {.pace = pace_for(pending_limit), .growth = SETTLING_GROWTH};
	uint32       *docs = palloc_extended(mul_size(tokens, sizeof(uint32)), MCXT_ALLOC_HUGE);
	uint32        end;
	uint32        ndocs = first_unsettled(view, &merge.pace, tokens, docs, &end);
	bool          more;

	if (ndocs > 0)
	{
		merge_begin_again(&merge, view, docs, ndocs);
		while (merge.at < merge.nqueue)
			merge_batch(&merge, merge_capacity(view, tokens));
		merge_end(&merge);
		ereport(DEBUG1, (errmsg_internal("index \"%s\": merged %u documents again",
										 RelationGetRelationName(rel), ndocs)));
	}
	if (view->index->meta.growth.unsettled_end > 0)
		mark_settled(view, end);
	more = view->index->meta.growth.unsettled_end > 0;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return more;
}

void
merge_settle_all(Relation rel, uint64 pending_limit, MergeWait wait)
{
	ColbertIndex index = {.rel = rel};
	uint64       urgent_above = pace_for(pending_limit).urgent_above;
	uint32       small = merge_haste(pending_limit).batch_tokens;
	uint32       slice = small;
	uint64       before;
	uint32       end;
	bool         more;

	COLBERT_PAUSE("merge-settles");
	meta_read(&index);
	before = merge_documents(&index.meta);
	end = index.meta.growth.unsettled_end;
	more = end > 0;
	while (more && index.meta.documents.pending_tokens <= urgent_above)
	{
		merge_lock(rel, wait);
		more = merge_settle(rel, slice, pending_limit);
		merge_unlock(rel);
		meta_read(&index);
		slice = merge_documents(&index.meta) > before ? small : MERGE_TOKENS;
		more &= index.meta.growth.unsettled_first < end;
	}
}
