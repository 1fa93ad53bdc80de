/*-------------------------------------------------------------------------
 *
 * nulls.c
 *	  Check the rows whose document is NULL: their entries, and the list of
 *	  free entries.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "check/check.h"

static void
check_free_list(Check *check, uint8 *listed)
{
	uint32 item = check->view->index->meta.documents.null_free_head;

	while (item != INVALID_ORDINAL)
	{
		if (item >= check->nnulls || check->nulls[item].state != DOC_FREE)
		{
			findings_add(check->findings, FINDING_ERROR, item,
						 "free list contains an entry that is not free");
			return;
		}
		if (bit_test(listed, item))
		{
			findings_add(check->findings, FINDING_ERROR, item, "free list contains a cycle");
			return;
		}
		bit_set(listed, item);
		item = check->nulls[item].next_free;
	}
}

void
check_nulls(Check *check)
{
	uint8 *listed = check_bits(check->nnulls);
	uint32 live = 0;

	check_use(check, ARRAY_NULLS, 0, check->nnulls);
	check_free_list(check, listed);
	for (uint32 item = 0; item < check->nnulls; item++)
	{
		const NullEntry *entry = &check->nulls[item];

		live += entry->state == DOC_LIVE;
		if (entry->state != DOC_LIVE && entry->state != DOC_FREE)
			findings_add(check->findings, FINDING_ERROR, item, "entry has invalid state %d",
						 (int) entry->state);
		else if (entry->state == DOC_LIVE && !ItemPointerIsValid(&entry->tid))
			findings_add(check->findings, FINDING_ERROR, item, "entry has an invalid row TID");
		else if (entry->state == DOC_FREE && !bit_test(listed, item))
			findings_add(check->findings, FINDING_WARNING, item,
						 "free entry is not on the free list");
	}
	if (live != check->view->index->meta.documents.live_nulls)
		findings_add(check->findings, FINDING_ERROR, NO_ITEM,
					 "meta page counts %u NULL rows, but there are %u",
					 check->view->index->meta.documents.live_nulls, live);
}
