/*-------------------------------------------------------------------------
 *
 * late.h
 *	  Rows that were found out of order, kept until nothing else is left.
 *
 * They may be many where a scan is asked for everything, and are read once,
 * best first, after all were added: a sort, which goes to disk where work_mem
 * does not hold it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_LATE_H
#define COLBERT_LATE_H

#include "storage/itemptr.h"

/* A heap row and its exact score. */
typedef struct ExactRow
{
	double          score; /* larger is nearer */
	uint32          doc;
	ItemPointerData tid;
} ExactRow;

typedef struct LateRows LateRows;

/* Allocates in the context. */
extern LateRows *late_begin(MemoryContext context);
extern void      late_add(LateRows *late, const ExactRow *row);

/* The next one, best first; false at the end. None may be added after the first call. */
extern bool late_next(LateRows *late, ExactRow *row);
extern void late_end(LateRows *late);

#endif /* COLBERT_LATE_H */
