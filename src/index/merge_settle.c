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
 * The meta page therefore keeps the range of these documents' ordinals. When
 * no insert waits, they are merged again, with one new node per
 * tokens_per_node tokens. While documents come, a few are merged at a time; when
 * many of those are pending, the others stay unsettled until later. The old
 * postings remain: a superfluous posting costs a search one candidate. The range
 * covers every document between the
 * first and the last one, so it may include some that would not need this.
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

/* ---- noting ---- */

/* Extend the range of unsettled documents by one. */
static void
add_unsettled(MetaGrowth *growth, uint32 doc)
{
	if (growth->unsettled_end == 0)
		*growth = (MetaGrowth) {doc, doc + 1, growth->adopting};
	growth->unsettled_first = Min(growth->unsettled_first, doc);
	growth->unsettled_end = Max(growth->unsettled_end, doc + 1);
}

/* Return true if the index lacks more nodes than it may for the tokens merged so far. */
static bool
lacks_nodes(const MetaPageData *stored)
{
	const MetaDocuments *documents = &stored->documents;
	uint64 merged = documents->live_tokens - Min(documents->live_tokens, documents->pending_tokens);
	uint64 due = merged / stored->shape.tokens_per_node;

	return due > meta_nnodes(stored) + due / LACK_SHARE;
}

void
settle_later(Merge *merge, const MetaPageData *stored)
{
	MetaGrowth   *growth = &merge->view->index->meta.growth;
	const uint32 *docs = merge->queue + merge->at;

	if (!merge->stunted || merge->ntokens == 0 || !lacks_nodes(stored))
		return;
	for (uint32 i = 0; i < merge->ndocs + (merge->part > 0); i++)
		add_unsettled(growth, docs[i]);
}

/* ---- settling ---- */

bool
merge_is_settleable(IndexView *view, uint32 doc, DocEntry *entry)
{
	return docstore_entry(view, doc, entry) && entry->state == DOC_LIVE &&
		   !(entry->flags & DOC_PENDING) && entry->ntokens > 0 && entry->ntokens <= entry->capacity;
}

/*
 * List the first unsettled documents, of at least this many tokens together if
 * there are enough. Returns their number. *end is set to the end of the
 * ordinals that were looked at.
 */
static uint32
first_unsettled(IndexView *view, uint32 tokens, uint32 *docs, uint32 *end)
{
	const MetaGrowth *growth = &view->index->meta.growth;
	uint32            found = 0;
	uint32            doc = growth->unsettled_first;

	for (uint64 sum = 0; doc < growth->unsettled_end && sum < tokens; doc++)
	{
		DocEntry entry;

		CHECK_FOR_INTERRUPTS();
		if (!merge_is_settleable(view, doc, &entry))
			continue;
		docs[found++] = doc;
		sum += entry.ntokens;
	}
	*end = doc;
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
	uint32        ndocs = first_unsettled(view, tokens, docs, &end);
	bool          more;

	if (ndocs > 0)
	{
		merge_begin_again(&merge, view, docs, ndocs);
		while (merge.at < merge.nqueue)
			merge_batch(&merge, merge_capacity(view, tokens));
		merge_end(&merge);
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
