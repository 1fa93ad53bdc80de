/*-------------------------------------------------------------------------
 *
 * merge_batch.c
 *	  One batch of a merge: from pending documents to postings.
 *
 * Each token goes to the nearest node, of those that are added on the way too
 * (merge_grow.c).
 *
 * Before a batch writes postings, the meta page says how many documents at
 * the front of the queue may come to have some (queue_suspects). Only for
 * these does a merge look whether a long list names them already.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "index/merge_internal.h"
#include "index/postings.h"
#include "index/queue.h"
#include "utils/memutils.h"

/* A token's node, as one sortable number, and then the document. */
typedef uint64 Posting;

bool
merge_is_pending(IndexView *view, uint32 doc, DocEntry *entry)
{
	return docstore_entry(view, doc, entry) && entry->state == DOC_LIVE &&
		   (entry->flags & DOC_PENDING) && entry->ntokens > 0 && entry->ntokens <= entry->capacity;
}

/* ---- loading ---- */

static void
make_room(Merge *merge, uint32 capacity)
{
	size_t vector = merge->view->dim * sizeof(float);

	/* Parts of a document begin with a sketch block. */
	capacity -= capacity % SKETCH_BLOCK_TOKENS;
	merge->capacity = capacity;
	if (capacity <= merge->allocated)
		return;
	if (merge->allocated > 0)
	{
		pfree(merge->tokens);
		pfree(merge->owner);
		pfree(merge->nearest);
	}
	merge->tokens = palloc_extended(mul_size(capacity, vector), MCXT_ALLOC_HUGE);
	merge->owner = palloc_extended(mul_size(capacity, sizeof(uint32)), MCXT_ALLOC_HUGE);
	merge->nearest = palloc_extended(mul_size(capacity, sizeof(NodeHit)), MCXT_ALLOC_HUGE);
	merge->allocated = capacity;
}

/* Read tokens first .. first + n - 1 of a document back. */
static void
load_tokens(Merge *merge, uint32 doc, const DocEntry *entry, uint32 first, uint32 n)
{
	IndexView *view = merge->view;

	/* Its appender had begun before the mean was trained. */
	if (entry->epoch != view->meta.epoch)
		docstore_resketch(view, doc, entry, first, n);
	docstore_vectors(view, entry, first, n, merge->tokens + (size_t) merge->ntokens * view->dim);
	for (uint32 t = 0; t < n; t++)
		merge->owner[merge->ntokens++] = doc;
}

/*
 * Read the vectors of as many queued documents as fit, whole; of the first
 * one a part, if it does not fit.
 */
static void
load_batch(Merge *merge)
{
	merge->ndocs = 0;
	merge->ntokens = 0;
	merge->part = 0;
	while (merge->at + merge->ndocs < merge->nqueue && merge->ndocs < merge->capacity)
	{
		uint32   doc = merge->queue[merge->at + merge->ndocs];
		uint32   room = merge->capacity - merge->ntokens;
		uint32   first = merge->ndocs == 0 ? merge->posted : 0;
		DocEntry entry;

		pace_delay(&merge->view->index, &merge->pace);
		if (merge_is_pending(merge->view, doc, &entry) && first < entry.ntokens)
		{
			if (entry.ntokens - first > room && merge->ntokens > 0)
				break;
			if (entry.ntokens - first > room)
			{
				merge->part = first + room;
				load_tokens(merge, doc, &entry, first, room);
				break;
			}
			load_tokens(merge, doc, &entry, first, entry.ntokens - first);
		}
		merge->ndocs++;
	}
}

/* ---- assigning ---- */

/* How far the batch's tokens are from their nodes: those that these were trained on, and others. */
static void
count_assigned(Merge *merge)
{
	IndexView *view = merge->view;
	Assigned  *assigned = merge->trained ? &view->meta.trained : &view->meta.merged;

	for (uint32 i = 0; i < merge->ntokens; i++)
		assigned_add(assigned, merge->tokens + (size_t) i * view->dim, view->dim,
					 merge->nearest[i].key);
}

/* ---- posting ---- */

static int
compare_postings(const void *a, const void *b)
{
	Posting x = *(const Posting *) a;
	Posting y = *(const Posting *) b;

	return x < y ? -1 : x > y;
}

/* Documents of the batch that will have postings, whole or in part. */
static uint32
touched_docs(const Merge *merge)
{
	return merge->ndocs + (merge->part > 0);
}

/*
 * Take note on the meta page that the batch's documents are about to have
 * postings. Returns true if an interrupted merge may have written some.
 */
static bool
suspect_batch(Merge *merge)
{
	IndexView *view = merge->view;
	Buffer     buffer = meta_lock(&view->index, BUFFER_LOCK_EXCLUSIVE);
	uint32     suspects = meta_data(BufferGetPage(buffer))->queue_suspects;
	Change     change;

	if (suspects < touched_docs(merge))
	{
		change_begin(&change, &view->index);
		meta_data(change_page(&change, buffer, false))->queue_suspects = touched_docs(merge);
		change_commit(&change);
	}
	UnlockReleaseBuffer(buffer);
	return suspects > 0;
}

/*
 * Add the batch's documents to the lists of their tokens' nodes; returns the
 * entries added, and those that an interrupted merge wrote and did not count.
 */
static uint64
write_postings(Merge *merge)
{
	Posting *postings =
		palloc_extended(mul_size(Max(merge->ntokens, 1), sizeof(Posting)), MCXT_ALLOC_HUGE);
	uint32 *docs =
		palloc_extended(mul_size(Max(merge->ntokens, 1), sizeof(uint32)), MCXT_ALLOC_HUGE);
	bool   suspect = suspect_batch(merge);
	uint64 added = 0;

	for (uint32 i = 0; i < merge->ntokens; i++)
		postings[i] = (uint64) merge->nearest[i].node << 32 | merge->owner[i];
	qsort(postings, merge->ntokens, sizeof(Posting), compare_postings);
	for (uint32 i = 0; i < merge->ntokens;)
	{
		uint32 node = (uint32) (postings[i] >> 32);
		uint32 n = 0;
		uint32 fresh;

		pace_delay(&merge->view->index, &merge->pace);
		for (; i < merge->ntokens && postings[i] >> 32 == node; i++)
			if (n == 0 || docs[n - 1] != (uint32) postings[i])
				docs[n++] = (uint32) postings[i];
		fresh = postings_add(&merge->view->index, &merge->view->meta, node, docs, n,
							 suspect || merge->posted > 0);
		added += suspect ? n : fresh;
	}
	pfree(postings);
	pfree(docs);
	return added;
}

/* Tokens of the batch's whole documents, dead ones' too, as they were counted when they were queued. */
static uint64
queued_tokens(Merge *merge)
{
	uint64 tokens = 0;

	for (uint32 i = 0; i < merge->ndocs; i++)
	{
		DocEntry entry;

		if (docstore_entry(merge->view, merge->queue[merge->at + i], &entry) &&
			docstore_releases(&entry, false))
			tokens += entry.ntokens;
	}
	return tokens;
}

/* Remove the batch from the queue. */
static void
advance_queue(Merge *merge, uint64 added)
{
	IndexView    *view = merge->view;
	uint64        merged_tokens = queued_tokens(merge);
	uint32       *docs = merge->queue + merge->at;
	Buffer        buffer;
	Change        change;
	MetaPageData *meta;

	qsort(docs, merge->ndocs, sizeof(uint32), compare_ordinals);
	docstore_clear_pending(view, docs, merge->ndocs);

	buffer = meta_lock(&view->index, BUFFER_LOCK_EXCLUSIVE);
	change_begin(&change, &view->index);
	meta = meta_data(change_page(&change, buffer, false));
	meta->postings += added;
	view->meta.postings = meta->postings; /* the next batch's nodes write it back */
	meta->trained = view->meta.trained;
	meta->merged = view->meta.merged;
	queue_remove(meta, merge->ndocs);
	meta->queue_posted = merge->part;
	meta->queue_suspects -= Min(meta->queue_suspects, touched_docs(merge));
	meta->pending_tokens -= Min(meta->pending_tokens, merged_tokens);
	if (queue_count(meta) == 0)
		meta->pending_tokens = 0;
	change_commit(&change);
	UnlockReleaseBuffer(buffer);
	merge->at += merge->ndocs;
	merge->posted = merge->part;
}

/* ---- the batch ---- */

void
merge_begin(Merge *merge, IndexView *view, uint32 most_docs)
{
	merge->view = view;
	merge->nqueue = Min(queue_front(&view->meta), most_docs);
	merge->queue =
		palloc_extended(mul_size(Max(merge->nqueue, 1), sizeof(uint32)), MCXT_ALLOC_HUGE);
	merge->nqueue = queue_copy(&view->index, &view->meta, merge->nqueue, merge->queue);
	merge->at = 0;
	merge->posted = view->meta.queue_posted;
	merge->allocated = 0;
	merge->finder = view->finder->open(&view->index, &view->meta, &view->sketch);
}

void
merge_batch(Merge *merge, uint32 capacity)
{
	uint64 adopted;
	uint64 added;

	make_room(merge, capacity);
	load_batch(merge);
	if (merge->ntokens > 0)
		merge->view->finder->assign(merge->finder, merge->tokens, merge->ntokens, merge->nearest);
	adopted = merge_grow(merge);
	count_assigned(merge);
	added = adopted + write_postings(merge);
	COLBERT_PAUSE("merge-posted");
	pace_delay(&merge->view->index, &merge->pace);
	advance_queue(merge, added);
}

void
merge_end(Merge *merge)
{
	merge->view->finder->close(merge->finder);
}
