/*-------------------------------------------------------------------------
 *
 * insert.c
 *	  INSERT: append a document, pending until a merge.
 *
 * An insert that finds too many tokens pending merges them, unless somebody
 * else is at it.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "index/docstore.h"
#include "index/merge.h"
#include "index/train.h"
#include "settings.h"
#include "utils/memutils.h"

/* Too much is pending, and a merge could change that. */
static bool
merge_is_due(const IndexView *view)
{
	const MetaPageData *meta = &view->meta;

	if (meta->pending_tokens <= (uint64) colbert_pending_limit)
		return false;
	return has_nodes(meta) || meta->live_tokens >= train_min_tokens(meta);
}

bool
colbert_insert(Relation index, Datum *values, bool *isnull, ItemPointer heap_tid, Relation heap,
			   IndexUniqueCheck check_unique, bool index_unchanged, IndexInfo *info)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "colbert insert", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	IndexView  *view = view_open(index, false, VIEW_WITHOUT_PENDING);

	if (isnull[0])
		docstore_append_null(view, heap_tid);
	else
	{
		docstore_append(view, heap_tid, multivector_from_datum(values[0]), DOC_IN_QUEUE);
		if (merge_is_due(view))
			merge_pending(index, MERGE_IF_FREE);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return false;
}
