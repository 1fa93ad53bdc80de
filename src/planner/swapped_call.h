/*-------------------------------------------------------------------------
 *
 * swapped_call.h
 *	  Report a score whose arguments are in the wrong order.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SWAPPED_CALL_H
#define COLBERT_SWAPPED_CALL_H

#include "compat/pg_compat.h"

#include "nodes/pathnodes.h"

/*
 * Raise a NOTICE if the query has a LIMIT and orders by a score of the index's
 * documents with document and query exchanged. The query must have path keys.
 */
extern void swapped_call_tell(PlannerInfo *root, IndexOptInfo *index);

#endif /* COLBERT_SWAPPED_CALL_H */
