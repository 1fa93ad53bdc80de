/*-------------------------------------------------------------------------
 *
 * rows_ahead.h
 *	  Request the pages of heap rows, and of their documents in the TOAST
 *	  table, before they are fetched.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_ROWS_AHEAD_H
#define COLBERT_ROWS_AHEAD_H

#include "compat/pg_compat.h"

#include "storage/itemptr.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

/* Maximum rows per request. */
#define ROWS_AHEAD_MAX 8

typedef struct RowsAhead RowsAhead;

/*
 * column: number of the document's column; 0: the index is on an expression, and
 * only heap pages are requested. large: the first rows are requested even if no
 * page was read so far. Returns a struct in the current memory context.
 */
extern RowsAhead *rows_ahead_begin(Relation table, Snapshot snapshot, AttrNumber column,
								   bool large);
extern void       rows_ahead_end(RowsAhead *ahead);

/* Return the number of rows to request if row_count are about to be fetched: mostly 0. */
extern uint32 rows_ahead_wanted(RowsAhead *ahead, uint32 row_count);

/* Request n rows, at most ROWS_AHEAD_MAX. */
extern void rows_ahead_request(RowsAhead *ahead, const ItemPointerData *tids, uint32 n);

#endif /* COLBERT_ROWS_AHEAD_H */
