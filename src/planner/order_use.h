/*-------------------------------------------------------------------------
 *
 * order_use.h
 *	  Tell whether a query can use the order, or a threshold, of an index scan.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_ORDER_USE_H
#define COLBERT_ORDER_USE_H

#include "compat/pg_compat.h"

#include "nodes/pathnodes.h"

/*
 * Return true if a path in the order of the key is worth adding. That is so if
 * late rows do no harm, or if the number of leading rows that must not be late
 * is known.
 *
 * outer: relations that supply the query of each search, if the path is the
 * inner side of a join; or NULL.
 */
extern bool order_is_usable(PlannerInfo *root, RelOptInfo *rel, PathKey *pathkey, Relids outer);

/*
 * Return the number of rows that the query reads from such a path before a run
 * condition of its windows stops it, or 0 if no run condition does. Core's
 * cost estimates do not take run conditions into account.
 */
extern double order_rows(PlannerInfo *root, RelOptInfo *rel, PathKey *pathkey, Relids outer);

/* Return true if a threshold on the table must not miss a row. */
extern bool wants_exact_thresholds(PlannerInfo *root, RelOptInfo *rel);

#endif /* COLBERT_ORDER_USE_H */
