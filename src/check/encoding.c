/*-------------------------------------------------------------------------
 *
 * encoding.c
 *	  Compare sketches, means and code rows with the stored documents.
 *
 * Encoding is deterministic, so bytes are compared. Code rows and sketches are
 * normally encoded from the tokens of the stored document. If the mean was
 * trained after the document was inserted, they are encoded from tokens decoded
 * from its pending rows. Both results are accepted. Sketches of another epoch
 * than the index's are skipped, because no search uses them.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "check/check.h"

struct EncodingCheck
{
	Check *check;
	size_t block_size;

	/*
	 * one block of tokens, the same tokens decoded from pending rows, and the
	 * encodings of either
	 */
	float *tokens;
	float *decoded;
	float *scratch;
	uint8 *rows;
	uint8 *stored_rows;
	uint8 *block;
	uint8 *stored_block;

	/* sums of the document's tokens, and of the decoded ones */
	float *sum;
	float *decoded_sum;
};

EncodingCheck *
encoding_check_begin(Check *check)
{
	IndexView     *view = check->view;
	EncodingCheck *state = palloc0(sizeof(EncodingCheck));
	size_t         row_size = Max(view->row_size, coder_row_size(&view->pending_coder));
	size_t         scratch =
		Max(coder_scratch_floats(&view->coder), coder_scratch_floats(&view->pending_coder));

	state->check = check;
	state->block_size = sketch_block_size(&view->sketch);
	state->tokens = palloc(mul_size(SKETCH_BLOCK_TOKENS, view->dim * sizeof(float)));
	state->decoded = palloc(mul_size(SKETCH_BLOCK_TOKENS, view->dim * sizeof(float)));
	state->scratch = palloc(Max(scratch, sketch_scratch_floats(&view->sketch)) * sizeof(float));
	state->rows = palloc(SKETCH_BLOCK_TOKENS * row_size);
	state->stored_rows = palloc(SKETCH_BLOCK_TOKENS * row_size);
	state->block = palloc(state->block_size);
	state->stored_block = palloc(state->block_size);
	state->sum = palloc(view->dim * sizeof(float));
	state->decoded_sum = palloc(view->dim * sizeof(float));
	return state;
}

/* Set state->decoded to n tokens, encoded as pending rows and decoded again. */
static void
decode_tokens(EncodingCheck *state, uint32 n)
{
	IndexView   *view = state->check->view;
	const Coder *coder = &view->pending_coder;

	coder_encode(coder, state->tokens, n, state->rows, state->scratch);
	for (uint32 i = 0; i < n; i++)
		coder_decode(coder, state->rows + i * coder_row_size(coder),
					 state->decoded + (size_t) i * view->dim, state->scratch);
}

/* Return true if the n rows from first on are the coder's encoding of tokens. */
static bool
rows_are_of(EncodingCheck *state, const Coder *coder, ArrayKind array, uint32 first, uint32 n,
			const float *tokens)
{
	IndexView *view = state->check->view;

	coder_encode(coder, tokens, n, state->rows, state->scratch);
	parray_copy_out(view->index, array, first, n, state->stored_rows);
	return memcmp(state->rows, state->stored_rows, n * coder_row_size(coder)) == 0;
}

/* Compare n code rows of a document, and its pending rows if they are stored apart. */
static bool
rows_agree(EncodingCheck *state, const DocEntry *entry, uint32 first, uint32 n)
{
	IndexView *view = state->check->view;

	if (docstore_has_rows(view, entry) &&
		!rows_are_of(state, &view->coder, ARRAY_ROWS, entry->first_row + first, n, state->tokens) &&
		!rows_are_of(state, &view->coder, ARRAY_ROWS, entry->first_row + first, n, state->decoded))
		return false;
	return !view->coder.codec->coarse || !(entry->flags & DOC_PENDING) ||
		   rows_are_of(state, &view->pending_coder, ARRAY_PENDING_ROWS,
					   entry->first_pending_row + first, n, state->tokens);
}

static bool
block_is_of(EncodingCheck *state, const float *tokens, uint32 n)
{
	sketch_encode_block(&state->check->view->sketch, tokens, n, state->block, state->scratch);
	return memcmp(state->block, state->stored_block, state->block_size) == 0;
}

static bool
sketches_agree(EncodingCheck *state, const DocEntry *entry, uint32 first, uint32 n)
{
	IndexView *view = state->check->view;

	if (entry->epoch != view->index->meta.nodes.epoch)
		return true;
	parray_copy_out(view->index, ARRAY_SKETCHES, entry->first_block + first / SKETCH_BLOCK_TOKENS,
					1, state->stored_block);
	return block_is_of(state, state->tokens, n) || block_is_of(state, state->decoded, n);
}

/* Return true if the stored mean is that of a sum of all tokens. */
static bool
mean_is_of(EncodingCheck *state, float *sum, uint32 ntokens)
{
	const IndexView *view = state->check->view;

	docstore_encode_mean(view, sum, ntokens, state->block);
	return memcmp(state->block, state->stored_block, sketch_row_size(&view->sketch)) == 0;
}

static bool
mean_agrees(EncodingCheck *state, uint32 doc, const DocEntry *entry)
{
	ColbertIndex *index = state->check->view->index;

	if (entry->epoch != index->meta.nodes.epoch || doc >= parray_nitems(index, ARRAY_MEANS))
		return true;
	parray_copy_out(index, ARRAY_MEANS, doc, 1, state->stored_block);
	return mean_is_of(state, state->sum, entry->ntokens) ||
		   mean_is_of(state, state->decoded_sum, entry->ntokens);
}

void
encoding_check_document(EncodingCheck *state, uint32 doc, Datum value)
{
	Check             *check = state->check;
	const DocEntry    *entry = &check->docs[doc];
	const MultiVector *mv =
		multivector_distinct(multivector_from_datum(value), check->view->metric == METRIC_L2);

	if (mv->dim != check->view->column_dim || mv->ntokens != entry->ntokens)
	{
		findings_add(check->findings, FINDING_ERROR, doc,
					 "document has %u distinct tokens of %u dimensions, but its row has %u of %u",
					 entry->ntokens, check->view->column_dim, mv->ntokens, (unsigned) mv->dim);
		return;
	}
	memset(state->sum, 0, check->view->dim * sizeof(float));
	memset(state->decoded_sum, 0, check->view->dim * sizeof(float));
	for (uint32 first = 0; first < mv->ntokens; first += SKETCH_BLOCK_TOKENS)
	{
		uint32 n = Min(mv->ntokens - first, SKETCH_BLOCK_TOKENS);

		view_prepare_tokens(check->view, mv, first, n, state->tokens);
		decode_tokens(state, n);
		docstore_add_tokens(check->view, state->tokens, n, state->sum);
		docstore_add_tokens(check->view, state->decoded, n, state->decoded_sum);
		if (!rows_agree(state, entry, first, n))
			findings_add(check->findings, FINDING_ERROR, doc,
						 "code rows of tokens %u to %u do not match the stored document", first,
						 first + n - 1);
		if (!sketches_agree(state, entry, first, n))
			findings_add(check->findings, FINDING_ERROR, doc,
						 "sketches of tokens %u to %u do not match the stored document", first,
						 first + n - 1);
	}
	if (!mean_agrees(state, doc, entry))
		findings_add(check->findings, FINDING_ERROR, doc,
					 "mean of tokens does not match the stored document");
}
