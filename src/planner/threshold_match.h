/*-------------------------------------------------------------------------
 *
 * threshold_match.h
 *	  Match thresholds of a score to conditions of an index scan.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_THRESHOLD_MATCH_H
#define COLBERT_THRESHOLD_MATCH_H

#include "compat/pg_compat.h"

#include "nodes/pathnodes.h"

/*
 * Return the index clause "doc <op> multivector_threshold(query, comparison,
 * bound)" for a restriction that bounds the score or the distance, or NULL for
 * any other restriction. Set *query to the query that the threshold scores
 * documents with.
 */
extern IndexClause *threshold_match_restriction(PlannerInfo *root, IndexOptInfo *index,
												RestrictInfo *restriction, Node **query);

#endif /* COLBERT_THRESHOLD_MATCH_H */
