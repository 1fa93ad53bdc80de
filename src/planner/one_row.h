/*-------------------------------------------------------------------------
 *
 * one_row.h
 *	  Relations that are known to have at most one row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_ONE_ROW_H
#define COLBERT_ONE_ROW_H

#include "compat/pg_compat.h"

#include "nodes/pathnodes.h"

/* Does a relation, or a join, give at most one row? False if that is not certain. */
extern bool one_row_is_certain(PlannerInfo *root, RelOptInfo *rel);

#endif /* COLBERT_ONE_ROW_H */
