/*-------------------------------------------------------------------------
 *
 * score_memo.h
 *	  Scores that a scan has computed, for the expressions of its statement.
 *
 * An index scan scores the rows that it emits, to order them, and the target
 * list of most statements asks for the same score again: to fetch a
 * document that is out of line, and score it once more, takes as long as some
 * twenty candidates take in the index. So the scan remembers its last scores by
 * the documents' pointers out of line.
 *
 * Such a pointer names one value for as long as a snapshot holds a row that
 * has it, and the scan's snapshot does. A memo is forgotten with the memory
 * context that it was begun in: that of a search.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SCORE_MEMO_H
#define COLBERT_SCORE_MEMO_H

#include "multivector/score.h"

typedef struct ScoreMemo ScoreMemo;

/* Begin a memo in the current context; NULL for a huge query. prepared has to live as long. */
extern ScoreMemo *score_memo_begin(const MultiVector *query, ScoreQuery *prepared, Metric metric);

/* Remember a score; does nothing for a document that is not out of line, or without a memo. */
extern void score_memo_put(ScoreMemo *memo, Datum document, double score);

/*
 * The score of a document with a query as some scan remembers it, and the
 * query as prepared there; false where none does. query: plain, compressed or
 * a pointer to a value on disk. May detoast it: not under a buffer lock.
 */
extern bool score_memo_find(Datum document, const struct varlena *query, Metric metric,
							double *score, ScoreQuery **prepared);

#endif /* COLBERT_SCORE_MEMO_H */
