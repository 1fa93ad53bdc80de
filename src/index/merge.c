/*-------------------------------------------------------------------------
 *
 * merge.c
 *	  Merge pending documents: locking, training of the first nodes, and batch
 *	  sizes.
 *
 * The documents of an index without nodes stay pending until they have enough
 * tokens. The first merge after that trains the nodes on the pending
 * documents, which are all the documents of the index.
 *
 * Lock order: merge lock, then page locks in the usual order.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "base/clock.h"
#include "index/merge_internal.h"
#include "index/queue.h"
#include "index/train.h"
#include "storage/locks.h"
#include "utils/memutils.h"

/* Growth of a merge in haste: twice its share, because merges under pressure add no nodes. */
#define HASTY_GROWTH 2

/*
 * Shares of colbert.pending_limit: of a batch in haste, which has at least
 * MIN_BATCH_TOKENS, and of the pending tokens above which it adds no nodes.
 */
#define BATCH_SHARE      0.0625
#define MIN_BATCH_TOKENS 1024
#define PRESSED_SHARE    0.5

/* Minimum tokens per batch of a step, and those of the first batch while its speed is unknown. */
#define MIN_TOKENS 16

/* Share of a step's time planned for its first batch, based on the speed of the last step. */
#define FIRST_SHARE 0.7

/* Share of a step's time after which it makes no more nodes. */
#define GROW_SHARE 0.8

/* Maximum tokens per batch of a step. */
#define MAX_STEP_TOKENS 4096

bool
merge_lock(Relation rel, MergeWait wait)
{
	if (wait == MERGE_IF_FREE)
		return index_lock_if_free(rel, LOCK_MERGE, ExclusiveLock);
	if (wait == MERGE_POLL)
		index_lock_poll(rel, LOCK_MERGE, ExclusiveLock);
	else
		index_lock(rel, LOCK_MERGE, ExclusiveLock);
	return true;
}

bool
merge_lock_within(Relation rel, double milliseconds, long nap)
{
	return index_lock_within(rel, LOCK_MERGE, ExclusiveLock, milliseconds, nap);
}

void
merge_unlock(Relation rel)
{
	index_unlock(rel, LOCK_MERGE, ExclusiveLock);
}

/* ---- the first nodes ---- */

/* Return a sample of the pending documents' tokens, decoded from their rows. */
static TokenSample *
sample_pending(IndexView *view)
{
	SampleShared *shared = palloc(sizeof(SampleShared));
	TokenSample  *sample;

	train_sample_init(shared, &view->index->meta, SAMPLE_FOR_NODES);
	sample = sample_open(shared, NULL, NULL);
	for (uint32 i = 0; i < view->npending; i++)
	{
		DocEntry entry;

		CHECK_FOR_INTERRUPTS();
		if (merge_is_pending(view, view->pending[i], &entry))
			train_sample_document(view, sample, &entry, docstore_vectors);
	}
	sample_gather(sample);
	return sample;
}

static void
train_first_nodes(IndexView *view, Pace *pace)
{
	TokenSample    *sample = sample_pending(view);
	TokenStatistics statistics;
	KmeansResult    result;

	if (sample->count == 0)
		return;
	train_statistics(sample, &statistics);
	view_write_params(view, statistics.mean, &statistics.lengths, train_codebooks(view, sample));
	COLBERT_PAUSE("merge-trained");
	for (uint32 i = 0; i < view->npending; i++)
	{
		DocEntry entry;

		pace_delay(view->index, pace);
		if (merge_is_pending(view, view->pending[i], &entry))
			docstore_resketch(view, view->pending[i], &entry, 0, entry.ntokens);
	}
	train_centroids(view, sample, view->index->meta.documents.live_tokens, &result);
	sample_free(sample);
	train_near(view, NULL, &result);
	train_store_nodes(
		view, &result,
		palloc_extended(mul_size(result.ncentroids, sizeof(uint32)), MCXT_ALLOC_HUGE));
}

/* ---- an index without nodes ---- */

/*
 * List the dead documents in the queue, in ascending order, and return their
 * number. *tokens is set to the sum of their tokens.
 */
static uint32
dead_in_queue(IndexView *view, uint32 *dead, uint64 *tokens)
{
	uint32 ndead = 0;

	*tokens = 0;

	for (uint32 i = 0; i < view->npending; i++)
	{
		DocEntry entry;

		CHECK_FOR_INTERRUPTS();
		if (!docstore_entry(view, view->pending[i], &entry) || entry.state != DOC_DEAD)
			continue;
		dead[ndead++] = view->pending[i];
		*tokens += entry.ntokens;
	}
	qsort(dead, ndead, sizeof(uint32), compare_ordinals);
	return ndead;
}

/* Overwrite the front of the queue with n documents. The queue's head stays where it is. */
static void
rewrite_queue(IndexView *view, const uint32 *docs, uint32 n)
{
	MetaPageData *meta = &view->index->meta;
	uint32        first = Min(n, queue_front(meta));

	parray_copy_in(view->index, ARRAY_QUEUE, meta->documents.queue_head, first, docs);
	if (n > first)
		parray_copy_in(view->index, ARRAY_QUEUE, 0, n - first, docs + first);
}

/*
 * Remove dead documents from the queue.
 *
 * The queue's pages are rewritten one by one while the meta page is locked.
 * Entries only move towards the front, so a crash in between duplicates some
 * entries and loses none. The pending flags of the dead documents are cleared
 * first: a dead document with the flag set that is not in the queue would
 * never be freed.
 */
static void
compact_queue(IndexView *view)
{
	uint32       *dead = palloc_extended(mul_size(view->npending, sizeof(uint32)), MCXT_ALLOC_HUGE);
	uint64        dead_tokens;
	uint32        ndead = dead_in_queue(view, dead, &dead_tokens);
	MetaPageData *meta = &view->index->meta;
	MetaPageData *stored;
	Buffer        buffer;
	Change        change;
	uint32       *queue;
	uint32        n;
	uint32        front;
	uint32        kept = 0;

	if (ndead == 0)
		return;
	docstore_clear_pending(view, dead, ndead, 0);
	buffer = meta_lock(view->index, BUFFER_LOCK_EXCLUSIVE);
	meta_copy(view->index, buffer);
	n = queue_count(meta);
	queue = palloc_extended(mul_size(Max(n, 1), sizeof(uint32)), MCXT_ALLOC_HUGE);
	n = queue_copy(view->index, n, queue);
	front = queue[0];
	for (uint32 i = 0; i < n; i++)
		if (bsearch(&queue[i], dead, ndead, sizeof(uint32), compare_ordinals) == NULL)
			queue[kept++] = queue[i];
	rewrite_queue(view, queue, kept);

	change_begin(&change, view->index);
	stored = meta_data(change_page(&change, buffer, false));
	if (kept == 0 || queue[0] != front)
		stored->documents.queue_posted = 0;
	stored->documents.queue_wrapped = kept - Min(kept, queue_front(meta));
	stored->documents.queue_tail = meta->documents.queue_head + Min(kept, queue_front(meta));
	stored->documents.pending_tokens -= Min(stored->documents.pending_tokens, dead_tokens);
	queue_remove(stored, 0);
	change_commit(&change);
	UnlockReleaseBuffer(buffer);
}

/*
 * Train the first nodes if the index has enough tokens; otherwise remove dead
 * documents from the queue. Returns true if the index has nodes afterwards.
 */
static bool
begin_nodes(IndexView *view, Pace *pace)
{
	if (view->npending == 0)
		return false;
	if (view->index->meta.documents.live_tokens >= train_min_tokens(&view->index->meta))
		train_first_nodes(view, pace);
	if (has_nodes(&view->index->meta))
		return true;
	compact_queue(view);
	return false;
}

/* ---- entry points ---- */

uint32
merge_capacity(const IndexView *view, uint32 batch_tokens)
{
	return Min(batch_tokens, Max(maintenance_memory() / 2 / (view->dim * sizeof(float)), 256));
}

MergeHaste
merge_haste(uint64 pending_limit)
{
	double limit = (double) pending_limit;

	return (MergeHaste) {.batch_tokens =
							 (uint32) Min(Max(limit * BATCH_SHARE, MIN_BATCH_TOKENS), MERGE_TOKENS),
						 .pressed_above = (uint64) (limit * PRESSED_SHARE)};
}

/*
 * Choose the growth of the next batch, and return its maximum tokens. asked: the
 * haste that the caller asks for, or NULL.
 *
 * If much is pending, inserts may wait for a merge without haste as well. Its
 * first batch is small then, and the others are in haste if documents have come
 * meanwhile. On an idle index, the second batch takes the rest of MERGE_TOKENS.
 */
static uint32
plan_batch(Merge *merge, const MergeHaste *asked, uint64 pending_limit)
{
	IndexView        *view = merge->view;
	const MergeHaste *haste = asked;
	MergeHaste        own = merge_haste(pending_limit);
	ColbertIndex      now = {.rel = view->index->rel};
	uint32            tokens = MERGE_TOKENS;
	bool              much;

	meta_read(&now);
	much = now.meta.documents.pending_tokens > merge->pace.urgent_above;
	if (much && haste == NULL && merge_documents(&now.meta) > merge->ndocs_before)
		haste = &own;
	if (haste != NULL)
	{
		merge->growth = now.meta.documents.pending_tokens > haste->pressed_above ? 0 : HASTY_GROWTH;
		return merge_capacity(view, haste->batch_tokens);
	}
	/* The other nodes that the index lacks are made of unsettled documents. */
	merge->growth = view->index->meta.growth.unsettled_end > 0 ? HASTY_GROWTH : GROWTH_ALL;
	if (much)
		tokens = merge->ntokens == 0 ? own.batch_tokens
									 : Max(MERGE_TOKENS - own.batch_tokens, own.batch_tokens);
	return merge_capacity(view, tokens);
}

/* Return true if a merge in haste ends before the next batch. */
static bool
is_stopped(const MergeHaste *haste)
{
	return haste != NULL && haste->stops != NULL && haste->stops();
}

uint64
merge_locked(Relation rel, uint64 pending_limit, const MergeHaste *haste)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg merge", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	IndexView    *view = view_open(rel, false, VIEW_WITH_PENDING);
	Merge         merge = {.pace = pace_for(pending_limit)};
	uint32        capacity;
	uint64        tokens = 0;
	uint64        merged = 0;

	if (!has_nodes(&view->index->meta))
		merge.trained = begin_nodes(view, &merge.pace);
	if (has_nodes(&view->index->meta) && view->npending > 0)
	{
		merge_begin(&merge, view, view->npending);
		merge.ndocs_before = merge_documents(&view->index->meta);
		capacity = plan_batch(&merge, haste, pending_limit);
		do
		{
			merge_batch(&merge, capacity);
			tokens += merge.ntokens;
			capacity = plan_batch(&merge, haste, pending_limit);
		} while ((merge.trained || merge.part > 0 || tokens + capacity <= MERGE_TOKENS) &&
				 merge.at < merge.nqueue && !is_stopped(haste));
		merge_end(&merge);
		merged = merge.at;
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return merged;
}

void
merge_drop_dead(Relation rel)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg merge", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	IndexView    *view = view_open(rel, false, VIEW_WITH_PENDING);

	if (view->npending > 0)
		compact_queue(view);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

uint64
merge_pending(Relation rel, uint64 pending_limit, MergeWait wait)
{
	ColbertIndex index = {.rel = rel};
	uint64       merged = 0;
	uint64       batch;

	meta_read(&index);
	do
	{
		merge_lock(rel, wait);
		batch = merge_locked(rel, pending_limit, NULL);
		merge_unlock(rel);
		merged += batch;
	} while (batch > 0 && merged < queue_count(&index.meta));
	merge_settle_all(rel, pending_limit, wait);
	return merged;
}

/* ---- a step ---- */

/*
 * Speed of this session's last step, used to size the next step's first batch:
 * of steps that add no nodes, and of those that do.
 */
typedef struct StepSpeed
{
	Oid    index;
	double tokens; /* tokens per millisecond */
} StepSpeed;

static StepSpeed step_speeds[2];

/* Return the tokens of the first batch of a step. */
static uint32
first_step_tokens(const IndexView *view, double milliseconds, const StepSpeed *speed)
{
	if (RelationGetRelid(view->index->rel) != speed->index)
		return MIN_TOKENS;
	return (uint32) Max(Min(speed->tokens * milliseconds * FIRST_SHARE, MAX_STEP_TOKENS),
						MIN_TOKENS);
}

/*
 * Return the tokens of the next batch of a step: half of what the remaining
 * time allows at the measured speed.
 */
static uint32
next_step_tokens(double tokens, double elapsed, double milliseconds)
{
	double next = elapsed > 0 ? tokens / elapsed * (milliseconds - elapsed) / 2 : MAX_STEP_TOKENS;

	return (uint32) Max(Min(next, MAX_STEP_TOKENS), 0);
}

void
merge_step(IndexView *view, double milliseconds, bool grow)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg merge", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Merge         merge = {.growth = grow, .grow_ms = milliseconds * GROW_SHARE};
	StepSpeed    *speed = &step_speeds[grow];
	uint32        capacity;
	uint64        tokens = 0;
	double        elapsed = 0;

	INSTR_TIME_SET_CURRENT(merge.start);
	view_refresh(view);
	capacity = first_step_tokens(view, milliseconds, speed);
	merge_begin(&merge, view, MAX_STEP_TOKENS);
	while (merge.at < merge.nqueue && capacity >= MIN_TOKENS)
	{
		merge_batch(&merge, capacity);
		tokens += merge.ntokens;
		elapsed = milliseconds_since(merge.start);
		capacity = next_step_tokens((double) tokens, elapsed, milliseconds);
	}
	merge_end(&merge);
	if (elapsed > 0)
		*speed = (StepSpeed) {RelationGetRelid(view->index->rel), tokens / elapsed};
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
