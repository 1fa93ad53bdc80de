/*-------------------------------------------------------------------------
 *
 * postings.c
 *	  Check the posting lists: each is a chain of its node's segments and
 *	  names a document once, and every document that is not pending is in some
 *	  list of the nodes that searches use.
 *
 * pages.c has already checked the contents of each segment; this file follows
 * the chains. The merge lock is held, so they do not change.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "base/array.h"
#include "check/check.h"
#include "index/postings_internal.h"
#include "miscadmin.h"

typedef struct PostingsCheck
{
	Check  *check;
	uint8  *posted; /* one bit per document: it is in some list that searches use */
	uint64  postings;
	uint64  segments;
	uint32  node; /* node whose list is being followed */
	uint32 *docs; /* documents of that list */
	uint32  ndocs;
	uint32  capacity;
} PostingsCheck;

/* Append a segment's documents to docs. */
static void
gather(PostingsCheck *postings, const PostingSegment *segment)
{
	Size needed = (Size) postings->ndocs + segment->count;

	postings->docs = array_reserve(postings->docs, &postings->capacity, needed, sizeof(uint32),
								   CurrentMemoryContext);
	memcpy(postings->docs + postings->ndocs, segment->docs, segment->count * sizeof(uint32));
	postings->ndocs = (uint32) needed;
}

/*
 * Copy the segment at ref if it belongs to the node. Return false if ref does
 * not lead to such a segment.
 */
static bool
copy_segment(Check *check, uint32 node, PostingRef ref, SegmentBuffer *copy)
{
	Buffer buffer;
	Page   page;
	bool   found = false;

	if (ref.block == META_BLOCK || ref.block >= check->nblocks)
		return false;
	buffer = ReadBuffer(check->index, ref.block);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	if (!PageIsNew(page) && PageGetSpecialSize(page) == MAXALIGN(sizeof(PageTrailer)) &&
		page_trailer(page)->kind == PAGE_POSTINGS)
	{
		const PostingSegment *segment = postings_segment_at(check->view->index, page, ref.offset);

		found = segment != NULL && segment->node == node;
		if (found)
			memcpy(copy, segment, segment_size(segment->count));
	}
	UnlockReleaseBuffer(buffer);
	return found;
}

/* Follow one list to its end and collect its documents. */
static void
follow(PostingsCheck *postings, uint32 node, PostingRef ref)
{
	Check        *check = postings->check;
	uint64        steps = 0;
	SegmentBuffer segment;

	for (; is_segment(ref); ref = segment.segment.next)
	{
		CHECK_FOR_INTERRUPTS();
		if (!copy_segment(check, node, ref, &segment))
		{
			findings_add(check->findings, FINDING_ERROR, node,
						 "list refers to item %u of block %u, which is not one of its segments",
						 ref.offset, ref.block);
			return;
		}
		if (check->pages_walked && steps++ > check->segments)
		{
			findings_add(check->findings, FINDING_ERROR, node, "list contains a cycle");
			return;
		}
		gather(postings, &segment.segment);
		postings->segments++;
	}
}

/* Return true if searches use a node. */
static bool
is_current(const Check *check, uint32 node)
{
	const MetaPageData *meta = &check->view->index->meta;

	return node >= meta_first_node(meta) && node < meta_end_node(meta);
}

/* Check the documents of one list. */
static void
check_list(PostingsCheck *postings, uint32 node)
{
	Check *check = postings->check;
	bool   current = is_current(check, node);

	qsort(postings->docs, postings->ndocs, sizeof(uint32), compare_ordinals);
	for (uint32 i = 0; i < postings->ndocs; i++)
	{
		uint32 doc = postings->docs[i];

		if (i > 0 && postings->docs[i - 1] == doc)
			findings_add(check->findings, FINDING_ERROR, node, "list contains document %u twice",
						 doc);
		if (doc >= check->ndocs)
			continue; /* reported by pages.c */
		if (current)
			bit_set(postings->posted, doc);
		if (check->docs[doc].state != DOC_LIVE && check->docs[doc].state != DOC_DEAD)
			findings_add(check->findings, FINDING_ERROR, node,
						 "list contains document %u, whose state is %d", doc,
						 (int) check->docs[doc].state);
	}
	if (current)
		postings->postings += postings->ndocs;
	if (postings->ndocs > 0 && node < check->view->index->meta.lists.cleared_nodes)
		findings_add(check->findings, FINDING_ERROR, node,
					 "list of a former generation is not empty");
}

static void
follow_node(Check *check, void *arg)
{
	PostingsCheck *postings = arg;
	uint32         node = postings->node;

	postings->ndocs = 0;
	follow(postings, node, postings_head(check->view->index, node));
	check_list(postings, node);
}

void
check_postings(Check *check)
{
	const MetaPageData *meta = &check->view->index->meta;
	PostingsCheck       postings = {check};

	postings.capacity = SEGMENT_MAX_DOCS;
	postings.docs = palloc(postings.capacity * sizeof(uint32));
	postings.posted = check_bits(check->ndocs);
	for (postings.node = 0; postings.node < meta_nitems(meta, ARRAY_NODES); postings.node++)
		check_try(check, follow_node, &postings, postings.node);

	for (uint32 doc = 0; doc < check->ndocs; doc++)
		if (check->docs[doc].state == DOC_LIVE && !(check->docs[doc].flags & DOC_PENDING) &&
			!bit_test(postings.posted, doc) && !bit_test(check->queued, doc))
			findings_add(check->findings, FINDING_ERROR, doc,
						 "document is neither queued nor in a posting list");
	if (check->pages_walked && check->segments > postings.segments)
		findings_add(check->findings, FINDING_WARNING, NO_ITEM,
					 UINT64_FORMAT " segments belong to no list",
					 check->segments - postings.segments);
	if (postings.postings != meta->nodes.postings && !meta->nodes.postings_inexact)
		findings_add(check->findings, FINDING_WARNING, NO_ITEM,
					 "meta page counts " UINT64_FORMAT " postings, but there are " UINT64_FORMAT,
					 meta->nodes.postings, postings.postings);
}
