/*-------------------------------------------------------------------------
 *
 * order_match.h
 *	  Does an index give the order of a path key, and by which operator?
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_ORDER_MATCH_H
#define COLBERT_ORDER_MATCH_H

#include "compat/pg_compat.h"

#include "nodes/pathnodes.h"

/*
 * The ordering clause "doc <op> query" whose index scan comes in the order of
 * the path key; NULL if there is none. The query may refer to columns of the
 * relations outer.
 */
extern OpExpr *order_match_pathkey(PlannerInfo *root, IndexOptInfo *index, PathKey *pathkey,
								   Relids outer);

#endif /* COLBERT_ORDER_MATCH_H */
