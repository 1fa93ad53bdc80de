/*-------------------------------------------------------------------------
 *
 * cost.h
 *	  What a scan costs, for the planner.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_COST_H
#define COLBERT_COST_H

#include "compat/pg_compat.h"

#include "nodes/pathnodes.h"

/*
 * Cost a path in the order of a score as one that gives few rows, if a LIMIT
 * that the planner does not know is all that reads it.
 */
extern void colbert_expect_limit(PlannerInfo *root, Path *path);
extern void colbert_costestimate(PlannerInfo *root, IndexPath *path, double loop_count,
								 Cost *startup_cost, Cost *total_cost, Selectivity *selectivity,
								 double *correlation, double *pages);

#endif /* COLBERT_COST_H */
