/*-------------------------------------------------------------------------
 *
 * view.h
 *	  What a scan, an insert or a merge knows of an index: a copy of its meta
 *	  data, and the parameters that tokens are prepared and encoded with.
 *
 * Tokens are prepared before anything approximate sees them: normalised
 * where the metric is cosine, multiplied by the scale of the index otherwise,
 * and projected where the column has more dimensions than the index. Prepared
 * tokens have their own unit of length; view_score() leads back.
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

typedef struct IndexView
{
	ColbertIndex *index; /* its meta data are as of view_open or view_refresh */
	Metric        metric;
	uint32        dim;        /* of prepared tokens */
	uint32        column_dim; /* of documents and queries */
	Projection   *projection; /* NULL where both are the same */
	Coder         coder;      /* of the code rows */
	Coder
		pending_coder; /* of what a pending document is read back from: the same, or sq8 where that is too coarse */
	size_t       row_size; /* 0 where the codec has no rows */
	SketchParams sketch;
	float       *mean; /* dim floats, of epoch meta.nodes.epoch */
	/* Codebooks of coder, of the same epoch; NULL if they are not trained or not needed. */
	float        *codebooks;
	MemoryContext context; /* where the view is */
	uint32       *pending; /* ordinals in the queue, where they were asked for */
	uint32        npending;
	BlockNumber   table_blocks; /* of the table, as last looked at by view_check_row */
} IndexView;

typedef enum ViewPending
{
	VIEW_WITHOUT_PENDING,
	VIEW_WITH_PENDING /* copy the queue too, as of the same moment as the meta data */
} ViewPending;

/* Open in the current memory context, which must live as long as the view. */
extern IndexView *view_open(Relation rel, bool building, ViewPending pending);

/* The same for a scan, with the queue. The snapshot is checked against each page that is read through the view. */
extern IndexView *view_open_scan(Relation rel, Snapshot snapshot);

/* A view by which directory, NULL rows, row versions and hashes can be read and changed, and nothing encoded. Opening it costs little. */
extern IndexView *view_open_directory(Relation rel);

/* Set what follows from view->index->meta; rereads mean and codebooks where the epoch changed. */
extern void view_refresh(IndexView *view);

/* The lengths of the tokens, measured when the mean is trained. */
typedef struct TokenLengths
{
	float norm;   /* root mean square */
	float spread; /* standard deviation, divided by the mean */
	bool  same;   /* all within a hundredth */
} TokenLengths;

/*
 * Write the mean, the lengths of tokens, codebooks (or NULL) and a new epoch,
 * on the index's pages and in the view. An index without a scale keeps the
 * factor 1 from then on.
 */
extern void view_write_params(IndexView *view, const float *mean, const TokenLengths *lengths,
							  const float *codebooks);

/*
 * Refuse a row that the table cannot have (XX002): only damage names one. The
 * caller holds a lock on the table, which keeps VACUUM from truncating it.
 */
extern void view_check_row(IndexView *view, Relation table, const ItemPointerData *tid);

/*
 * A row was given to be fetched, or was fetched and is not there. Raise
 * "snapshot too old" if pruning may have removed it although the scan's
 * snapshot sees it. Core checks heap pages in this way in sequential scans.
 */
extern void view_check_age(const IndexView *view, Relation table, const ItemPointerData *tid);

/*
 * The tokens of a document that an index holds: copies, and for inner products
 * zeros, cannot change which token is nearest. The score of a heap row counts
 * all tokens. Errors (22000) where the dims differ.
 */
extern const MultiVector *view_indexed_tokens(const IndexView *view, const MultiVector *mv);

/* The flags of a document's entry that its tokens decide: DOC_ZERO or none. */
extern uint8 view_token_flags(const IndexView *view, const MultiVector *mv);

/*
 * Widen tokens first .. first+n-1 of a document and prepare them. A prepared
 * token is not longer than MULTIVECTOR_MAX_NORM, but for a projected one.
 */
extern void view_prepare_tokens(const IndexView *view, const MultiVector *mv, uint32 first,
								uint32 n, float *out);

/* The lengths of n prepared tokens of a document or query, from its first on. */
extern void view_prepared_norms(const IndexView *view, const MultiVector *mv, const float *tokens,
								uint32 n, float *norms);

/* Errors (22000) where a document or query has other dims than the index. */
extern void view_check_dims(const IndexView *view, const MultiVector *mv);

/*
 * The approximate score of a document, in the unit of the column, from its
 * best keys, one for each query token: their weighted sum; for L2 minus the
 * sum of distances. squares are |q|^2 of prepared tokens.
 */
extern float view_score(const IndexView *view, const float *keys, const float *squares,
						const float *weights, uint32 ntokens);

#endif /* COLBERT_VIEW_H */
