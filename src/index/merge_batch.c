/*-------------------------------------------------------------------------
 *
 * merge_batch.c
 *	  Merge one batch of pending documents into the posting lists.
 *
 * Each token goes to its nearest node, including the nodes that the batch adds
 * itself (merge_grow.c). While a generation of lists is being filled
 * (relist.c), each token also goes to its nearest node of that generation.
 *
 * Before a batch writes postings, it records on the meta page how many
 * documents at the front of the queue may get some (queue_suspects). After an
 * interrupted merge only these documents may already be listed, so only for
 * them does the next merge search long lists for duplicates.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "index/merge_internal.h"
#include "index/postings.h"
#include "index/queue.h"
#include "utils/memutils.h"

bool
merge_is_pending(IndexView *view, uint32 doc, DocEntry *entry)
{
	return docstore_entry(view, doc, entry) && entry->state == DOC_LIVE &&
		   (entry->flags & DOC_PENDING) && entry->ntokens > 0 && entry->ntokens <= entry->capacity;
}

/* ---- loading ---- */

/* Return true if the merge takes this document. */
static bool
is_due(const Merge *merge, uint32 doc, DocEntry *entry)
{
	return merge->again ? merge_is_settleable(merge->view, doc, entry)
						: merge_is_pending(merge->view, doc, entry);
}

static void
make_room(Merge *merge, uint32 capacity)
{
	size_t vector = merge->view->dim * sizeof(float);

	/* A part of a document ends at a sketch block boundary. */
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

/* Append tokens [first, first + n) of a document to the batch, decoded from its rows. */
static void
load_tokens(Merge *merge, uint32 doc, const DocEntry *entry, uint32 first, uint32 n)
{
	IndexView *view = merge->view;
	float     *tokens = merge->tokens + (size_t) merge->ntokens * view->dim;

	/* The document was appended under an older epoch, before the mean was trained. */
	if (entry->epoch != view->index->meta.nodes.epoch)
		docstore_resketch(view, doc, entry, first, n);
	/* The pending rows of a document that is merged again are free, or another document's. */
	if (merge->again)
		docstore_coded_vectors(view, entry, first, n, tokens);
	else
		docstore_vectors(view, entry, first, n, tokens);
	for (uint32 t = 0; t < n; t++)
		merge->owner[merge->ntokens++] = doc;
}

/*
 * Load the vectors of the next queued documents that fit into the batch.
 * Documents are loaded whole, except that a first document that does not fit
 * is loaded in part.
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

		pace_delay(merge->view->index, &merge->pace);
		if (is_due(merge, doc, &entry) && first < entry.ntokens)
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

/*
 * Add the batch's squared distances to their nodes to the statistics on the
 * meta page: to those of the training if this merge trained the nodes, to
 * those of later tokens otherwise. Tokens that are merged again are in the
 * latter already. They replace tokens at the mean distance.
 */
static void
count_assigned(Merge *merge)
{
	IndexView *view = merge->view;
	Assigned  *assigned =
        merge->trained ? &view->index->meta.nodes.trained : &view->index->meta.nodes.merged;
	Assigned batch = {0};

	for (uint32 i = 0; i < merge->ntokens; i++)
		assigned_add(&batch, merge->tokens + (size_t) i * view->dim, view->dim,
					 merge->nearest[i].key);
	if (merge->again && assigned->tokens > 0)
	{
		double replaced = (double) Min(batch.tokens, assigned->tokens);

		assigned->squares -= assigned->squares / (double) assigned->tokens * replaced;
		assigned->tokens -= (uint64) replaced;
	}
	assigned->tokens += batch.tokens;
	assigned->squares += batch.squares;
}

/* ---- posting ---- */

/* Return the number of queued documents that the batch posts, in whole or in part. */
static uint32
touched_docs(const Merge *merge)
{
	return merge->again ? 0 : merge->ndocs + (merge->part > 0);
}

/*
 * Record on the meta page that the batch's documents are about to be posted
 * and that the count of postings is inexact until then. Returns true if some
 * of them may have been posted already, by an interrupted merge or before they
 * are merged again.
 */
static bool
suspect_batch(Merge *merge)
{
	IndexView    *view = merge->view;
	Buffer        buffer = meta_lock(view->index, BUFFER_LOCK_EXCLUSIVE);
	MetaNodes    *nodes = &view->index->meta.nodes;
	MetaPageData *stored;
	uint32        suspects = meta_data(BufferGetPage(buffer))->documents.queue_suspects;
	Change        change;

	change_begin(&change, view->index);
	stored = meta_data(change_page(&change, buffer, false));
	stored->documents.queue_suspects = Max(suspects, touched_docs(merge));
	merge->inexact = nodes->postings_inexact;
	nodes->postings_inexact = true;
	stored->nodes = *nodes;
	stored->growth = view->index->meta.growth;
	change_commit(&change);
	UnlockReleaseBuffer(buffer);
	return suspects > 0 || merge->again;
}

/*
 * Add the batch's documents to the lists of their tokens' nodes. Returns the
 * number of postings added, without those that an interrupted merge had
 * already written. suspect: such postings may exist.
 */
static uint64
write_postings(Merge *merge, bool suspect)
{
	Posting *postings =
		palloc_extended(mul_size(Max(merge->ntokens, 1), sizeof(Posting)), MCXT_ALLOC_HUGE);
	uint64 added;

	for (uint32 i = 0; i < merge->ntokens; i++)
		postings[i] = posting_make(merge->nearest[i].node, merge->owner[i]);
	added = postings_add_all(merge->view->index, postings, postings_sort(postings, merge->ntokens),
							 suspect || merge->posted > 0, &merge->pace);
	pfree(postings);
	return added;
}

/*
 * Return the tokens of the batch's whole documents, dead ones included, as
 * counted when the documents were queued. Documents that are flagged as
 * unsettled already, because a batch had a part of them or was interrupted,
 * come into the range.
 */
static uint64
leaving_tokens(Merge *merge)
{
	uint64 tokens = 0;

	for (uint32 i = 0; i < merge->ndocs; i++)
	{
		uint32   doc = merge->queue[merge->at + i];
		DocEntry entry;

		if (!docstore_entry(merge->view, doc, &entry) || !docstore_releases(&entry, false))
			continue;
		tokens += entry.ntokens;
		if (entry.flags & DOC_UNSETTLED)
			settle_doc_later(merge->view, doc);
	}
	return tokens;
}

/*
 * Clear the pending flags of the batch's whole documents. unsettled: flag them
 * as such, and the document that the batch has a part of.
 */
static void
clear_flags(Merge *merge, bool unsettled)
{
	uint32 *docs = merge->queue + merge->at;

	qsort(docs, merge->ndocs, sizeof(uint32), compare_ordinals);
	docstore_clear_pending(merge->view, docs, merge->ndocs, unsettled ? DOC_UNSETTLED : 0);
	if (unsettled && merge->part > 0)
		docstore_change_flags(merge->view, docs + merge->ndocs, 1, 0, DOC_UNSETTLED);
	COLBERT_PAUSE("merge-flagged");
}

/*
 * Remove the batch from the queue and add its postings to the count. The count
 * stays inexact if it was inexact before the batch: an interrupted merge did
 * not count its postings.
 */
static void
advance_queue(Merge *merge, uint64 added)
{
	IndexView     *view = merge->view;
	uint64         merged_tokens = leaving_tokens(merge);
	MetaNodes     *nodes = &view->index->meta.nodes;
	Buffer         buffer;
	Change         change;
	MetaPageData  *stored;
	MetaDocuments *documents;

	clear_flags(merge, settle_batch_later(merge, merged_tokens));
	nodes->postings += added;
	nodes->postings_inexact = merge->inexact;
	buffer = meta_lock(view->index, BUFFER_LOCK_EXCLUSIVE);
	change_begin(&change, view->index);
	stored = meta_data(change_page(&change, buffer, false));
	stored->nodes = *nodes;
	stored->lists = view->index->meta.lists;
	documents = &stored->documents;
	queue_remove(stored, merge->ndocs);
	documents->queue_posted = merge->part;
	documents->queue_suspects -= Min(documents->queue_suspects, touched_docs(merge));
	documents->pending_tokens -= Min(documents->pending_tokens, merged_tokens);
	if (queue_count(stored) == 0)
		documents->pending_tokens = 0;
	stored->growth = view->index->meta.growth;
	change_commit(&change);
	UnlockReleaseBuffer(buffer);
	merge->queued_tokens -= Min(merge->queued_tokens, merged_tokens);
}

/* Count the postings of documents that are merged again, and note that these are settled. */
static void
count_again(Merge *merge, uint64 added)
{
	MetaPageData *meta = &merge->view->index->meta;
	uint32       *docs = merge->queue + merge->at;

	meta->nodes.postings += added;
	meta->nodes.postings_inexact = merge->inexact;
	if (merge->ndocs > 0)
	{
		docstore_change_flags(merge->view, docs, merge->ndocs, DOC_UNSETTLED, 0);
		meta->growth.unsettled_first = docs[merge->ndocs - 1] + 1;
	}
	meta_write_nodes(merge->view->index);
}

/* ---- the batch ---- */

/* Begin a merge of the documents in merge->queue. */
static void
begin(Merge *merge, IndexView *view)
{
	merge->view = view;
	merge->at = 0;
	merge->allocated = 0;
	merge->queued_tokens = view->index->meta.documents.pending_tokens;
	merge->finder = finder_open(view->index, &view->sketch);
	merge->next_finder = finder_open_next(view->index, &view->sketch);
}

void
merge_begin(Merge *merge, IndexView *view, uint32 most_docs)
{
	merge->nqueue = Min(queue_front(&view->index->meta), most_docs);
	merge->queue =
		palloc_extended(mul_size(Max(merge->nqueue, 1), sizeof(uint32)), MCXT_ALLOC_HUGE);
	merge->nqueue = queue_copy(view->index, merge->nqueue, merge->queue);
	merge->posted = view->index->meta.documents.queue_posted;
	begin(merge, view);
}

void
merge_begin_again(Merge *merge, IndexView *view, uint32 *docs, uint32 n)
{
	merge->again = true;
	merge->queue = docs;
	merge->nqueue = n;
	merge->posted = 0;
	begin(merge, view);
}

/* Add the batch to the lists that are being filled. */
static void
post_to_next(Merge *merge, bool suspect)
{
	finder_assign(merge->next_finder, merge->tokens, merge->ntokens, merge->nearest);
	merge->view->index->meta.lists.next_postings += write_postings(merge, suspect);
}

void
merge_batch(Merge *merge, uint32 capacity)
{
	bool   suspect;
	uint64 added;

	make_room(merge, capacity);
	load_batch(merge);
	if (merge->ntokens > 0)
		finder_assign(merge->finder, merge->tokens, merge->ntokens, merge->nearest);
	suspect = suspect_batch(merge);
	adopt_again(merge);
	added = merge_grow(merge);
	count_assigned(merge);
	added += write_postings(merge, suspect);
	if (merge->next_finder != NULL && merge->ntokens > 0)
		post_to_next(merge, suspect);
	COLBERT_PAUSE("merge-posted");
	pace_delay(merge->view->index, &merge->pace);
	if (merge->again)
		count_again(merge, added);
	else
		advance_queue(merge, added);
	merge->at += merge->ndocs;
	merge->posted = merge->part;
}

void
merge_end(Merge *merge)
{
	finder_close(merge->finder);
	if (merge->next_finder != NULL)
		finder_close(merge->next_finder);
}
