/*-------------------------------------------------------------------------
 *
 * threshold_match.h
 *	  Thresholds of a score as conditions of an index scan.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_THRESHOLD_MATCH_H
#define COLBERT_THRESHOLD_MATCH_H

#include "compat/pg_compat.h"

#include "nodes/pathnodes.h"

/*
 * The index clause "doc <op> multivector_threshold(query, comparison, bound)" of a
 * restriction that bounds the score or the distance; NULL where it is
 * something else. *query is what documents are scored with.
 */
extern IndexClause *threshold_match_restriction(PlannerInfo *root, IndexOptInfo *index,
												RestrictInfo *restriction, Node **query);

#endif /* COLBERT_THRESHOLD_MATCH_H */
