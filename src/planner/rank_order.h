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

/* Install the hook; called once, when the library is loaded. */
extern void rank_order_init(void);

#endif							/* COLBERT_RANK_ORDER_H */
