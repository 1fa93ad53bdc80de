/*-------------------------------------------------------------------------
 *
 * docstore.c
 *	  Append documents to an index, and read them.
 *
 * A document becomes visible when its directory entry is published, which is
 * its last page written.
 *
 * Lock order: meta page, directory page, then a queue page or a second
 * directory page. Pages of sketches and rows are locked one at a time with no
 * other page locked: until a slot is published, only its appender accesses it.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "index/docstore.h"
#include "index/hashes.h"
#include "index/queue.h"
#include "miscadmin.h"
#include "storage/locks.h"

/* Tokens decoded, encoded and copied at a time: a multiple of the sketch block. */
#define CHUNK_TOKENS 512

/* Return true if pending documents have rows in addition to those of the codec. */
static inline bool
has_pending_rows(const IndexView *view)
{
	return view->coder.codec->coarse;
}

/* ---- encoding ---- */

/* Buffers to encode up to CHUNK_TOKENS tokens of a document. */
typedef struct Encoder
{
	IndexView *view;
	float     *tokens;
	float     *scratch; /* for sketches and codes */
	float     *sum;     /* of the tokens so far */
	uint8     *blocks;
	uint8     *rows;
} Encoder;

static void
encoder_init(Encoder *encoder, IndexView *view, uint32 ntokens)
{
	uint32 chunk = Min(ntokens, CHUNK_TOKENS);
	size_t row_size = Max(view->row_size, coder_row_size(&view->pending_coder));
	size_t scratch = Max(sketch_scratch_floats(&view->sketch), coder_scratch_floats(&view->coder));

	encoder->view = view;
	encoder->sum = palloc0(view->dim * sizeof(float));
	encoder->tokens = palloc_extended(mul_size(chunk, view->dim * sizeof(float)), MCXT_ALLOC_HUGE);
	encoder->scratch = palloc_extended(mul_size(scratch, sizeof(float)), MCXT_ALLOC_HUGE);
	encoder->blocks = palloc_extended(
		mul_size(sketch_blocks_for(chunk), sketch_block_size(&view->sketch)), MCXT_ALLOC_HUGE);
	encoder->rows = palloc_extended(mul_size(chunk, row_size), MCXT_ALLOC_HUGE);
}

static void
encoder_free(Encoder *encoder)
{
	pfree(encoder->tokens);
	pfree(encoder->sum);
	pfree(encoder->scratch);
	pfree(encoder->blocks);
	pfree(encoder->rows);
}

/*
 * Sketch n tokens from encoder->tokens and write the blocks. first is a
 * multiple of the block size.
 */
static void
write_sketches(Encoder *encoder, const DocEntry *entry, uint32 first, uint32 n)
{
	IndexView *view = encoder->view;
	size_t     block_size = sketch_block_size(&view->sketch);

	for (uint32 i = 0; i < n; i += SKETCH_BLOCK_TOKENS)
		sketch_encode_block(&view->sketch, encoder->tokens + (size_t) i * view->dim,
							Min(n - i, SKETCH_BLOCK_TOKENS),
							encoder->blocks + (i / SKETCH_BLOCK_TOKENS) * block_size,
							encoder->scratch);
	parray_copy_in(view->index, ARRAY_SKETCHES, entry->first_block + first / SKETCH_BLOCK_TOKENS,
				   sketch_blocks_for(n), encoder->blocks);
}

void
docstore_add_tokens(const IndexView *view, const float *tokens, uint32 n, float *sum)
{
	for (uint32 i = 0; i < n; i++)
		for (uint32 k = 0; k < view->dim; k++)
			sum[k] += tokens[(size_t) i * view->dim + k];
}

void
docstore_encode_mean(const IndexView *view, float *sum, uint32 ntokens, uint8 *row)
{
	float *scratch = palloc(sketch_scratch_floats(&view->sketch) * sizeof(float));
	uint8 *block = palloc(sketch_block_size(&view->sketch));

	for (uint32 k = 0; k < view->dim; k++)
		sum[k] /= (float) ntokens;
	sketch_encode_row(&view->sketch, sum, row, block, scratch);
	pfree(scratch);
	pfree(block);
}

/* Write the mean of a document from encoder->sum, which it overwrites. */
static void
write_mean(Encoder *encoder, uint32 doc, uint32 ntokens)
{
	IndexView *view = encoder->view;
	uint8     *row = palloc(sketch_row_size(&view->sketch));

	docstore_encode_mean(view, encoder->sum, ntokens, row);
	parray_copy_in(view->index, ARRAY_MEANS, doc, 1, row);
	pfree(row);
}

static void
write_rows(Encoder *encoder, const Coder *coder, ArrayKind array, uint32 first_row, uint32 n)
{
	IndexView *view = encoder->view;

	coder_encode(coder, encoder->tokens, n, encoder->rows, encoder->scratch);
	parray_copy_in(view->index, array, first_row, n, encoder->rows);
}

static void
write_tokens(IndexView *view, uint32 doc, const DocEntry *entry, const MultiVector *mv)
{
	Encoder encoder;

	encoder_init(&encoder, view, mv->ntokens);
	for (uint32 first = 0; first < mv->ntokens; first += CHUNK_TOKENS)
	{
		uint32 n = Min(mv->ntokens - first, CHUNK_TOKENS);

		CHECK_FOR_INTERRUPTS();
		view_prepare_tokens(view, mv, first, n, encoder.tokens);
		docstore_add_tokens(view, encoder.tokens, n, encoder.sum);
		write_sketches(&encoder, entry, first, n);
		if (coder_has_rows(&view->coder))
			write_rows(&encoder, &view->coder, ARRAY_ROWS, entry->first_row + first, n);
		if (has_pending_rows(view) && (entry->flags & DOC_PENDING))
			write_rows(&encoder, &view->pending_coder, ARRAY_PENDING_ROWS,
					   entry->first_pending_row + first, n);
	}
	write_mean(&encoder, doc, mv->ntokens);
	encoder_free(&encoder);
}

/* ---- reserving and publishing ---- */

/* Other items that change together with a slot. */
typedef struct SlotLinks
{
	const FreeSlot *free;       /* free list position that the slot is taken from; NULL: none */
	uint32          queue_item; /* queue item that receives the document; INVALID_ORDINAL: none */
} SlotLinks;

/*
 * Write a slot's directory entry and the documents' part of the meta data in
 * one change. The same change takes the slot off its free list or adds it to
 * the queue.
 *
 * The caller holds the meta page exclusively and has updated the copy of the
 * meta data. No other writer locks two of these pages without holding the meta
 * page.
 */
static void
write_slot(IndexView *view, Buffer meta_buffer, uint32 doc, const DocEntry *entry,
		   const SlotLinks *links)
{
	ColbertIndex *index = view->index;
	MetaPageData *meta = &view->index->meta;
	Buffer        buffer = parray_lock(index, ARRAY_DOCS, doc);
	Buffer        other = InvalidBuffer;
	bool          enqueue = links->queue_item != INVALID_ORDINAL;
	uint32        before = links->free != NULL ? links->free->before : INVALID_ORDINAL;
	Change        change;

	if (enqueue)
		other = parray_lock(index, ARRAY_QUEUE, links->queue_item);
	else if (before != INVALID_ORDINAL && !parray_same_page(index, ARRAY_DOCS, before, doc))
		other = parray_lock(index, ARRAY_DOCS, before);

	change_begin(&change, index);
	meta_data(change_page(&change, meta_buffer, false))->documents = meta->documents;
	memcpy(parray_change(&change, buffer, ARRAY_DOCS, doc), entry, sizeof(DocEntry));
	if (enqueue)
		memcpy(parray_change(&change, other, ARRAY_QUEUE, links->queue_item), &doc, sizeof(uint32));
	else if (before != INVALID_ORDINAL)
		((DocEntry *) parray_change(&change, BufferIsValid(other) ? other : buffer, ARRAY_DOCS,
									before))
			->ntokens = links->free->next;
	change_commit(&change);
	if (BufferIsValid(other))
		UnlockReleaseBuffer(other);
	UnlockReleaseBuffer(buffer);
}

/*
 * Take fresh items of every array for a new slot. The arrays have room, and
 * the meta page is held exclusively. Returns the document's ordinal.
 */
static uint32
take_fresh(IndexView *view, uint32 ntokens, DocEntry *entry)
{
	ColbertIndex *index = view->index;
	uint32        nblocks = sketch_blocks_for(ntokens);

	memset(entry, 0, sizeof(DocEntry));
	entry->capacity = ntokens;
	entry->first_block = parray_take(index, ARRAY_SKETCHES, nblocks);
	entry->first_row = parray_take(index, ARRAY_ROWS, ntokens);
	parray_take(index, ARRAY_MEANS, 1);
	return parray_take(index, ARRAY_DOCS, 1);
}

/*
 * Choose the scale from the first document that has a token of nonzero length.
 * No token that the scale would change has been encoded before.
 */
static void
settle_scale(IndexView *view, const MultiVector *mv)
{
	LengthSum lengths = {0};

	if (view->index->meta.documents.scale_log2 != SCALE_UNSET)
		return;
	scale_add_lengths(&lengths, mv);
	view->index->meta.documents.scale_log2 =
		scale_choose(view->metric, &lengths, SCALE_OF_ONE_DOCUMENT);
}

/* Lock the meta page exclusively and copy it. Rereads the parameters if the epoch has changed. */
static Buffer
lock_current_meta(IndexView *view)
{
	for (;;)
	{
		Buffer meta_buffer = meta_lock(view->index, BUFFER_LOCK_EXCLUSIVE);
		uint32 epoch = view->index->meta.nodes.epoch;

		meta_copy(view->index, meta_buffer);
		if (view->index->meta.nodes.epoch == epoch)
			return meta_buffer;
		UnlockReleaseBuffer(meta_buffer);
		view->index->meta.nodes.epoch = epoch;
		view_refresh(view);
	}
}

/*
 * Lock the meta page like lock_current_meta, with room in the arrays. Arrays
 * without room are extended with no page locked.
 */
static Buffer
lock_with_room(IndexView *view, const ArrayDemand *demands, int n)
{
	for (;;)
	{
		Buffer meta_buffer = lock_current_meta(view);

		if (parray_have_room(view->index, demands, n))
			return meta_buffer;
		UnlockReleaseBuffer(meta_buffer);
		parray_make_room(view->index, demands, n);
	}
}

/*
 * Lock the meta page exclusively, with a slot for a document (a free one, or
 * room for a new one) and a run of pending rows or room for it. Arrays without
 * room are extended with no page locked. Sets *reused, and for a free slot
 * *free and *entry. Returns the meta page's buffer.
 */
static Buffer
lock_with_slot(IndexView *view, uint32 ntokens, bool pending_rows, FreeSlot *free, bool *reused,
			   DocEntry *entry)
{
	ArrayDemand demands[] = {{ARRAY_PENDING_ROWS, 0},
							 {ARRAY_DOCS, 1},
							 {ARRAY_MEANS, 1},
							 {ARRAY_SKETCHES, sketch_blocks_for(ntokens)},
							 {ARRAY_ROWS, ntokens}};

	for (;;)
	{
		Buffer meta_buffer = lock_current_meta(view);
		int    wanted = 1;

		demands[0].count = pending_rows ? pending_rows_wanted(view, ntokens) : 0;
		if (parray_have_room(view->index, demands, 1))
		{
			*reused = docstore_find_free(view, ntokens, free, entry);
			if (*reused || parray_have_room(view->index, demands, lengthof(demands)))
				return meta_buffer;
			wanted = lengthof(demands);
		}
		UnlockReleaseBuffer(meta_buffer);
		parray_make_room(view->index, demands, wanted);
	}
}

/*
 * Write the entry of a reserved slot: of a document, at the row and with the
 * hash of *asked. The caller holds the meta page exclusively, which is released.
 */
static void
write_reserved(IndexView *view, Buffer meta_buffer, uint32 doc, const DocEntry *asked,
			   DocEntry *entry, const FreeSlot *free)
{
	entry->tid = asked->tid;
	entry->hash = asked->hash;
	entry->state = DOC_RESERVED;
	entry->flags = asked->flags;
	entry->ntokens = asked->ntokens;
	entry->epoch = view->index->meta.nodes.epoch;
	write_slot(view, meta_buffer, doc, entry, &(SlotLinks) {free, INVALID_ORDINAL});
	UnlockReleaseBuffer(meta_buffer);
}

/*
 * Reserve a slot for a document. On entry *entry has the row, the hash, the
 * flags and the number of tokens; on return it is the slot's directory entry.
 */
static uint32
reserve(IndexView *view, const MultiVector *mv, DocEntry *entry)
{
	const DocEntry asked = *entry;
	bool           pending_rows = (asked.flags & DOC_PENDING) && has_pending_rows(view);
	FreeSlot       free;
	bool           reused;
	Buffer meta_buffer = lock_with_slot(view, asked.ntokens, pending_rows, &free, &reused, entry);
	uint32 doc = reused ? free.doc : take_fresh(view, asked.ntokens, entry);

	settle_scale(view, mv);
	if (pending_rows)
		entry->first_pending_row = pending_rows_take(view, asked.ntokens);
	write_reserved(view, meta_buffer, doc, &asked, entry, reused ? &free : NULL);
	return doc;
}

/* Set a directory entry to a place, which belongs to no document yet. */
static void
place_entry(const DocPlace *place, uint32 ntokens, DocEntry *entry)
{
	memset(entry, 0, sizeof(DocEntry));
	entry->capacity = ntokens;
	entry->first_block = place->first_block;
	entry->first_row = place->first_row;
}

/* Reserve a place that the caller has taken, as reserve does. */
static uint32
reserve_place(IndexView *view, const DocPlace *place, const MultiVector *mv, DocEntry *entry)
{
	const DocEntry asked = *entry;
	Buffer         meta_buffer = lock_current_meta(view);

	place_entry(place, asked.ntokens, entry);
	settle_scale(view, mv);
	write_reserved(view, meta_buffer, place->doc, &asked, entry, NULL);
	return place->doc;
}

/* Make a written document live, and add it to the queue if it is pending. */
static void
publish(IndexView *view, uint32 doc, DocEntry *entry)
{
	const ArrayDemand demand = {ARRAY_QUEUE, 1};
	bool              pending = (entry->flags & DOC_PENDING) != 0;
	MetaPageData     *meta = &view->index->meta;
	SlotLinks         links = {NULL, INVALID_ORDINAL};
	Buffer            meta_buffer = lock_current_meta(view);

	if (pending && queue_wants_room(meta) && !parray_have_room(view->index, &demand, 1))
	{
		UnlockReleaseBuffer(meta_buffer);
		meta_buffer = lock_with_room(view, &demand, 1);
	}
	if (pending)
	{
		links.queue_item = queue_append(view->index);
		meta->documents.pending_tokens += entry->ntokens;
	}
	meta->documents.live_docs++;
	meta->documents.live_tokens += entry->ntokens;
	entry->state = DOC_LIVE;

	write_slot(view, meta_buffer, doc, entry, &links);
	UnlockReleaseBuffer(meta_buffer);
}

/* Append a document, at a place that the caller has taken or, if it is NULL, in any slot. */
static uint32
append(IndexView *view, const DocPlace *place, const MultiVector *mv, DocEntry *entry)
{
	uint32 doc;

	view_check_dims(view, mv);
	entry->ntokens = mv->ntokens;
	index_lock_poll(view->index->rel, LOCK_APPEND, ShareLock);
	doc = place != NULL ? reserve_place(view, place, mv, entry) : reserve(view, mv, entry);
	COLBERT_PAUSE("append-reserved");
	write_tokens(view, doc, entry, mv);
	COLBERT_PAUSE("append-written");
	publish(view, doc, entry);
	index_unlock(view->index->rel, LOCK_APPEND, ShareLock);
	hashes_add(view, entry->hash, doc);
	return doc;
}

uint32
docstore_append(IndexView *view, ItemPointer tid, const MultiVector *mv, uint32 hash, uint8 flags)
{
	DocEntry entry = {.tid = *tid, .hash = hash, .flags = flags};

	return append(view, NULL, mv, &entry);
}

void
docstore_append_at(IndexView *view, const DocPlace *place, ItemPointer tid, const MultiVector *mv,
				   uint32 hash, uint8 flags)
{
	DocEntry entry = {.tid = *tid, .hash = hash, .flags = flags};

	append(view, place, mv, &entry);
}

DocPlace
docstore_take_places(IndexView *view, uint32 ndocs, uint32 ntokens, uint32 nblocks)
{
	ColbertIndex *index = view->index;
	Buffer        meta_buffer = lock_current_meta(view);
	DocPlace      first;
	Change        change;

	first.doc = parray_take(index, ARRAY_DOCS, ndocs);
	first.first_block = parray_take(index, ARRAY_SKETCHES, nblocks);
	first.first_row = parray_take(index, ARRAY_ROWS, ntokens);
	parray_take(index, ARRAY_MEANS, ndocs);
	change_begin(&change, index);
	meta_data(change_page(&change, meta_buffer, false))->documents = index->meta.documents;
	change_commit(&change);
	UnlockReleaseBuffer(meta_buffer);
	return first;
}

void
docstore_free_place(IndexView *view, const DocPlace *place, uint32 ntokens)
{
	Buffer   buffer = parray_lock(view->index, ARRAY_DOCS, place->doc);
	DocEntry entry;
	Change   change;

	place_entry(place, ntokens, &entry);
	entry.state = DOC_RESERVED;
	entry.ntokens = ntokens;
	change_begin(&change, view->index);
	memcpy(parray_change(&change, buffer, ARRAY_DOCS, place->doc), &entry, sizeof(DocEntry));
	change_commit(&change);
	UnlockReleaseBuffer(buffer);
	docstore_push_free(view, &place->doc, 1);
}

void
docstore_presize(IndexView *view, uint64 ndocs, uint64 ntokens, uint64 nblocks)
{
	const ArrayDemand demands[] = {
		{ARRAY_DOCS, ndocs},
		{ARRAY_MEANS, ndocs},
		{ARRAY_SKETCHES, nblocks},
		{ARRAY_ROWS, ntokens},
	};

	parray_make_room(view->index, demands, lengthof(demands));
}

/* ---- reading ---- */

bool
docstore_entry(IndexView *view, uint32 doc, DocEntry *entry)
{
	Buffer buffer;
	char  *data;

	if (doc >= parray_nitems(view->index, ARRAY_DOCS))
		return false;
	buffer = parray_read(view->index, ARRAY_DOCS, doc, &data);
	if (data != NULL)
		memcpy(entry, data, sizeof(DocEntry));
	UnlockReleaseBuffer(buffer);
	return data != NULL && entry->state != DOC_NONE;
}

/* Decode n rows of an array. */
static void
decode_rows(IndexView *view, const Coder *coder, ArrayKind array, uint32 first, uint32 n,
			float *out)
{
	size_t row_size = coder_row_size(coder);
	uint8 *rows = palloc_extended(mul_size(n, row_size), MCXT_ALLOC_HUGE);
	float *scratch = palloc(coder_scratch_floats(coder) * sizeof(float));

	parray_copy_out(view->index, array, first, n, rows);
	for (uint32 i = 0; i < n; i++)
		coder_decode(coder, rows + i * row_size, out + (size_t) i * view->dim, scratch);
	pfree(rows);
	pfree(scratch);
}

void
docstore_vectors(IndexView *view, const DocEntry *entry, uint32 first, uint32 n, float *out)
{
	if (has_pending_rows(view))
		decode_rows(view, &view->pending_coder, ARRAY_PENDING_ROWS,
					entry->first_pending_row + first, n, out);
	else
		docstore_coded_vectors(view, entry, first, n, out);
}

void
docstore_coded_vectors(IndexView *view, const DocEntry *entry, uint32 first, uint32 n, float *out)
{
	decode_rows(view, &view->coder, ARRAY_ROWS, entry->first_row + first, n, out);
}

/* Add the first n tokens of a document, as stored, to encoder->sum. */
static void
add_stored_tokens(Encoder *encoder, const DocEntry *entry, uint32 n)
{
	IndexView *view = encoder->view;
	uint32     room = Min(n, CHUNK_TOKENS);
	float     *tokens;

	if (n == 0)
		return;
	tokens = palloc_extended(mul_size(room, view->dim * sizeof(float)), MCXT_ALLOC_HUGE);
	for (uint32 first = 0; first < n; first += CHUNK_TOKENS)
	{
		uint32 chunk = Min(n - first, CHUNK_TOKENS);

		CHECK_FOR_INTERRUPTS();
		docstore_vectors(view, entry, first, chunk, tokens);
		docstore_add_tokens(view, tokens, chunk, encoder->sum);
	}
	pfree(tokens);
}

void
docstore_resketch(IndexView *view, uint32 doc, const DocEntry *entry, uint32 first, uint32 n)
{
	uint32    end = first + n;
	Encoder   encoder;
	DocEntry *stored;
	Buffer    buffer;
	Change    change;

	encoder_init(&encoder, view, n);
	if (end == entry->ntokens)
		add_stored_tokens(&encoder, entry, first);
	for (; first < end; first += CHUNK_TOKENS)
	{
		uint32 chunk = Min(end - first, CHUNK_TOKENS);

		CHECK_FOR_INTERRUPTS();
		docstore_vectors(view, entry, first, chunk, encoder.tokens);
		docstore_add_tokens(view, encoder.tokens, chunk, encoder.sum);
		write_sketches(&encoder, entry, first, chunk);
		if (view->codebooks != NULL)
			write_rows(&encoder, &view->coder, ARRAY_ROWS, entry->first_row + first, chunk);
	}
	if (end == entry->ntokens)
		write_mean(&encoder, doc, entry->ntokens);
	encoder_free(&encoder);
	if (end < entry->ntokens)
		return;

	buffer = parray_lock(view->index, ARRAY_DOCS, doc);
	change_begin(&change, view->index);
	stored = (DocEntry *) parray_change(&change, buffer, ARRAY_DOCS, doc);
	stored->epoch = view->index->meta.nodes.epoch;
	change_commit(&change);
	UnlockReleaseBuffer(buffer);
}

void
docstore_change_flags(IndexView *view, const uint32 *docs, uint32 ndocs, uint8 clear, uint8 set)
{
	uint32 i = 0;

	while (i < ndocs)
	{
		uint32 run = parray_run(view->index, ARRAY_DOCS, docs[i]);
		uint32 end = docs[i] + run;
		Buffer buffer = parray_lock(view->index, ARRAY_DOCS, docs[i]);
		Change change;

		change_begin(&change, view->index);
		for (; i < ndocs && docs[i] < end; i++)
		{
			DocEntry *entry = (DocEntry *) parray_change(&change, buffer, ARRAY_DOCS, docs[i]);

			if (docstore_releases(entry, false))
				entry->flags = (entry->flags & ~clear) | set;
		}
		change_commit(&change);
		UnlockReleaseBuffer(buffer);
	}
}

void
docstore_clear_pending(IndexView *view, const uint32 *docs, uint32 ndocs, uint8 set)
{
	if (has_pending_rows(view))
		for (uint32 i = 0; i < ndocs; i++)
			pending_rows_release(view, docs[i], false, set);
	else
		docstore_change_flags(view, docs, ndocs, DOC_PENDING, set);
}

void
docstore_walk(IndexView *view, DocVisitor visit, void *arg)
{
	uint32    ndocs = parray_nitems(view->index, ARRAY_DOCS);
	DocEntry *entries = palloc(PAGE_PAYLOAD);

	for (uint32 doc = 0; doc < ndocs;)
	{
		uint32 run = Min(parray_run(view->index, ARRAY_DOCS, doc), ndocs - doc);

		CHECK_FOR_INTERRUPTS();
		parray_copy_out(view->index, ARRAY_DOCS, doc, run, entries);
		for (uint32 i = 0; i < run; i++)
			if (entries[i].state != DOC_NONE)
				visit(view, doc + i, &entries[i], arg);
		doc += run;
	}
	pfree(entries);
}
