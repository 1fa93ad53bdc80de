/*-------------------------------------------------------------------------
 *
 * order_use.h
 *	  What a query would build on the order, or on a threshold, of an index.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_ORDER_USE_H
#define COLBERT_ORDER_USE_H

#include "compat/pg_compat.h"

#include "nodes/pathnodes.h"

/*
 * Return true if a path in the order of the key is worth having: rows that
 * come late do no harm, or it is known how many of the first ones must not be
 * late. outer: relations that each search takes its query from, as the inner
 * side of a join; NULL if there are none.
 */
extern bool order_is_usable(PlannerInfo *root, RelOptInfo *rel, PathKey *pathkey, Relids outer);

/*
 * The rows that the query reads of such a path until a run condition of its
 * windows ends it, which core does not count on; 0 where there is none.
 */
extern double order_rows(PlannerInfo *root, RelOptInfo *rel, PathKey *pathkey, Relids outer);

/* Return true if a threshold on the table must not miss a row. */
extern bool wants_exact_thresholds(PlannerInfo *root, RelOptInfo *rel);

#endif /* COLBERT_ORDER_USE_H */
