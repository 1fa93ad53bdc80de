/*-------------------------------------------------------------------------
 *
 * index_node.c
 *	  Index scan nodes of a plan that scan one of our indexes.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "access/tableam.h"
#include "executor/executor.h"
#include "planner/index_node.h"

bool
index_node_is_ours(const IndexScanState *node)
{
	return node->iss_RelationDesc != NULL &&
		   node->iss_RelationDesc->rd_indam->amgettuple == colbert_gettuple;
}

void
index_node_begin(IndexScanState *node)
{
	EState       *estate = node->ss.ps.state;
	MemoryContext old;

	if (node->iss_ScanDesc != NULL)
		return;
	old = MemoryContextSwitchTo(estate->es_query_cxt);
	node->iss_ScanDesc = compat_index_beginscan(node, estate->es_snapshot);

	/* If some keys are not known yet, the node rescans when they are. */
	if (node->iss_NumRuntimeKeys == 0 || node->iss_RuntimeKeysReady)
		index_rescan(node->iss_ScanDesc, node->iss_ScanKeys, node->iss_NumScanKeys,
					 node->iss_OrderByKeys, node->iss_NumOrderByKeys);
	MemoryContextSwitchTo(old);
}
