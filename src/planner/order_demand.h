/*-------------------------------------------------------------------------
 *
 * order_demand.h
 *	  The number of leading rows that a plan node needs in order from its child.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_ORDER_DEMAND_H
#define COLBERT_ORDER_DEMAND_H

#include "compat/pg_compat.h"

#include "nodes/execnodes.h"
#include "search/search.h"

/* A node on the path from the top of a plan down to a scan. */
typedef struct DemandStep
{
	PlanState *node;
	bool       inner;     /* the path leads down the inner side of a join */
	ExprState *run_bound; /* bound of "window function <= bound", which ends the window; or NULL */
	Oid        run_bound_type;
	bool       run_bound_excluded; /* < instead of <= */
} DemandStep;

/* Describe a node and the child that the path leads to. Allocates in the plan's memory context. */
extern DemandStep demand_step(PlanState *node, const PlanState *child);

/*
 * Return the demand of a node on its child, given the demand on the node
 * itself. Limits are known only after the node was asked for its first row.
 */
extern OrderNeed demand_below(const DemandStep *step, OrderNeed asked);

#endif /* COLBERT_ORDER_DEMAND_H */
