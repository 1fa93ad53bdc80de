/*-------------------------------------------------------------------------
 *
 * cost.h
 *	  Cost estimates of index scans for the planner.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_COST_H
#define COLBERT_COST_H

#include "compat/pg_compat.h"

#include "nodes/pathnodes.h"

/*
 * If an unknown LIMIT alone reads an ordered path, cost the path as if it
 * returned only the few rows that such a LIMIT usually takes.
 */
extern void colbert_expect_limit(PlannerInfo *root, Path *path);
extern void colbert_costestimate(PlannerInfo *root, IndexPath *path, double loop_count,
								 Cost *startup_cost, Cost *total_cost, Selectivity *selectivity,
								 double *correlation, double *pages);

#endif /* COLBERT_COST_H */
