/*-------------------------------------------------------------------------
 *
 * queue.c
 *	  Check the queue of pending documents: each pending document is in it.
 *
 * A crash may leave merged documents in the queue, or the same document twice;
 * the next merge removes them. A pending document that is not in the queue is
 * an error, because no search would find it. An unsettled document is in the
 * queue or in the range that is merged again; otherwise searches would find less
 * of it for good.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "check/check.h"

static void
check_queued(Check *check, uint32 item, uint32 doc)
{
	const DocEntry *entry;

	if (doc >= check->ndocs)
	{
		findings_add(check->findings, FINDING_ERROR, item,
					 "document %u is queued, but there are %u documents", doc, check->ndocs);
		return;
	}
	entry = &check->docs[doc];
	if (entry->state != DOC_LIVE && entry->state != DOC_DEAD)
		findings_add(check->findings, FINDING_ERROR, item,
					 "document %u is queued, but its state is %d", doc, (int) entry->state);
	else if (!(entry->flags & DOC_PENDING))
		findings_add(check->findings, FINDING_WARNING, item,
					 "document %u is queued, but not pending", doc);
	else if (bit_test(check->queued, doc))
		findings_add(check->findings, FINDING_WARNING, item, "document %u is queued twice", doc);
	bit_set(check->queued, doc);
}

/* Check that an unsettled document is merged again. */
static void
check_unsettled(Check *check, uint32 doc)
{
	const MetaGrowth *growth = &check->view->index->meta.growth;
	const DocEntry   *entry = &check->docs[doc];

	if (entry->state == DOC_LIVE && (entry->flags & DOC_UNSETTLED) &&
		!bit_test(check->queued, doc) &&
		(doc < growth->unsettled_first || doc >= growth->unsettled_end))
		findings_add(check->findings, FINDING_WARNING, doc,
					 "document is unsettled, but outside of the range that is merged again");
}

void
check_queue(Check *check)
{
	const MetaPageData *meta = &check->view->index->meta;
	uint64              tokens = 0;

	check_use(check, ARRAY_QUEUE, meta->documents.queue_head,
			  check->nqueue > 0 ? meta->documents.queue_tail - meta->documents.queue_head : 0);
	check_use(check, ARRAY_QUEUE, 0, check->nqueue > 0 ? meta->documents.queue_wrapped : 0);
	for (uint32 i = 0; i < check->nqueue; i++)
	{
		uint32 doc = check->queue[i];

		check_queued(check, i, doc);
		if (doc < check->ndocs)
			tokens += check->docs[doc].ntokens;
	}
	for (uint32 doc = 0; doc < check->ndocs; doc++)
	{
		const DocEntry *entry = &check->docs[doc];

		check_unsettled(check, doc);
		if (!(entry->flags & DOC_PENDING) || bit_test(check->queued, doc))
			continue;
		if (entry->state == DOC_LIVE)
			findings_add(check->findings, FINDING_ERROR, doc,
						 "document is pending, but not queued");
		else if (entry->state == DOC_DEAD)
			findings_add(check->findings, FINDING_WARNING, doc,
						 "dead document is pending, but not queued");
	}
	if (tokens != meta->documents.pending_tokens)
		findings_add(check->findings, FINDING_WARNING, NO_ITEM,
					 "meta page counts " UINT64_FORMAT
					 " pending tokens, but there are " UINT64_FORMAT,
					 meta->documents.pending_tokens, tokens);
}
