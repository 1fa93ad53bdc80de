/*-------------------------------------------------------------------------
 *
 * counts.h
 *	  Count the documents that have each lexeme, in bounded memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_COUNTS_H
#define COLBERT_COUNTS_H

#include "compat/pg_compat.h"

typedef struct LexemeCounts LexemeCounts;

extern LexemeCounts *counts_begin(Size memory);
extern void          counts_add(LexemeCounts *counts, const char *lexeme, int length);
extern void          counts_sort(LexemeCounts *counts);
extern bool          counts_next(LexemeCounts *counts, Datum *lexeme, int64 *documents);
extern void          counts_end(LexemeCounts *counts);

#endif /* COLBERT_COUNTS_H */
