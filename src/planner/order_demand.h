/*-------------------------------------------------------------------------
 *
 * order_demand.h
 *	  How many rows, in order, a plan node asks of the node below it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_ORDER_DEMAND_H
#define COLBERT_ORDER_DEMAND_H

#include "compat/pg_compat.h"

#include "nodes/execnodes.h"
#include "search/search.h"

/* A node on the way from the top of a plan down to a scan. */
typedef struct DemandStep
{
	PlanState *node;
	bool       inner; /* of a join: the way leads down its inner side */
	ExprState
		*run_bound; /* window function <= bound, else the window ends; NULL: no such condition */
	Oid  run_bound_type;
	bool run_bound_excluded; /* < instead of <= */
} DemandStep;

/* Describe a node and which of its children is on the way. Allocates in the plan's memory. */
extern DemandStep demand_step(PlanState *node, const PlanState *child);

/*
 * The demand of a node, asked itself for these rows, on that child. Limits
 * are known once the node was asked for its first row.
 */
extern OrderNeed demand_below(const DemandStep *step, OrderNeed asked);

#endif /* COLBERT_ORDER_DEMAND_H */
