/*-------------------------------------------------------------------------
 *
 * view.c
 *	  View of an index: open it, prepare tokens, and compute approximate
 *	  scores.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <float.h>
#include <math.h>

#include "access/tableam.h"
#include "index/queue.h"
#include "index/shape.h"
#include "index/view.h"

/* Read the mean and the codebooks, if they have been trained. */
static void
read_params(IndexView *view)
{
	const MetaNodes *nodes = &view->index->meta.nodes;
	uint32           ncodebooks = (uint32) coder_codebook_floats(&view->coder);

	if (nodes->nparams >= view->dim)
		parray_copy_out(view->index, ARRAY_PARAMS, nodes->params_first, view->dim, view->mean);
	else
		memset(view->mean, 0, view->dim * sizeof(float));
	if (ncodebooks == 0 || nodes->nparams < view->dim + ncodebooks)
		return;
	if (view->codebooks == NULL)
		view->codebooks = MemoryContextAllocHuge(view->context, ncodebooks * sizeof(float));
	parray_copy_out(view->index, ARRAY_PARAMS, nodes->params_first + view->dim, ncodebooks,
					view->codebooks);
	view->coder.codebooks = view->codebooks;
}

/*
 * Copy the queue. Like read_params, called while the meta page is locked, so
 * that both are consistent with the meta data.
 */
static void
read_pending(IndexView *view)
{
	view->npending = queue_count(&view->index->meta);
	view->pending = NULL;
	if (view->npending == 0)
		return;
	view->pending = palloc_extended(mul_size(view->npending, sizeof(uint32)), MCXT_ALLOC_HUGE);
	queue_copy(view->index, view->npending, view->pending);
}

/* Return true if the item sizes on the meta page are the expected ones. */
static bool
item_sizes_agree(const MetaShape *shape)
{
	for (int kind = 0; kind < ARRAY_COUNT; kind++)
		if (shape->item_sizes[kind] != shape_item_size(shape, kind))
			return false;
	return true;
}

/* Return true if the extents on the meta page overlap neither each other nor the meta page. */
static bool
extents_are_apart(const ColbertIndex *index)
{
	PlacedExtent extents[ARRAY_COUNT * MAX_EXTENTS];
	uint64       next = META_BLOCK + 1;
	int          n;

	if (extents_known(index->rel, &index->meta))
		return true;
	n = extents_of_meta(&index->meta, extents);
	for (int i = 0; i < n; i++)
	{
		if (extents[i].start < next)
			return false;
		next = (uint64) extents[i].start + extents[i].npages;
	}
	if (next > (uint64) MaxBlockNumber + 1)
		return false;
	extents_remember(index->rel, &index->meta);
	return true;
}

static bool
scale_is_valid(const MetaPageData *meta)
{
	if (meta->documents.scale_log2 == scale_unset(meta->shape.metric))
		return true;
	return meta->shape.metric != METRIC_COSINE && abs(meta->documents.scale_log2) <= SCALE_LIMIT;
}

compat_noreturn static void
meta_damaged(const IndexView *view)
{
	ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
					errmsg("index \"%s\" has a damaged meta page",
						   RelationGetRelationName(view->index->rel)),
					errhint("REINDEX it.")));
}

/* Raise an error for meta data that would lead to reading wrong pages or misinterpreting them. */
static void
check_parameters(const IndexView *view)
{
	const MetaPageData *meta = &view->index->meta;

	if (meta->shape.dim == 0 || meta->shape.dim > meta->shape.column_dim ||
		meta->shape.column_dim > MULTIVECTOR_MAX_DIM || meta->shape.metric > METRIC_L2 ||
		codec_by_id(meta->shape.codec) == NULL ||
		(meta->shape.codec == CODEC_PQ) != (meta->shape.pq_m > 0) ||
		meta->shape.pq_m > rotation_padded(meta->shape.dim) ||
		finder_by_kind(meta->shape.finder) == NULL ||
		meta->shape.dim != shape_kept_dim(&meta->shape) || !scale_is_valid(meta) ||
		!queue_is_valid(meta) || !item_sizes_agree(&meta->shape) || !extents_are_apart(view->index))
		meta_damaged(view);
}

/* Set the coders and sketch parameters. */
static void
set_coders(IndexView *view)
{
	Rotation *rotation = palloc(rotation_size(view->dim));

	rotation_init(rotation, view->dim, view->index->meta.shape.seed);
	view->coder.codec = codec_by_id(view->index->meta.shape.codec);
	view->coder.shape =
		(CodecShape) {view->dim, view->metric == METRIC_L2, view->index->meta.shape.pq_m};
	view->coder.rotation = rotation;
	view->row_size = coder_row_size(&view->coder);
	view->pending_coder = view->coder;
	if (view->coder.codec->coarse)
		view->pending_coder.codec = &codec_sq8;
	view->sketch.rotation = rotation;
	view->sketch.mean = view->mean;
	view->sketch.has_add = view->coder.shape.has_add;
}

/*
 * Raise an error for meta data that would lead to misinterpreting the
 * directory, NULL rows, row versions or hashes.
 */
static void
check_directory(const IndexView *view)
{
	static const ArrayKind kinds[] = {ARRAY_DOCS, ARRAY_NULLS, ARRAY_VERSIONS, ARRAY_HASHES};

	for (int i = 0; i < lengthof(kinds); i++)
	{
		const MetaShape *shape = &view->index->meta.shape;

		if (shape->item_sizes[kinds[i]] != shape_item_size(shape, kinds[i]))
			meta_damaged(view);
	}
}

static ColbertIndex *
new_index(Relation rel)
{
	ColbertIndex *index = palloc0(sizeof(ColbertIndex));

	index->rel = rel;
	return index;
}

/* Create a view with unchecked meta data. Returns it with *buffer, the meta page, share-locked. */
static IndexView *
open_meta(ColbertIndex *index, Buffer *buffer)
{
	IndexView *view = palloc0(sizeof(IndexView));

	view->context = CurrentMemoryContext;
	view->index = index;
	index->extents = extents_cache_create();
	*buffer = meta_lock(index, BUFFER_LOCK_SHARE);
	meta_copy(index, *buffer);
	return view;
}

IndexView *
view_open_directory(Relation rel)
{
	Buffer     buffer;
	IndexView *view = open_meta(new_index(rel), &buffer);

	check_directory(view);
	UnlockReleaseBuffer(buffer);
	return view;
}

static IndexView *
open_view(ColbertIndex *index, ViewPending pending)
{
	Buffer     buffer;
	IndexView *view = open_meta(index, &buffer);

	check_parameters(view);
	view->dim = view->index->meta.shape.dim;
	view->column_dim = view->index->meta.shape.column_dim;
	if (view->dim < view->column_dim)
		view->projection =
			projection_create(view->column_dim, view->dim, view->index->meta.shape.seed);
	view->metric = view->index->meta.shape.metric;
	view->mean = palloc(view->dim * sizeof(float));
	set_coders(view);
	read_params(view);
	if (pending == VIEW_WITH_PENDING)
		read_pending(view);
	UnlockReleaseBuffer(buffer);
	return view;
}

IndexView *
view_open(Relation rel, bool building, ViewPending pending)
{
	ColbertIndex *index = new_index(rel);

	index->building = building;
	return open_view(index, pending);
}

IndexView *
view_open_scan(Relation rel, Snapshot snapshot)
{
	ColbertIndex *index = new_index(rel);

	index->snapshot = snapshot;
	index->ring = storage_ring(rel);
	return open_view(index, VIEW_WITH_PENDING);
}

void
view_refresh(IndexView *view)
{
	uint32 epoch = view->index->meta.nodes.epoch;

	meta_read(view->index);
	check_parameters(view);
	if (view->index->meta.nodes.epoch != epoch)
		read_params(view);
}

/*
 * Return the position for n new parameters: before or after those of the
 * current epoch. The new ones are used from the next epoch on, so an
 * interrupted training leaves the parameters of all existing encodings intact.
 */
static uint32
place_params(const MetaNodes *nodes, uint32 n)
{
	if (nodes->nparams == 0 || nodes->params_first >= n)
		return 0;
	return nodes->params_first + nodes->nparams;
}

void
view_write_params(IndexView *view, const float *mean, const TokenLengths *lengths,
				  const float *codebooks)
{
	ColbertIndex *index = view->index;
	MetaNodes    *nodes = &index->meta.nodes;
	uint32        ncodebooks = codebooks == NULL ? 0 : (uint32) coder_codebook_floats(&view->coder);
	uint32        first = place_params(nodes, view->dim + ncodebooks);
	uint32        end = first + view->dim + ncodebooks;
	uint32        nitems = Max(parray_nitems(index, ARRAY_PARAMS), end);
	ArrayDemand   demand = {ARRAY_PARAMS, nitems - parray_nitems(index, ARRAY_PARAMS)};
	Buffer        buffer;
	Change        change;
	MetaPageData *stored;

	/* No other backend trains the index meanwhile. */
	parray_make_room(index, &demand, 1);
	parray_copy_in(index, ARRAY_PARAMS, first, view->dim, mean);
	if (codebooks != NULL)
		parray_copy_in(index, ARRAY_PARAMS, first + view->dim, ncodebooks, codebooks);
	COLBERT_PAUSE("params-written");

	buffer = meta_lock(index, BUFFER_LOCK_EXCLUSIVE);
	meta_copy(index, buffer);
	meta_set_nitems(&index->meta, ARRAY_PARAMS, nitems);
	nodes->params_first = first;
	nodes->nparams = end - first;
	nodes->epoch++;
	nodes->token_norm = lengths->norm;
	nodes->length_spread =
		lengths->same ? 0 : (uint8) Max(Min(lengths->spread * 100, PG_UINT8_MAX), 1);
	if (index->meta.documents.scale_log2 == SCALE_UNSET)
		index->meta.documents.scale_log2 = 0;

	change_begin(&change, index);
	stored = meta_data(change_page(&change, buffer, false));
	stored->documents = index->meta.documents;
	stored->nodes = *nodes;
	change_commit(&change);
	UnlockReleaseBuffer(buffer);
	read_params(view);
}

void
view_check_row(IndexView *view, Relation table, const ItemPointerData *tid)
{
	BlockNumber block = ItemPointerGetBlockNumberNoCheck(tid);

	if (block < view->table_blocks || table->rd_tableam != GetHeapamTableAmRoutine())
		return;
	view->table_blocks = RelationGetNumberOfBlocks(table);
	if (block >= view->table_blocks)
		ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
						errmsg("index \"%s\" refers to row (%u,%u), but the table has %u blocks",
							   RelationGetRelationName(view->index->rel), block,
							   ItemPointerGetOffsetNumberNoCheck(tid), view->table_blocks),
						errhint("REINDEX it.")));
}

/* Return the factor that a token of this length is multiplied by. */
static float
preparing_factor(const IndexView *view, float norm)
{
	float scale;

	if (view->metric == METRIC_COSINE)
		return norm > 0 ? 1.0f / norm : 0.0f;
	scale = scale_factor(view->index->meta.documents.scale_log2);
	return norm * scale <= MULTIVECTOR_MAX_NORM ? scale : MULTIVECTOR_MAX_NORM / norm;
}

void
view_check_age(const IndexView *view, Relation table, const ItemPointerData *tid)
{
	Buffer buffer;

	if (!compat_old_snapshots_expire() || table->rd_tableam != GetHeapamTableAmRoutine())
		return;
	buffer = ReadBuffer(table, ItemPointerGetBlockNumberNoCheck(tid));
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	compat_test_old_snapshot(view->index->snapshot, table, BufferGetPage(buffer));
	UnlockReleaseBuffer(buffer);
}

const MultiVector *
view_indexed_tokens(const IndexView *view, const MultiVector *mv)
{
	view_check_dims(view, mv);
	return multivector_distinct(mv, view->metric == METRIC_L2);
}

uint8
view_token_flags(const IndexView *view, const MultiVector *mv)
{
	for (uint32 t = 0; view->metric != METRIC_L2 && t < mv->ntokens; t++)
		if (mv->norms[t] == 0)
			return DOC_ZERO;
	return 0;
}

void
view_prepare_tokens(const IndexView *view, const MultiVector *mv, uint32 first, uint32 n,
					float *out)
{
	if (view->projection != NULL)
	{
		for (uint32 i = 0; i < n; i++)
		{
			multivector_tokens(mv, first + i, 1, view->projection->token);
			projection_apply(view->projection, out + (size_t) i * view->dim);
		}
	}
	else
		multivector_tokens(mv, first, n, out);
	for (uint32 i = 0; i < n; i++)
	{
		float factor = preparing_factor(view, mv->norms[first + i]);

		for (uint32 k = 0; factor != 1.0f && k < view->dim; k++)
			out[(size_t) i * view->dim + k] *= factor;
	}
}

void
view_prepare_mean(const IndexView *view, const float *mean, float *out)
{
	float norm = kernel_norm(mean, view->column_dim);
	float factor = preparing_factor(view, view->metric == METRIC_COSINE ? Max(norm, 1) : norm);

	if (view->projection != NULL)
	{
		memcpy(view->projection->token, mean, view->column_dim * sizeof(float));
		projection_apply(view->projection, out);
	}
	else
		memcpy(out, mean, view->dim * sizeof(float));
	for (uint32 k = 0; k < view->dim; k++)
		out[k] *= factor;
}

void
view_prepared_norms(const IndexView *view, const MultiVector *mv, const float *tokens, uint32 n,
					float *norms)
{
	for (uint32 i = 0; i < n; i++)
	{
		if (view->projection != NULL)
			norms[i] = kernel_norm(tokens + (size_t) i * view->dim, view->dim);
		else if (view->metric == METRIC_COSINE)
			norms[i] = mv->norms[i] > 0 ? 1.0f : 0.0f;
		else
			norms[i] = mv->norms[i] * preparing_factor(view, mv->norms[i]);
	}
}

void
view_check_dims(const IndexView *view, const MultiVector *mv)
{
	if (mv->dim != view->column_dim)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("expected %u dimensions, not %u", view->column_dim, (unsigned) mv->dim)));
}

/* Distances scale like lengths, inner products like squared lengths. */
float
view_unscaled(const IndexView *view, float score)
{
	int exponent = view->index->meta.documents.scale_log2;

	if (exponent == 0 || exponent == SCALE_UNSET)
		return score;
	return ldexpf(score, view->metric == METRIC_L2 ? -exponent : -2 * exponent);
}

float
view_score(const IndexView *view, const float *keys, const float *squares, const float *weights,
		   uint32 ntokens)
{
	float score = 0;

	if (view->metric != METRIC_L2)
		for (uint32 i = 0; i < ntokens; i++)
			score += weights[i] * keys[i];
	else
		for (uint32 i = 0; i < ntokens; i++)
			score -= weights[i] * sqrtf(Max(0.0f, squares[i] - 2 * keys[i]));

	score = view_unscaled(view, score);

	/* Huge elements can overflow. Such a document ranks last, but is never unordered. */
	return score > -FLT_MAX ? score : -FLT_MAX;
}
