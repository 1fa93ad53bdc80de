/*-------------------------------------------------------------------------
 *
 * threshold_share.h
 *	  Estimate the fraction of a table's rows that pass the thresholds of a
 *	  query.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_THRESHOLD_SHARE_H
#define COLBERT_THRESHOLD_SHARE_H

#include "compat/pg_compat.h"

#include "nodes/pathnodes.h"

/*
 * Estimate the thresholds on a table's scores and rebuild core's paths for its
 * scans with these estimates. All other paths are lost, so call this before
 * any is added.
 */
extern void threshold_share_replan(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *table);

#endif /* COLBERT_THRESHOLD_SHARE_H */
