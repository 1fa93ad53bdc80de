/*-------------------------------------------------------------------------
 *
 * swapped_call.h
 *	  Say that a score has its arguments in the wrong order.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SWAPPED_CALL_H
#define COLBERT_SWAPPED_CALL_H

#include "compat/pg_compat.h"

#include "nodes/pathnodes.h"

/*
 * Raise a NOTICE if the query orders by a score of the index's documents with
 * query and document exchanged, and wants a part of the rows. The query has
 * path keys.
 */
extern void swapped_call_tell(PlannerInfo *root, IndexOptInfo *index);

#endif /* COLBERT_SWAPPED_CALL_H */
