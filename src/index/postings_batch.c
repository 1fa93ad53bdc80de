/*-------------------------------------------------------------------------
 *
 * postings_batch.c
 *	  Add postings of many nodes to their lists.
 *
 * The first segments of the lists are read page by page, and each posting page
 * changes once for all lists that begin on it and fit there. A page holds some
 * 35 lists of 50 documents. Lists that must move, or take a new segment, are
 * added to one by one afterwards.
 *
 * There is one writer, so no list changes between the two. Lock order: at most
 * one page is locked at a time, for the merging of the documents that it gets.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "index/postings_internal.h"
#include "miscadmin.h"

#define ST_SORT          sort_postings
#define ST_ELEMENT_TYPE  Posting
#define ST_COMPARE(a, b) (*(a) < *(b) ? -1 : *(a) > *(b))
#define ST_SCOPE         static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

/* Documents to be added to the list of a node. */
typedef struct Addition
{
	PostingRef head;
	uint32     node;
	uint32     count;
	Size       first; /* in Batch.docs */
} Addition;

#define ST_SORT         sort_additions
#define ST_ELEMENT_TYPE Addition
#define ST_COMPARE(a, b)                                                               \
	((a)->head.block != (b)->head.block ? ((a)->head.block < (b)->head.block ? -1 : 1) \
										: (a)->node<(b)->node ? -1 : (a)->node>(b)->node)
#define ST_SCOPE static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

typedef struct Batch
{
	ColbertIndex *index;
	bool          suspect;
	uint32       *docs;      /* of all postings */
	Addition     *additions; /* one per node; those that are done have no documents left */
	Size          nadditions;
	uint64        added;
} Batch;

Size
postings_sort(Posting *postings, Size n)
{
	Size distinct = 0;

	sort_postings(postings, n);
	for (Size i = 0; i < n; i++)
		if (distinct == 0 || postings[distinct - 1] != postings[i])
			postings[distinct++] = postings[i];
	return distinct;
}

/* ---- the lists of a batch ---- */

/* Group the postings by node. */
static void
group_by_node(Batch *batch, const Posting *postings, Size n)
{
	batch->docs = palloc_extended(mul_size(n, sizeof(uint32)), MCXT_ALLOC_HUGE);
	batch->additions = palloc_extended(mul_size(n, sizeof(Addition)), MCXT_ALLOC_HUGE);
	for (Size i = 0; i < n; i++)
	{
		uint32 node = (uint32) (postings[i] >> 32);

		batch->docs[i] = (uint32) postings[i];
		if (i == 0 || node != (uint32) (postings[i - 1] >> 32))
			batch->additions[batch->nadditions++] = (Addition) {no_segment(), node, 0, i};
		batch->additions[batch->nadditions - 1].count++;
	}
}

/* Read where the lists begin; a page of nodes at a time. */
static void
read_heads(Batch *batch)
{
	ColbertIndex *index = batch->index;
	size_t        item_size = parray_item_size(index, ARRAY_NODES);

	for (Size i = 0; i < batch->nadditions;)
	{
		uint32 node = batch->additions[i].node;
		char  *data;
		Buffer buffer;
		uint32 run;

		CHECK_FOR_INTERRUPTS();
		if (node >= parray_nitems(index, ARRAY_NODES))
			postings_corrupted(index, node);
		run = parray_run(index, ARRAY_NODES, node);
		buffer = parray_read(index, ARRAY_NODES, node, &data);
		for (; i < batch->nadditions && batch->additions[i].node - node < run; i++)
			if (data != NULL)
				batch->additions[i].head =
					((NodeEntry *) (data + (batch->additions[i].node - node) * item_size))
						->postings;
		UnlockReleaseBuffer(buffer);
	}
}

/* ---- pages ---- */

/*
 * Add documents to a segment of a page that is registered with a change. Returns
 * false, with the page as it was, if the segment or the page has no room, or if
 * the rest of the list may contain some of the documents.
 */
static bool
add_in_place(Batch *batch, Page page, const Addition *addition)
{
	SegmentBuffer   merged;
	PostingSegment *segment =
		postings_own_segment(batch->index, page, addition->head.offset, addition->node);
	uint32 more;

	if (addition->count > SEGMENT_MAX_DOCS - segment->count ||
		(batch->suspect && is_segment(segment->next)))
		return false;
	merged.segment = *segment;
	merged.segment.count = run_merge(segment->docs, segment->count, batch->docs + addition->first,
									 addition->count, merged.segment.docs);
	more = merged.segment.count - segment->count;
	if (more == 0)
		return true;
	if (!postings_overwrite(page, addition->head.offset, &merged.segment))
		return false;
	postings_changed(batch->index, addition->head.block, addition->node, more);
	batch->added += more;
	return true;
}

/* Add to the n lists that begin on one page, as far as they fit there. */
static void
add_on_page(Batch *batch, Addition *additions, Size n)
{
	Buffer buffer = postings_lock(batch->index, additions[0].head.block, BUFFER_LOCK_EXCLUSIVE);
	uint64 before = batch->added;
	Change change;
	Page   page;

	change_begin(&change, batch->index);
	page = change_page(&change, buffer, false);
	for (Size i = 0; i < n; i++)
		if (add_in_place(batch, page, &additions[i]))
			additions[i].count = 0;
	if (batch->added > before)
		change_commit(&change);
	else
		change_cancel(&change);
	UnlockReleaseBuffer(buffer);
}

uint64
postings_add_all(ColbertIndex *index, const Posting *postings, Size n, bool suspect, Pace *pace)
{
	Batch batch = {.index = index, .suspect = suspect};

	if (n == 0)
		return 0;
	group_by_node(&batch, postings, n);
	read_heads(&batch);
	sort_additions(batch.additions, batch.nadditions);
	for (Size i = 0, end; i < batch.nadditions && is_segment(batch.additions[i].head); i = end)
	{
		for (end = i + 1; end < batch.nadditions &&
						  batch.additions[end].head.block == batch.additions[i].head.block;)
			end++;
		pace_delay(index, pace);
		add_on_page(&batch, batch.additions + i, end - i);
	}
	for (Size i = 0; i < batch.nadditions; i++)
	{
		const Addition *left = &batch.additions[i];

		if (left->count == 0)
			continue;
		pace_delay(index, pace);
		batch.added +=
			postings_add(index, left->node, batch.docs + left->first, left->count, suspect);
	}
	pfree(batch.docs);
	pfree(batch.additions);
	return batch.added;
}
