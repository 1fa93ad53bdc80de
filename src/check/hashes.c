/*-------------------------------------------------------------------------
 *
 * hashes.c
 *	  Check the hash table from stored values to documents: each document is
 *	  in the bucket of its hash, and the hash equals that of its entry.
 *
 * The hash table is only a hint, so every finding is a warning. Buckets are
 * read after the directory was copied, so they may name documents that are
 * newer than the copy.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "check/check.h"
#include "index/hashes.h"
#include "miscadmin.h"

/* Return true if a document has been handed out by now. */
static bool
exists_now(Check *check, uint32 doc)
{
	ColbertIndex now = {.rel = check->view->index->rel};

	if (doc < check->ndocs)
		return true;
	meta_read(&now);
	return doc < parray_nitems(&now, ARRAY_DOCS);
}

/* Check the slots of a bucket and report the first wrong one. */
static void
check_slots(Check *check, uint32 ordinal, const HashBucket *bucket)
{
	for (uint32 i = 0; i < bucket->count; i++)
	{
		HashSlot    slot = bucket->slots[i];
		const char *wrong = NULL;

		if ((slot.hash & bucket->mask) != ordinal)
			wrong = "belongs to another bucket";
		else if (!exists_now(check, slot.doc))
			wrong = "does not exist";
		else if (slot.doc < check->ndocs && check->docs[slot.doc].state == DOC_LIVE &&
				 check->docs[slot.doc].hash != slot.hash)
			wrong = "has another hash in the directory";
		if (wrong != NULL)
		{
			findings_add(check->findings, FINDING_WARNING, ordinal, "document %u in the bucket %s",
						 slot.doc, wrong);
			return;
		}
	}
}

void
check_hashes(Check *check)
{
	uint32      nbuckets = parray_nitems(check->view->index, ARRAY_HASHES);
	HashBucket *bucket = palloc(sizeof(HashBucket));

	check_use(check, ARRAY_HASHES, 0, nbuckets);
	for (uint32 ordinal = 0; ordinal < nbuckets; ordinal++)
	{
		uint32 mask = hashes_mask(ordinal, nbuckets);

		CHECK_FOR_INTERRUPTS();
		parray_copy_out(check->view->index, ARRAY_HASHES, ordinal, 1, bucket);
		/* The bucket may have been split since nbuckets was read, so its mask may be larger. */
		if (bucket->count > HASH_BUCKET_SLOTS || (bucket->mask & (bucket->mask + 1)) != 0 ||
			bucket->mask < mask)
			findings_add(check->findings, FINDING_WARNING, ordinal,
						 "bucket has %u slots and mask %x in a table of %u buckets", bucket->count,
						 bucket->mask, nbuckets);
		else
			check_slots(check, ordinal, bucket);
	}
	pfree(bucket);
}
