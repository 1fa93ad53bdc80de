/*-------------------------------------------------------------------------
 *
 * snapshot.c
 *	  Copy the meta data, the directory, the row versions, the NULL rows, the
 *	  queue and the free pending rows, all as of one moment.
 *
 * The copies take 40 bytes per document, 36 more per document if UPDATEs kept
 * documents, and 12 per NULL row.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "base/array.h"
#include "check/check.h"
#include "index/queue.h"
#include "miscadmin.h"

/* Read the pages of items first to end - 1, so that they are in shared buffers afterwards. */
static void
warm(Check *check, ArrayKind kind, uint32 first, uint32 end)
{
	ColbertIndex *index = check->view->index;

	while (first < end)
	{
		char *data;

		CHECK_FOR_INTERRUPTS();
		UnlockReleaseBuffer(parray_read(index, kind, first, &data));
		first += Min(parray_run(index, kind, first), end - first);
	}
}

static void *
copy_items(Check *check, ArrayKind kind, uint32 first, uint32 count)
{
	ColbertIndex *index = check->view->index;
	void         *copy =
		palloc_extended(Max(mul_size(count, parray_item_size(index, kind)), 1), MCXT_ALLOC_HUGE);

	parray_copy_out(index, kind, first, count, copy);
	return copy;
}

/* Record the free runs of pending rows of one size class. */
static void
copy_runs_of(Check *check, uint32 class)
{
	IndexView *view = check->view;
	uint32     most = parray_nitems(view->index, ARRAY_PENDING_ROWS);
	uint32     first = view->index->meta.documents.free_runs[class];
	uint32     next;

	while (first != INVALID_ORDINAL)
	{
		if (check->nruns >= most || !pending_rows_next(view, first, &next))
		{
			findings_add(check->findings, FINDING_WARNING, class,
						 "free pending rows are lost, because their list is damaged");
			return;
		}
		check->runs = array_reserve(check->runs, &check->runs_room, (Size) check->nruns + 1,
									sizeof(CheckRun), CurrentMemoryContext);
		check->runs[check->nruns++] = (CheckRun) {first, pending_rows_length(class)};
		first = next;
	}
}

static void
copy_free_runs(Check *check)
{
	for (uint32 class = 0; class < RUN_CLASSES; class ++)
		copy_runs_of(check, class);
}

void
check_snapshot(Check *check)
{
	const MetaPageData *meta = &check->view->index->meta;
	Buffer              buffer;

	warm(check, ARRAY_DOCS, 0, meta_nitems(meta, ARRAY_DOCS));
	warm(check, ARRAY_VERSIONS, 0, meta_nitems(meta, ARRAY_VERSIONS));
	warm(check, ARRAY_NULLS, 0, meta_nitems(meta, ARRAY_NULLS));
	warm(check, ARRAY_QUEUE, 0, Min(meta->documents.queue_tail, meta_nitems(meta, ARRAY_QUEUE)));
	warm(check, ARRAY_PENDING_ROWS, 0, meta_nitems(meta, ARRAY_PENDING_ROWS));

	buffer = meta_lock(check->view->index, BUFFER_LOCK_SHARE);
	meta_copy(check->view->index, buffer);
	check->ndocs = meta_nitems(meta, ARRAY_DOCS);
	check->docs = copy_items(check, ARRAY_DOCS, 0, check->ndocs);
	check->nversion_pages = meta_nitems(meta, ARRAY_VERSIONS);
	check->versions = copy_items(check, ARRAY_VERSIONS, 0, check->nversion_pages);
	check->nnull_pages = meta_nitems(meta, ARRAY_NULLS);
	check->nulls = copy_items(check, ARRAY_NULLS, 0, check->nnull_pages);
	if (queue_is_valid(meta))
		check->nqueue = queue_count(meta);
	else
		findings_add(check->findings, FINDING_ERROR, NO_ITEM,
					 "queue has items %u to %u and 0 to %u, but its array has %u items",
					 meta->documents.queue_head, meta->documents.queue_tail,
					 meta->documents.queue_wrapped, meta_nitems(meta, ARRAY_QUEUE));
	check->queue =
		palloc_extended(Max(mul_size(check->nqueue, sizeof(uint32)), 1), MCXT_ALLOC_HUGE);
	queue_copy(check->view->index, check->nqueue, check->queue);
	copy_free_runs(check);
	UnlockReleaseBuffer(buffer);

	check->nblocks = RelationGetNumberOfBlocks(check->index);
	check->used = check_bits(check->nblocks);
	check->queued = check_bits(check->ndocs);
	check->copied = true;
}

uint8 *
check_bits(uint64 n)
{
	return palloc_extended(n / 8 + 1, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

void
check_use(Check *check, ArrayKind kind, uint32 first, uint32 n)
{
	const ColbertIndex *index = check->view->index;
	uint64              end = (uint64) first + n;

	for (uint64 item = first; item < end; item += parray_run(index, kind, (uint32) item))
	{
		uint32      slot;
		BlockNumber block = parray_block(index, kind, (uint32) item, &slot);

		if (block < check->nblocks)
			bit_set(check->used, block);
	}
}
