/*-------------------------------------------------------------------------
 *
 * view.h
 *	  View of an index, for a scan, an insert or a merge: a copy of its meta
 *	  data, and the parameters to prepare and encode tokens.
 *
 * Tokens are prepared before anything approximate is computed from them:
 * normalised for cosine, otherwise multiplied by the scale of the index, and
 * projected if the column has more dimensions than the index. Prepared tokens
 * have a unit of length of their own; view_score converts scores back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_VIEW_H
#define COLBERT_VIEW_H

#include "codec/codec.h"
#include "codec/sketch.h"
#include "index/projection.h"
#include "index/scale.h"
#include "multivector/score.h"
#include "nodes/finder.h"
#include "storage/storage.h"

/* Open index with the parameters of its tokens. */
typedef struct IndexView
{
	ColbertIndex *index; /* meta data as of view_open or view_refresh */
	Metric        metric;
	uint32        dim;        /* of prepared tokens */
	uint32        column_dim; /* of documents and queries */
	Projection   *projection; /* NULL if dim equals column_dim */
	Coder         coder;      /* of the code rows */
	/* Coder that pending documents are decoded with: coder, or sq8 if that is too coarse. */
	Coder        pending_coder;
	size_t       row_size; /* 0 if the codec has no rows */
	SketchParams sketch;
	float       *mean; /* dim floats, of epoch meta.nodes.epoch */
	/* Codebooks of coder, of the same epoch; NULL if they are not trained or not needed. */
	float        *codebooks;
	MemoryContext context; /* of the view */
	uint32       *pending; /* ordinals in the queue, if requested */
	uint32        npending;
	BlockNumber   table_blocks; /* table's number of blocks, last read by view_check_row */
} IndexView;

typedef enum ViewPending
{
	VIEW_WITHOUT_PENDING,
	VIEW_WITH_PENDING /* copy the queue, consistent with the meta data */
} ViewPending;

/* Open an index in the current memory context, which must outlive the view. */
extern IndexView *view_open(Relation rel, bool building, ViewPending pending);

/*
 * Open an index for a scan, with the queue. The snapshot is checked against
 * each page read through the view.
 */
extern IndexView *view_open_scan(Relation rel, Snapshot snapshot);

/*
 * Open an index to read and change its directory, NULL rows, row versions and
 * hashes. The view cannot encode tokens; opening it is cheap.
 */
extern IndexView *view_open_directory(Relation rel);

/* Reread the meta data, and the mean and codebooks if the epoch has changed. */
extern void view_refresh(IndexView *view);

/* Statistics of the lengths of tokens, computed when the mean is trained. */
typedef struct TokenLengths
{
	float norm;   /* root mean square */
	float spread; /* standard deviation divided by the mean */
	bool  same;   /* all within a hundredth */
} TokenLengths;

/*
 * Write the mean, the length statistics and the codebooks (or NULL) to the
 * index and begin a new epoch. Updates the view. An index whose scale is not
 * set gets the factor 1 for good.
 */
extern void view_write_params(IndexView *view, const float *mean, const TokenLengths *lengths,
							  const float *codebooks);

/*
 * Raise an error (XX002) for a row beyond the end of the table, which only
 * damage can name. The caller holds a lock on the table that keeps VACUUM from
 * truncating it.
 */
extern void view_check_row(IndexView *view, Relation table, const ItemPointerData *tid);

/*
 * Check the heap page of a row that is about to be fetched, or that was not
 * found. Raises "snapshot too old" if pruning may have removed the row
 * although the scan's snapshot sees it. Sequential scans check heap pages in
 * the same way.
 */
extern void view_check_age(const IndexView *view, Relation table, const ItemPointerData *tid);

/*
 * Return the tokens of a document that the index stores. It omits copies, and
 * zero tokens for inner products, because they cannot change which token is
 * nearest; the score of a heap row uses all tokens. Raises 22000 if the dims
 * differ.
 */
extern const MultiVector *view_indexed_tokens(const IndexView *view, const MultiVector *mv);

/* Return the directory flags determined by a document's tokens: DOC_ZERO or none. */
extern uint8 view_token_flags(const IndexView *view, const MultiVector *mv);

/*
 * Convert tokens [first, first + n) of a document to n x dim floats and
 * prepare them. Except for projected ones, they are at most
 * MULTIVECTOR_MAX_NORM long.
 */
extern void view_prepare_tokens(const IndexView *view, const MultiVector *mv, uint32 first,
								uint32 n, float *out);

/*
 * Prepare a mean of tokens, column_dim floats, as tokens are prepared. It may
 * be shorter than they are, and keeps its length relative to theirs.
 */
extern void view_prepare_mean(const IndexView *view, const float *mean, float *out);

/* Return the lengths of the first n prepared tokens of a document or query. */
extern void view_prepared_norms(const IndexView *view, const MultiVector *mv, const float *tokens,
								uint32 n, float *norms);

/* Raise 22000 if the dims of a document or query differ from the index's. */
extern void view_check_dims(const IndexView *view, const MultiVector *mv);

/* Convert a score of prepared tokens to the unit of the column. */
extern float view_unscaled(const IndexView *view, float score);

/*
 * Return the approximate score of a document, in the unit of the column, from
 * its best key per query token: their weighted sum, or for L2 minus the
 * weighted sum of distances. squares: |q|^2 of the prepared query tokens.
 */
extern float view_score(const IndexView *view, const float *keys, const float *squares,
						const float *weights, uint32 ntokens);

#endif /* COLBERT_VIEW_H */
