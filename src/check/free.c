/*-------------------------------------------------------------------------
 *
 * free.c
 *	  Check the free lists: each free slot is on exactly one list, that of its
 *	  size class, and no other slot is on a list.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "check/check.h"

/* Walk one free list and set the bits of its slots. */
static void
check_list(Check *check, uint32 class, uint8 *listed)
{
	uint32 doc = check->view->index->meta.documents.free_head[class];

	while (doc != INVALID_ORDINAL)
	{
		const DocEntry *entry;

		if (doc >= check->ndocs)
		{
			findings_add(check->findings, FINDING_ERROR, doc,
						 "free list %u contains a slot that does not exist", class);
			return;
		}
		entry = &check->docs[doc];
		if (entry->state != DOC_FREE)
		{
			findings_add(check->findings, FINDING_ERROR, doc,
						 "free list %u contains a slot in state %d", class, (int) entry->state);
			return;
		}
		if (bit_test(listed, doc))
		{
			findings_add(check->findings, FINDING_ERROR, doc,
						 "free list %u contains a slot that is already on a list", class);
			return;
		}
		bit_set(listed, doc);
		if (docstore_free_class(entry->capacity) != class)
			findings_add(check->findings, FINDING_ERROR, doc,
						 "free list %u contains a slot of %u tokens, which belongs on another list",
						 class, entry->capacity);
		doc = entry->ntokens;
	}
}

void
check_free(Check *check)
{
	uint8 *listed = check_bits(check->ndocs);

	for (uint32 class = 0; class < FREE_CLASSES; class ++)
		check_list(check, class, listed);
	for (uint32 doc = 0; doc < check->ndocs; doc++)
		if (check->docs[doc].state == DOC_FREE && !bit_test(listed, doc))
			findings_add(check->findings, FINDING_WARNING, doc, "free slot is on no list");
}
