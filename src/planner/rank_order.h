/*-------------------------------------------------------------------------
 *
 * rank_order.h
 *	  ORDER BY a rank, which is the order of the rank's window.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_RANK_ORDER_H
#define COLBERT_RANK_ORDER_H

#include "compat/pg_compat.h"

#include "nodes/pathnodes.h"

/*
 * Return true if the first sort key of a query is a rank that rises in the
 * order of the query's only window.
 */
extern bool rank_order_is_windows(PlannerInfo *root);

/*
 * Return the number of rows that a LIMIT of the outer query takes from this
 * one in the order of its only window. Return 0 if there is no such LIMIT, or
 * if the outer query filters, joins or re-sorts rows before it counts them.
 */
extern double rank_order_rows_outside(PlannerInfo *root);

/* Install the hook; called once, when the library is loaded. */
extern void rank_order_init(void);

#endif /* COLBERT_RANK_ORDER_H */
