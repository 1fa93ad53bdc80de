/*-------------------------------------------------------------------------
 *
 * late.h
 *	  Keep rows that were found out of order until nothing else is left.
 *
 * There may be many late rows if a scan reads everything. They are read once,
 * best first, after all have been added. They are therefore kept in a
 * tuplesort, which spills to disk if work_mem does not hold it.
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

/* Begin an empty set of late rows, allocated in the context. */
extern LateRows *late_begin(MemoryContext context);
extern void      late_add(LateRows *late, const ExactRow *row);

/*
 * Return the next row, best first, or false at the end. No row may be added
 * after the first call.
 */
extern bool late_next(LateRows *late, ExactRow *row);
extern void late_end(LateRows *late);

#endif /* COLBERT_LATE_H */
