/*-------------------------------------------------------------------------
 *
 * order_match.h
 *	  Match a path key to an ordering operator of an index.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_ORDER_MATCH_H
#define COLBERT_ORDER_MATCH_H

#include "compat/pg_compat.h"

#include "nodes/pathnodes.h"

/*
 * Return the ordering clause "doc <op> query" whose index scan returns rows in
 * the order of the path key, or NULL if there is none. The query may refer to
 * columns of the relations in outer.
 *
 * left_join: the outer join of which the index's table is the inner side, if
 * the path is to be that side, or 0.
 */
extern OpExpr *order_match_pathkey(PlannerInfo *root, IndexOptInfo *index, PathKey *pathkey,
								   Relids outer, int left_join);

#endif /* COLBERT_ORDER_MATCH_H */
