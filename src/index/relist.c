/*-------------------------------------------------------------------------
 *
 * relist.c
 *	  Train new lists for a colbert_ivf index that has outgrown its lists.
 *
 * Lists are trained together, on the tokens present at that time. An index that
 * began small has few of them, and they grow long: searches read more postings
 * and find less. When an index has doubled, VACUUM replaces its lists by a new
 * generation, which is as good as that of a REINDEX:
 *
 *	1. train	k-means on a sample of all documents, from their code rows
 *	2. store	the nodes of the next generation, behind the others
 *	3. fill		the next generation's lists with all merged documents
 *	4. swap		one change of the meta page: searches use the next generation
 *	5. clear	the lists of the former generation
 *
 * Searches use the former generation until the swap. A merge posts to both
 * generations from step 2 on, so step 3 passes over documents that are pending
 * when it looks at them. Steps 2, 3 and 5 leave intact lists after each change;
 * if they are interrupted, the next VACUUM runs step 3 or 5 again. A search
 * that finds that the swap has come while it read lists, which may thus have
 * been cleared, reads those of the new generation (finder_replaced).
 *
 * Step 1 and the search for the nearest nodes in step 3 take most of the time
 * and hold no lock. Postings are written, and lists cleared, under the merge
 * lock, SLICE_LISTS lists at a time. Between two slices, pending documents are
 * merged if there are many, because nobody else may get the lock in time.
 *
 * Lock order: merge lock, then page locks in the usual order.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "commands/vacuum.h"
#include "index/docstore.h"
#include "index/merge.h"
#include "index/postings.h"
#include "index/relist.h"
#include "index/train.h"
#include "miscadmin.h"
#include "storage/pace.h"
#include "utils/memutils.h"

/*
 * New lists are due if the index has GROWN_TIMES the tokens that its lists were
 * trained on, and would get at least MORE_LISTS times the lists: fewer if
 * maintenance_work_mem limits them.
 */
#define GROWN_TIMES 2
#define MORE_LISTS  1.25

/* Lists written or cleared while the merge lock is held. */
#define SLICE_LISTS 512

/* Tokens whose nearest nodes are looked for together. */
#define CHUNK_TOKENS 16384

/* State of filling the next generation. */
typedef struct Relist
{
	IndexView    *view;
	uint64        pending_limit;
	Pace          pace;
	MemoryContext context; /* reset after each slice */
	Finder       *finder;  /* of the next generation */

	/* Tokens that have no node yet. */
	float   *tokens;
	uint32  *owner;
	NodeHit *nearest;
	uint32   ntokens;
	uint32   capacity;

	/* Postings that are not written yet. */
	Posting *postings;
	Size     npostings;
	Size     room;

	Assigned assigned;
} Relist;

bool
relist_is_due(const IndexView *view)
{
	const MetaPageData *meta = &view->index->meta;
	uint64              ntokens = meta->documents.live_tokens;

	return meta->shape.finder == FINDER_IVF && !meta_lists_are_fixed(meta) && has_nodes(meta) &&
		   coder_has_rows(&view->coder) && ntokens >= GROWN_TIMES * meta->nodes.trained.tokens &&
		   train_good_nodes(view, ntokens) >= MORE_LISTS * meta_nnodes(meta);
}

/* Return true if the rows of a document say which tokens it has. */
static bool
is_readable(const DocEntry *entry)
{
	return entry->state == DOC_LIVE && entry->ntokens > 0 && entry->ntokens <= entry->capacity;
}

/* ---- training ---- */

static void
sample_document(IndexView *view, uint32 doc, const DocEntry *entry, void *arg)
{
	compat_vacuum_delay_point();
	if (is_readable(entry) && docstore_has_rows(view, entry))
		train_sample_document(view, arg, entry, docstore_coded_vectors);
}

/*
 * Let the next merge post the first document of the queue from its first token
 * on. The part of it that an earlier merge has posted is not in the lists that
 * are about to be filled.
 */
static void
forget_part(ColbertIndex *index)
{
	Buffer         buffer = meta_lock(index, BUFFER_LOCK_EXCLUSIVE);
	Change         change;
	MetaDocuments *documents;

	change_begin(&change, index);
	documents = &meta_data(change_page(&change, buffer, false))->documents;
	if (documents->queue_posted > 0)
		documents->queue_suspects = Max(documents->queue_suspects, 1);
	documents->queue_posted = 0;
	change_commit(&change);
	UnlockReleaseBuffer(buffer);
}

/* Steps 1 and 2. */
static void
train_next(IndexView *view)
{
	SampleShared *shared = palloc(sizeof(SampleShared));
	TokenSample  *sample;
	KmeansResult  result;

	train_sample_init(shared, &view->index->meta, SAMPLE_FOR_NODES);
	sample = sample_open(shared, NULL, NULL);
	docstore_walk(view, sample_document, sample);
	sample_gather(sample);
	if (sample->count == 0)
		return;
	train_centroids(view, sample, view->index->meta.documents.live_tokens, &result);
	sample_free(sample);
	COLBERT_PAUSE("relist-trained");

	merge_lock(view->index->rel, MERGE_WAIT);
	view_refresh(view);
	forget_part(view->index);
	train_store_nodes(
		view, &result,
		palloc_extended(mul_size(result.ncentroids, sizeof(uint32)), MCXT_ALLOC_HUGE));
	merge_unlock(view->index->rel);
}

/* ---- slices ---- */

/* Take the merge lock. If many documents are pending, merge some of them. */
static void
begin_slice(Relist *relist)
{
	ColbertIndex *index = relist->view->index;

	CHECK_FOR_INTERRUPTS();
	merge_lock(index->rel, MERGE_WAIT);
	view_refresh(relist->view);
	if (index->meta.documents.pending_tokens > relist->pace.urgent_above)
	{
		merge_locked(index->rel, relist->pending_limit, NULL);
		view_refresh(relist->view);
	}
}

static void
end_slice(Relist *relist)
{
	merge_unlock(relist->view->index->rel);
	MemoryContextReset(relist->context);
}

/* ---- filling ---- */

/* Write the first lists of the postings that are left. Returns the number of postings written. */
static Size
write_slice(Relist *relist, const Posting *postings, Size n)
{
	ColbertIndex *index = relist->view->index;
	MemoryContext old = MemoryContextSwitchTo(relist->context);
	uint64        added;
	Size          at = 0;
	bool          inexact;

	begin_slice(relist);
	inexact = index->meta.nodes.postings_inexact;
	index->meta.nodes.postings_inexact = true;
	meta_write_nodes(index);
	for (int i = 0; at < n; at++)
		if (at > 0 && postings[at] >> 32 != postings[at - 1] >> 32 && ++i == SLICE_LISTS)
			break;
	added = postings_add_all(index, postings, at, true, &relist->pace);
	COLBERT_PAUSE("relist-posted");
	index->meta.nodes.postings_inexact = inexact;
	index->meta.lists.next_postings += added;
	meta_write_nodes(index);
	MemoryContextSwitchTo(old);
	end_slice(relist);
	return at;
}

static void
write_postings(Relist *relist)
{
	Size at = 0;

	relist->npostings = postings_sort(relist->postings, relist->npostings);
	while (at < relist->npostings)
		at += write_slice(relist, relist->postings + at, relist->npostings - at);
	relist->npostings = 0;
}

/* Find the nearest nodes of the tokens, and make postings of them. */
static void
assign_tokens(Relist *relist)
{
	uint32 dim = relist->view->dim;

	if (relist->ntokens == 0)
		return;
	finder_assign(relist->finder, relist->tokens, relist->ntokens, relist->nearest);
	for (uint32 i = 0; i < relist->ntokens; i++)
	{
		assigned_add(&relist->assigned, relist->tokens + (size_t) i * dim, dim,
					 relist->nearest[i].key);
		relist->postings[relist->npostings++] =
			posting_make(relist->nearest[i].node, relist->owner[i]);
	}
	relist->ntokens = 0;
	if (relist->room - relist->npostings < relist->capacity)
		write_postings(relist);
}

/* Read the tokens of a document that is not pending. */
static void
fill_document(IndexView *view, uint32 doc, const DocEntry *entry, void *arg)
{
	Relist *relist = arg;
	uint32  n;

	compat_vacuum_delay_point();
	if (!is_readable(entry) || (entry->flags & DOC_PENDING))
		return;
	for (uint32 first = 0; first < entry->ntokens; first += n)
	{
		n = Min(entry->ntokens - first, relist->capacity - relist->ntokens);
		docstore_coded_vectors(view, entry, first, n,
							   relist->tokens + (size_t) relist->ntokens * view->dim);
		for (uint32 i = 0; i < n; i++)
			relist->owner[relist->ntokens++] = doc;
		if (relist->ntokens == relist->capacity)
			assign_tokens(relist);
	}
}

static void
allocate(Relist *relist)
{
	Size memory = maintenance_memory() / 2;
	Size token = relist->view->dim * sizeof(float);
	Size ntokens = relist->view->index->meta.documents.live_tokens;

	relist->capacity = (uint32) Max(Min(memory / 2 / token, CHUNK_TOKENS), 256);
	relist->room = Max(Min(memory / sizeof(Posting), ntokens), 0) + relist->capacity;
	relist->tokens = palloc_extended(mul_size(relist->capacity, token), MCXT_ALLOC_HUGE);
	relist->owner = palloc(relist->capacity * sizeof(uint32));
	relist->nearest = palloc(relist->capacity * sizeof(NodeHit));
	relist->postings = palloc_extended(mul_size(relist->room, sizeof(Posting)), MCXT_ALLOC_HUGE);
}

/* Step 4. */
static void
swap(Relist *relist)
{
	MetaPageData *meta = &relist->view->index->meta;

	begin_slice(relist);
	meta->nodes.postings = meta->lists.next_postings;
	meta->nodes.trained = relist->assigned;
	meta->nodes.merged = (Assigned) {0};
	meta->lists.first_parent = meta->lists.next_parent;
	meta->lists.first_node = meta->lists.next_node;
	meta->lists.next_parent = 0;
	meta->lists.next_node = 0;
	meta->lists.next_postings = 0;
	meta_write_nodes(relist->view->index);
	end_slice(relist);
}

/* Steps 3 and 4. */
static void
fill_next(Relist *relist)
{
	view_refresh(relist->view);
	allocate(relist);
	relist->finder = finder_open_next(relist->view->index, &relist->view->sketch);
	docstore_walk(relist->view, fill_document, relist);
	assign_tokens(relist);
	write_postings(relist);
	finder_close(relist->finder);
	COLBERT_PAUSE("relist-filled");
	swap(relist);
}

/* ---- clearing ---- */

/* Step 5. */
static void
clear_former(Relist *relist)
{
	ColbertIndex *index = relist->view->index;
	MetaLists    *lists = &index->meta.lists;

	while (lists->cleared_nodes < lists->first_node)
	{
		uint32 end = Min(lists->first_node, lists->cleared_nodes + SLICE_LISTS);

		begin_slice(relist);
		for (uint32 node = lists->cleared_nodes; node < end; node++)
		{
			pace_delay(index, &relist->pace);
			postings_clear(index, node);
		}
		COLBERT_PAUSE("relist-cleared");
		lists->cleared_nodes = end;
		meta_write_nodes(index);
		end_slice(relist);
	}
}

/* ---- the whole ---- */

static void
run(Relation rel, uint64 pending_limit)
{
	Relist           relist = {.view = view_open(rel, false, VIEW_WITHOUT_PENDING),
							   .pending_limit = pending_limit,
							   .pace = pace_for(pending_limit)};
	const MetaLists *lists = &relist.view->index->meta.lists;

	relist.context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg slice", ALLOCSET_DEFAULT_SIZES);
	clear_former(&relist);
	if (lists->next_node == 0 && relist_is_due(relist.view))
		train_next(relist.view);
	if (lists->next_node == 0)
		return;
	fill_next(&relist);
	clear_former(&relist);
}

void
relist(Relation rel, uint64 pending_limit)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg relist", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	run(rel, pending_limit);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
