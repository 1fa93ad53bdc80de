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

/* Return true if the first sort key of a query is a rank that rises in the order of its only window. */
extern bool rank_order_is_windows(PlannerInfo *root);

/*
 * The rows that a LIMIT of the query outside takes of this one, in the order
 * of its only window; 0 where there is none, or where rows are dropped,
 * joined or sorted otherwise before they are counted.
 */
extern double rank_order_rows_outside(PlannerInfo *root);

/* Install the hook; called once, when the library is loaded. */
extern void rank_order_init(void);

#endif /* COLBERT_RANK_ORDER_H */
