/*-------------------------------------------------------------------------
 *
 * one_row.h
 *	  Relations that are known to return at most one row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_ONE_ROW_H
#define COLBERT_ONE_ROW_H

#include "compat/pg_compat.h"

#include "nodes/pathnodes.h"

/* Return true if a relation or join is certain to return at most one row. */
extern bool one_row_is_certain(PlannerInfo *root, RelOptInfo *rel);

#endif /* COLBERT_ONE_ROW_H */
