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
 * left_join: 0, or the outer join for whose inner side the path is made, which
 * is the index's table.
 */
extern OpExpr *order_match_pathkey(PlannerInfo *root, IndexOptInfo *index, PathKey *pathkey,
								   Relids outer, int left_join);

#endif /* COLBERT_ORDER_MATCH_H */
