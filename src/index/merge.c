/*-------------------------------------------------------------------------
 *
 * merge.c
 *	  Moving pending documents into the posting lists.
 *
 * Each token goes to the nearest node; where the finder can add nodes, and
 * has fewer than one for tokens_per_node tokens, the tokens farthest from any
 * node become nodes themselves. An index without nodes stays pending until it has enough
 * tokens, and is then trained on its pending documents, which are all it has.
 *
 * Lock order: merge lock, then page locks as elsewhere.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "index/docstore.h"
#include "index/merge.h"
#include "index/postings.h"
#include "index/train.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* Tokens of a batch: what is held in memory at a time, bounded by maintenance_work_mem as well. */
#define BATCH_TOKENS 65536

/* A token's node, as one sortable number, and then the document. */
typedef uint64 Posting;

typedef struct Merge
{
	IndexView  *view;
	void	   *finder;
	uint32		ndocs;
	uint32	   *docs;			/* ordinals of the batch, in queue order */
	uint32		ntokens;
	uint32		capacity;
	float	   *tokens;			/* of the batch's live documents */
	uint32	   *owner;			/* document of each token */
	NodeHit   *nearest;		/* node of each token */
	bool		trained;		/* this merge has made the nodes */
} Merge;

bool
merge_lock(Relation rel, MergeWait wait)
{
	if (wait == MERGE_IF_FREE)
		return docstore_lock_if_free(rel, LOCK_MERGE, ExclusiveLock);
	docstore_lock(rel, LOCK_MERGE, ExclusiveLock);
	return true;
}

void
merge_unlock(Relation rel)
{
	docstore_unlock(rel, LOCK_MERGE, ExclusiveLock);
}

static bool
still_pending(IndexView *view, uint32 doc, DocEntry *entry)
{
	return docstore_entry(view, doc, entry) && entry->state == DOC_LIVE &&
		entry->ntokens > 0 && entry->ntokens <= entry->capacity;
}

/* ---- the first nodes ---- */

/* A sample of the pending documents' tokens, read back from their rows. */
static TokenSample *
sample_pending(IndexView *view)
{
	SampleShared *shared = palloc(sizeof(SampleShared));
	TokenSample *sample;
	float	   *tokens = palloc_extended(mul_size(SKETCH_BLOCK_TOKENS, view->dim * sizeof(float)), MCXT_ALLOC_HUGE);

	train_sample_init(shared, &view->meta);
	sample = sample_open(shared, NULL, NULL);
	for (uint32 i = 0; i < view->npending; i++)
	{
		DocEntry	entry;

		CHECK_FOR_INTERRUPTS();
		if (!still_pending(view, view->pending[i], &entry))
			continue;
		for (uint32 first = 0; first < entry.ntokens; first += SKETCH_BLOCK_TOKENS)
		{
			uint32		n = Min(entry.ntokens - first, SKETCH_BLOCK_TOKENS);

			docstore_vectors(view, &entry, first, n, tokens);
			for (uint32 t = 0; t < n; t++)
				sample_add(sample, sample_hash(ItemPointerGetBlockNumberNoCheck(&entry.tid),
											   ItemPointerGetOffsetNumberNoCheck(&entry.tid), first + t),
						   tokens + (size_t) t * view->dim);
		}
	}
	sample_gather(sample);
	pfree(tokens);
	return sample;
}

static void
train_first_nodes(IndexView *view)
{
	TokenSample *sample = sample_pending(view);
	TokenStatistics statistics;
	KmeansResult result;

	if (sample->count == 0)
		return;
	train_statistics(sample, &statistics);
	view_write_params(view, statistics.mean, statistics.lengths, train_codebooks(view, sample));
	COLBERT_PAUSE("merge-trained");
	for (uint32 i = 0; i < view->npending; i++)
	{
		DocEntry	entry;

		if (still_pending(view, view->pending[i], &entry))
			docstore_resketch(view, view->pending[i], &entry);
	}
	train_centroids(view, sample, &statistics, view->meta.live_tokens, &result);
	train_store_nodes(view, &result, palloc_extended(mul_size(result.ncentroids, sizeof(uint32)), MCXT_ALLOC_HUGE));
}

/* ---- one batch ---- */

/* Read the vectors of as many queued documents as fit; at least one. */
static void
load_batch(Merge *merge, uint32 from, uint32 to)
{
	IndexView  *view = merge->view;

	merge->ndocs = 0;
	merge->ntokens = 0;
	merge->docs = palloc_extended(mul_size(to - from, sizeof(uint32)), MCXT_ALLOC_HUGE);
	parray_copy_out(&view->index, &view->meta, ARRAY_QUEUE, from, to - from, merge->docs);
	for (; merge->ndocs < to - from; merge->ndocs++)
	{
		uint32		doc = merge->docs[merge->ndocs];
		DocEntry	entry;

		CHECK_FOR_INTERRUPTS();
		if (!still_pending(view, doc, &entry))
			continue;
		if (merge->ntokens + (uint64) entry.ntokens > merge->capacity)
		{
			if (merge->ntokens > 0)
				break;
			merge->capacity = entry.ntokens;
			merge->tokens = repalloc_huge(merge->tokens, mul_size(merge->capacity, view->dim * sizeof(float)));
			merge->owner = repalloc_huge(merge->owner, mul_size(merge->capacity, sizeof(uint32)));
			merge->nearest = repalloc_huge(merge->nearest, mul_size(merge->capacity, sizeof(NodeHit)));
		}
		/* Its appender had begun before the mean was trained. */
		if (entry.epoch != view->meta.epoch)
			docstore_resketch(view, doc, &entry);
		docstore_vectors(view, &entry, 0, entry.ntokens, merge->tokens + (size_t) merge->ntokens * view->dim);
		for (uint32 t = 0; t < entry.ntokens; t++)
			merge->owner[merge->ntokens++] = doc;
	}
}

static void
find_nearest(Merge *merge, uint32 first, uint32 n)
{
	IndexView  *view = merge->view;

	view->finder->assign(merge->finder, merge->tokens + (size_t) first * view->dim, n, merge->nearest + first);
}

/* Squared distance of a token to its node. */
static float
distance(const Merge *merge, uint32 token)
{
	return (float) hit_distance(merge->tokens + (size_t) token * merge->view->dim, merge->view->dim,
								merge->nearest[token].key);
}

/* How far the batch's tokens are from their nodes: those that these were trained on, and others. */
static void
count_assigned(Merge *merge)
{
	IndexView  *view = merge->view;
	Assigned   *assigned = merge->trained ? &view->meta.trained : &view->meta.merged;

	for (uint32 i = 0; i < merge->ntokens; i++)
		assigned_add(assigned, merge->tokens + (size_t) i * view->dim, view->dim, merge->nearest[i].key);
}

/*
 * Nodes are stored as halves: a token is off the node that it made itself by
 * some 1e-7 of its squared length. One that is no farther off is served by it.
 */
#define SAME_TOKEN 1e-5

static bool
is_its_node(const Merge *merge, uint32 token)
{
	float		norm = kernel_norm(merge->tokens + (size_t) token * merge->view->dim, merge->view->dim);

	return distance(merge, token) <= SAME_TOKEN * norm * norm;
}

/*
 * How much a token is in want of a node. Of tokens of different length the
 * longest are the farthest from any node, and as nodes they would come first
 * in every search: distances are then compared with the length.
 */
static float
need_of_node(const Merge *merge, uint32 token)
{
	float		norm = kernel_norm(merge->tokens + (size_t) token * merge->view->dim, merge->view->dim);

	if (merge->view->meta.length_spread < VARIED_LENGTHS)
		return distance(merge, token);
	return norm > 0 ? distance(merge, token) / (norm * norm) : 0;
}

typedef struct FarToken
{
	uint32		token;
	float		need;
} FarToken;

static int
compare_far(const void *a, const void *b)
{
	const FarToken *x = a;
	const FarToken *y = b;

	if (x->need != y->need)
		return x->need > y->need ? -1 : 1;
	return x->token < y->token ? -1 : x->token > y->token;
}

/*
 * Let the tokens that are most in need of a node become nodes, as many as the
 * index is short of. One that a node made just before is near to is passed
 * over: its distance is looked up again.
 */
static void
grow_nodes(Merge *merge)
{
	IndexView  *view = merge->view;
	uint64		wanted = view->meta.live_tokens / view->meta.tokens_per_node;
	uint64		have = view->meta.arrays[ARRAY_NODES].nitems;
	uint64		quota = Min(wanted > have ? wanted - have : 0, merge->ntokens);
	FarToken   *far;

	if (view->finder->add == NULL || quota == 0)
		return;
	far = palloc_extended(mul_size(merge->ntokens, sizeof(FarToken)), MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < merge->ntokens; i++)
		far[i] = (FarToken) {i, need_of_node(merge, i)};
	qsort(far, merge->ntokens, sizeof(FarToken), compare_far);
	for (uint32 i = 0; i < merge->ntokens && quota > 0; i++)
	{
		uint32		token = far[i].token;

		CHECK_FOR_INTERRUPTS();
		if (is_its_node(merge, token))
			continue;
		find_nearest(merge, token, 1);
		if (need_of_node(merge, token) < far[i].need * 0.5f || is_its_node(merge, token))
			continue;
		merge->nearest[token].node = view->finder->add(merge->finder, merge->tokens + (size_t) token * view->dim);
		quota--;
	}
	pfree(far);
}

static int
compare_postings(const void *a, const void *b)
{
	Posting		x = *(const Posting *) a;
	Posting		y = *(const Posting *) b;

	return x < y ? -1 : x > y;
}

/* Add the batch's documents to the lists of their tokens' nodes; returns the entries added. */
static uint64
write_postings(Merge *merge)
{
	Posting    *postings = palloc_extended(mul_size(merge->ntokens, sizeof(Posting)), MCXT_ALLOC_HUGE);
	uint32	   *docs = palloc_extended(mul_size(merge->ntokens, sizeof(uint32)), MCXT_ALLOC_HUGE);
	uint64		added = 0;

	for (uint32 i = 0; i < merge->ntokens; i++)
		postings[i] = (uint64) merge->nearest[i].node << 32 | merge->owner[i];
	qsort(postings, merge->ntokens, sizeof(Posting), compare_postings);
	for (uint32 i = 0; i < merge->ntokens;)
	{
		uint32		node = (uint32) (postings[i] >> 32);
		uint32		n = 0;

		CHECK_FOR_INTERRUPTS();
		for (; i < merge->ntokens && postings[i] >> 32 == node; i++)
			if (n == 0 || docs[n - 1] != (uint32) postings[i])
				docs[n++] = (uint32) postings[i];
		added += postings_add(&merge->view->index, &merge->view->meta, node, docs, n);
	}
	pfree(postings);
	pfree(docs);
	return added;
}

/*
 * Take the batch out of the queue; an empty queue starts over at its
 * beginning, and so do the pending rows where no appender is about to use
 * rows that it has reserved.
 */
static void
advance_queue(Merge *merge, uint64 added, uint64 merged_tokens)
{
	IndexView  *view = merge->view;
	bool		alone = docstore_lock_if_free(view->index.rel, LOCK_APPEND, ExclusiveLock);
	Buffer		buffer;
	Change		change;
	MetaPageData *meta;

	qsort(merge->docs, merge->ndocs, sizeof(uint32), compare_ordinals);
	docstore_clear_pending(view, merge->docs, merge->ndocs);

	buffer = meta_lock(&view->index, BUFFER_LOCK_EXCLUSIVE);
	change_begin(&change, &view->index);
	meta = meta_data(change_page(&change, buffer, false));
	meta->postings += added;
	view->meta.postings = meta->postings;	/* the next batch's nodes write it back */
	meta->trained = view->meta.trained;
	meta->merged = view->meta.merged;
	meta->queue_head += merge->ndocs;
	meta->pending_tokens -= Min(meta->pending_tokens, merged_tokens);
	if (meta->queue_head >= meta->queue_tail)
	{
		meta->queue_head = 0;
		meta->queue_tail = 0;
		meta->pending_tokens = 0;
		if (alone)
			meta->arrays[ARRAY_PENDING_ROWS].nitems = 0;
	}
	change_commit(&change);
	UnlockReleaseBuffer(buffer);
	if (alone)
		docstore_unlock(view->index.rel, LOCK_APPEND, ExclusiveLock);
}

/* The queue entries' tokens, dead documents' too, as they were counted when they were queued. */
static uint64
queued_tokens(Merge *merge)
{
	uint64		tokens = 0;

	for (uint32 i = 0; i < merge->ndocs; i++)
	{
		DocEntry	entry;

		if (docstore_entry(merge->view, merge->docs[i], &entry))
			tokens += entry.ntokens;
	}
	return tokens;
}

static void
merge_batch(Merge *merge, uint32 from, uint32 to)
{
	uint64		added;

	load_batch(merge, from, to);
	find_nearest(merge, 0, merge->ntokens);
	count_assigned(merge);
	grow_nodes(merge);
	added = write_postings(merge);
	COLBERT_PAUSE("merge-posted");
	advance_queue(merge, added, queued_tokens(merge));
	pfree(merge->docs);
}

/* ---- dead documents in the queue ---- */

/* Queued documents that are dead. *tokens: theirs, in sum. */
static uint32
dead_in_queue(IndexView *view, uint32 *dead, uint64 *tokens)
{
	uint32		ndead = 0;

	*tokens = 0;

	for (uint32 i = 0; i < view->npending; i++)
	{
		DocEntry	entry;

		CHECK_FOR_INTERRUPTS();
		if (!docstore_entry(view, view->pending[i], &entry) || entry.state != DOC_DEAD)
			continue;
		dead[ndead++] = view->pending[i];
		*tokens += entry.ntokens;
	}
	qsort(dead, ndead, sizeof(uint32), compare_ordinals);
	return ndead;
}

/*
 * Take the dead out of the queue. The
 * queue's pages are rewritten one by one while the meta page is held: entries
 * only move towards the head, so a crash in between leaves some of them
 * twice, and loses none. Their flags are cleared before: a dead document that
 * still had its flag and was in no queue would never be freed.
 */
static void
compact_queue(IndexView *view)
{
	uint32	   *dead = palloc_extended(mul_size(view->npending, sizeof(uint32)), MCXT_ALLOC_HUGE);
	uint64		dead_tokens;
	uint32		ndead = dead_in_queue(view, dead, &dead_tokens);
	MetaPageData *meta = &view->meta;
	MetaPageData *stored;
	Buffer		buffer;
	Change		change;
	uint32	   *queue;
	uint32		n;
	uint32		kept = 0;

	if (ndead == 0)
		return;
	docstore_clear_pending(view, dead, ndead);
	buffer = meta_lock(&view->index, BUFFER_LOCK_EXCLUSIVE);
	memcpy(meta, meta_data(BufferGetPage(buffer)), sizeof(MetaPageData));
	n = meta->queue_tail - meta->queue_head;
	queue = palloc_extended(mul_size(n, sizeof(uint32)), MCXT_ALLOC_HUGE);
	parray_copy_out(&view->index, meta, ARRAY_QUEUE, meta->queue_head, n, queue);
	for (uint32 i = 0; i < n; i++)
		if (bsearch(&queue[i], dead, ndead, sizeof(uint32), compare_ordinals) == NULL)
			queue[kept++] = queue[i];
	parray_copy_in(&view->index, meta, ARRAY_QUEUE, meta->queue_head, kept, queue);

	change_begin(&change, &view->index);
	stored = meta_data(change_page(&change, buffer, false));
	stored->queue_tail = meta->queue_head + kept;
	stored->pending_tokens -= Min(stored->pending_tokens, dead_tokens);
	change_commit(&change);
	UnlockReleaseBuffer(buffer);
}

/* ---- the whole ---- */

uint64
merge_pending_locked(Relation rel)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "colbert merge", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	IndexView  *view = view_open(rel, false, VIEW_WITH_PENDING);
	uint32		tail = view->meta.queue_tail;
	uint64		merged = 0;
	Merge		merge = {view};

	if (view->npending > 0 && !has_nodes(&view->meta) &&
		view->meta.live_tokens >= train_min_tokens(&view->meta))
	{
		train_first_nodes(view);
		merge.trained = true;
	}
	if (view->npending > 0 && !has_nodes(&view->meta))
		compact_queue(view);
	if (view->npending > 0 && has_nodes(&view->meta))
	{
		merge.capacity = Min(BATCH_TOKENS, Max((Size) maintenance_work_mem * 512 / (view->dim * sizeof(float)), 256));
		merge.tokens = palloc_extended(mul_size(merge.capacity, view->dim * sizeof(float)), MCXT_ALLOC_HUGE);
		merge.owner = palloc_extended(mul_size(merge.capacity, sizeof(uint32)), MCXT_ALLOC_HUGE);
		merge.nearest = palloc_extended(mul_size(merge.capacity, sizeof(NodeHit)), MCXT_ALLOC_HUGE);
		merge.finder = view->finder->open(&view->index, &view->meta, &view->sketch);
		for (uint32 head = view->meta.queue_head; head < tail; head += merge.ndocs)
		{
			merge_batch(&merge, head, tail);
			merged += merge.ndocs;
		}
		view->finder->close(merge.finder);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return merged;
}

void
merge_drop_dead(Relation rel)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "colbert merge", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	IndexView  *view = view_open(rel, false, VIEW_WITH_PENDING);

	if (view->npending > 0)
		compact_queue(view);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

uint64
merge_pending(Relation rel, MergeWait wait)
{
	uint64		merged;

	if (!merge_lock(rel, wait))
		return 0;
	merged = merge_pending_locked(rel);
	merge_unlock(rel);
	return merged;
}
