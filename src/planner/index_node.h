/*-------------------------------------------------------------------------
 *
 * index_node.h
 *	  Index scan nodes of a plan that scan one of our indexes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_INDEX_NODE_H
#define COLBERT_INDEX_NODE_H

#include "compat/pg_compat.h"

#include "nodes/execnodes.h"

/* Return true if the node scans one of our indexes and the plan will be run, not only explained. */
extern bool index_node_is_ours(const IndexScanState *node);

/*
 * Begin the node's index scan, as the node itself does when it is asked for
 * its first row. Does nothing if the scan has begun.
 */
extern void index_node_begin(IndexScanState *node);

#endif /* COLBERT_INDEX_NODE_H */
