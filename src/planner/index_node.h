/*-------------------------------------------------------------------------
 *
 * index_node.h
 *	  Index scan nodes of a plan whose index is ours.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_INDEX_NODE_H
#define COLBERT_INDEX_NODE_H

#include "compat/pg_compat.h"

#include "nodes/execnodes.h"

/* Return true if the node scans an index of ours and the plan is to run. */
extern bool index_node_is_ours(const IndexScanState *node);

/* Begin the scan as the node itself would with its first row, unless it has begun. */
extern void index_node_begin(IndexScanState *node);

#endif /* COLBERT_INDEX_NODE_H */
