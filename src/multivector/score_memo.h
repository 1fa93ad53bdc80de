/*-------------------------------------------------------------------------
 *
 * score_memo.h
 *	  Scores computed by a scan, for the expressions of its statement.
 *
 * An index scan scores the rows that it emits, to order them, and most
 * statements ask for the same score again in their target list. Fetching a
 * document that is stored out of line and scoring it once more takes as long
 * as some twenty candidates take in the index. So the scan remembers its last
 * scores, keyed by the toast pointers of the documents.
 *
 * A toast pointer identifies one value for as long as a snapshot sees a row
 * that has it, and the scan's snapshot does. A memo ends with the memory
 * context that it was begun in: that of a search.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SCORE_MEMO_H
#define COLBERT_SCORE_MEMO_H

#include "multivector/score.h"

typedef struct ScoreMemo ScoreMemo;

/*
 * Begin a memo in the current context. Returns NULL if the query is huge.
 * prepared must live as long as the memo.
 */
extern ScoreMemo *score_memo_begin(const MultiVector *query, ScoreQuery *prepared, Metric metric);

/* Remember a score. Does nothing if the document is not stored out of line, or memo is NULL. */
extern void score_memo_put(ScoreMemo *memo, Datum document, double score);

/*
 * Find the score of a document and a query in the memos of all scans.
 * *prepared becomes the query as that scan prepared it. Returns false if no
 * memo has the score. query is plain, compressed or a pointer to a value on
 * disk. May detoast it, so it must not be called under a buffer lock.
 */
extern bool score_memo_find(Datum document, const struct varlena *query, Metric metric,
							double *score, ScoreQuery **prepared);

#endif /* COLBERT_SCORE_MEMO_H */
