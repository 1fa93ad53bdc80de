/*-------------------------------------------------------------------------
 *
 * build_encode.c
 *	  The second pass of a build: write documents into the docstore, and put a
 *	  (node, document) pair per token into a sort.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/build.h"
#include "access/tableam.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "commands/progress.h"
#include "index/docstore.h"
#include "index/nulls.h"
#include "miscadmin.h"
#include "nodes/kmeans_hooks.h"
#include "pgstat.h"
#include "utils/memutils.h"

/* Limits for the number of tokens assigned at a time; memory decides between them. */
#define MAX_BATCH_TOKENS 65536
#define MIN_BATCH_TOKENS 256

/*
 * Divisors of maintenance_work_mem: for the sorts, and for the tokens waiting
 * to be assigned. The centroids have a share of their own (train.c).
 */
#define SORT_PART   2
#define TOKENS_PART 16

Tuplesortstate *
build_sort_begin(int work_mem, SortCoordinate coordinate)
{
	return tuplesort_begin_datum(INT8OID, Int8LessOperator, InvalidOid, false, work_mem, coordinate,
								 TUPLESORT_NONE);
}

/*
 * Return the number of tokens to be assigned together. A graph takes tokens one
 * by one, so its batches are small, which keeps progress visible.
 */
static uint32
batch_tokens(const Build *build)
{
	Size room = (Size) maintenance_work_mem * 1024 / TOKENS_PART / build_participants(build);

	if (build->mode == BUILD_EVERY_TOKEN)
		return MIN_BATCH_TOKENS;
	return (uint32) Min(MAX_BATCH_TOKENS,
						Max(room / (build->view->dim * sizeof(float)), MIN_BATCH_TOKENS));
}

static void
encoder_init(BuildEncoder *encoder, Build *build, Tuplesortstate *sort)
{
	IndexView *view = build->view;

	memset(encoder, 0, sizeof(BuildEncoder));
	encoder->build = build;
	encoder->view = view;
	encoder->sort = sort;
	encoder->capacity = batch_tokens(build);
	encoder->tokens =
		palloc_extended(mul_size(encoder->capacity, view->dim * sizeof(float)), MCXT_ALLOC_HUGE);
	encoder->owners = palloc(encoder->capacity * sizeof(uint32));
	encoder->nodes = palloc(encoder->capacity * sizeof(uint32));
	encoder->keys = palloc(encoder->capacity * sizeof(float));
	encoder->row_context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg build row", ALLOCSET_DEFAULT_SIZES);
	if (build->mode == BUILD_TRAINED)
	{
		encoder->node_of = build->node_of;
		encoder->assigner =
			kmeans_assigner_create(&build->trained, view->dim, ASSIGN_PARENTS, &kmeans_hooks);
	}
	else if (build->mode == BUILD_EVERY_TOKEN)
		encoder->finder = finder_open(view->index, &view->sketch);
}

/* Find the nodes of the waiting tokens. */
static void
find_nodes(BuildEncoder *encoder)
{
	if (encoder->build->mode == BUILD_EVERY_TOKEN)
	{
		for (uint32 i = 0; i < encoder->ntokens; i++)
		{
			CHECK_FOR_INTERRUPTS();
			encoder->nodes[i] =
				finder_add(encoder->finder, encoder->tokens + (size_t) i * encoder->view->dim);
		}
		return;
	}
	kmeans_assign(encoder->assigner, encoder->tokens, encoder->ntokens, encoder->nodes,
				  encoder->keys);
	for (uint32 i = 0; i < encoder->ntokens; i++)
	{
		encoder->nodes[i] = encoder->node_of[encoder->nodes[i]];
		assigned_add(&encoder->assigned, encoder->tokens + (size_t) i * encoder->view->dim,
					 encoder->view->dim, encoder->keys[i]);
	}
}

/* Put the waiting tokens' pairs into the sort. The same pair may appear more than once. */
static void
flush_tokens(BuildEncoder *encoder)
{
	if (encoder->ntokens == 0)
		return;
	find_nodes(encoder);
	for (uint32 i = 0; i < encoder->ntokens; i++)
		tuplesort_putdatum(
			encoder->sort,
			Int64GetDatum((int64) ((uint64) encoder->nodes[i] << 32 | encoder->owners[i])), false);
	encoder->ntokens = 0;
}

/* Add a document's tokens to those that wait for their nodes. Flush a full buffer. */
static void
queue_tokens(BuildEncoder *encoder, const MultiVector *mv, uint32 doc)
{
	uint32 dim = encoder->view->dim;

	for (uint32 first = 0; first < mv->ntokens;)
	{
		uint32 n = Min(mv->ntokens - first, encoder->capacity - encoder->ntokens);

		view_prepare_tokens(encoder->view, mv, first, n,
							encoder->tokens + (size_t) encoder->ntokens * dim);
		for (uint32 i = 0; i < n; i++)
			encoder->owners[encoder->ntokens++] = doc;
		first += n;
		if (encoder->ntokens == encoder->capacity)
			flush_tokens(encoder);
	}
}

static void
encoder_end(BuildEncoder *encoder)
{
	flush_tokens(encoder);
	if (encoder->finder != NULL)
		finder_close(encoder->finder);
	if (encoder->assigner != NULL)
		kmeans_assigner_release(encoder->assigner);
	pfree(encoder->tokens);
	pfree(encoder->owners);
	pfree(encoder->nodes);
	pfree(encoder->keys);
	MemoryContextDelete(encoder->row_context);
}

/* Append a document, at its place if it has one. Returns its ordinal. */
static uint32
append_document(BuildEncoder *encoder, ItemPointer tid, const MultiVector *mv, uint8 flags)
{
	const Build *build = encoder->build;
	uint32       hash = update_stored_hash(build->heap, tid, build->info);
	BuildPlace  *found = build_find_place(build, tid, mv->ntokens);

	if (found == NULL)
		return docstore_append(encoder->view, tid, mv, hash, flags);
	found->taken = true;
	docstore_append_at(encoder->view, &found->place, tid, mv, hash, flags);
	return found->place.doc;
}

static void
encode_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *arg)
{
	BuildEncoder *encoder = arg;
	bool          pending = encoder->build->mode == BUILD_PENDING;
	MemoryContext old = MemoryContextSwitchTo(encoder->row_context);

	if (isnull[0])
		nulls_append(encoder->view, tid);
	else
	{
		const MultiVector *all = multivector_from_datum(values[0]);
		const MultiVector *mv = view_indexed_tokens(encoder->view, all);
		uint8  flags = view_token_flags(encoder->view, all) | (pending ? DOC_PENDING : 0);
		uint32 doc = append_document(encoder, tid, mv, flags);

		if (!pending)
			queue_tokens(encoder, mv, doc);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(encoder->row_context);
	encoder->done++;
	if (encoder->build->leader)
		pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, encoder->done);
}

/* Begin the sort of this participant's pairs. */
static Tuplesortstate *
own_sort(const Build *build)
{
	int            work_mem = Max(maintenance_work_mem / SORT_PART / build_participants(build), 64);
	SortCoordinate coordinate = NULL;

	if (build->crew != NULL)
	{
		coordinate = palloc0(sizeof(SortCoordinateData));
		coordinate->isWorker = true;
		coordinate->nParticipants = -1;
		coordinate->sharedsort = build->crew->sort;
	}
	return build_sort_begin(work_mem, coordinate);
}

Tuplesortstate *
build_encode(Build *build)
{
	BuildShared    *shared = build->shared;
	Tuplesortstate *sort = own_sort(build);
	BuildEncoder    encoder;
	double          reltuples;

	encoder_init(&encoder, build, sort);
	if (build->leader)
		pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_TOTAL,
									 build->counts.ndocs + build->counts.nnulls);
	if (build->leader)
		COLBERT_PAUSE("leader-encodes");
	reltuples =
		table_index_build_scan(build->heap, build->index, build->info, build->crew != NULL,
							   build->leader, encode_row, &encoder, build_scan(build, PASS_ENCODE));
	encoder_end(&encoder);
	tuplesort_performsort(sort);

	SpinLockAcquire(&shared->mutex);
	shared->reltuples += reltuples;
	shared->assigned.tokens += encoder.assigned.tokens;
	shared->assigned.squares += encoder.assigned.squares;
	shared->broken_hot_chain |= build->info->ii_BrokenHotChain;
	SpinLockRelease(&shared->mutex);
	return sort;
}
