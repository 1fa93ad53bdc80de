/*-------------------------------------------------------------------------
 *
 * threshold_share.h
 *	  How many rows of a table pass the thresholds of a query.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_THRESHOLD_SHARE_H
#define COLBERT_THRESHOLD_SHARE_H

#include "compat/pg_compat.h"

#include "nodes/pathnodes.h"

/*
 * Estimate the thresholds of a table's scores and plan its scans anew with
 * them. Other paths than core's are lost: to be called before any are added.
 */
extern void threshold_share_replan(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *table);

#endif /* COLBERT_THRESHOLD_SHARE_H */
