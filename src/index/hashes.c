/*-------------------------------------------------------------------------
 *
 * hashes.c
 *	  Hash table of documents, keyed by the hash of their stored columns
 *	  (hashes.h).
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "index/hashes.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"

/*
 * Average documents per bucket: a quarter of its slots, since a lookup
 * compares its hash with every slot in use.
 */
#define DOCUMENTS_PER_BUCKET (HASH_BUCKET_SLOTS / 4)

/* Maximum attempts to find a hash's bucket while other backends split buckets. */
#define BUCKET_TRIES 8

/* ---- buckets ---- */

static uint32
buckets(const IndexView *view)
{
	return parray_nitems(view->index, ARRAY_HASHES);
}

/* Return the mask of the newest bucket. */
static uint32
newest_mask(uint32 nbuckets)
{
	return nbuckets < 2 ? 0 : ((uint32) 2 << pg_leftmost_one_pos32(nbuckets - 1)) - 1;
}

static uint32
bucket_of(uint32 hash, uint32 nbuckets)
{
	uint32 mask = newest_mask(nbuckets);
	uint32 bucket = hash & mask;

	return bucket < nbuckets ? bucket : bucket & mask >> 1;
}

uint32
hashes_mask(uint32 bucket, uint32 nbuckets)
{
	uint32 mask = newest_mask(nbuckets);
	uint32 half = mask / 2 + 1;

	return bucket >= half || (uint64) bucket + half < nbuckets ? mask : mask >> 1;
}

static void
refresh_buckets(IndexView *view)
{
	Buffer meta_buffer = meta_lock(view->index, BUFFER_LOCK_SHARE);

	parray_refresh(view->index, ARRAY_HASHES, meta_buffer);
	UnlockReleaseBuffer(meta_buffer);
}

/* Return the number of slots in use in a bucket. A damaged count is treated as 0. */
static uint32
slots_in_use(const HashBucket *bucket)
{
	return bucket->count <= HASH_BUCKET_SLOTS ? bucket->count : 0;
}

/* Exclude the unused end of a changed bucket from WAL. */
static void
set_used(HashBucket *bucket)
{
	parray_set_used((char *) bucket,
					offsetof(HashBucket, slots) + bucket->count * sizeof(HashSlot));
}

/* ---- splitting ---- */

/* Move the slots that belong to a new bucket to it. */
static void
move_slots(HashBucket *from, HashBucket *to, uint32 bucket)
{
	uint32 mask = newest_mask(bucket + 1);
	uint32 count = slots_in_use(from);
	uint32 kept = 0;

	to->count = 0;
	for (uint32 i = 0; i < count; i++)
	{
		HashSlot slot = from->slots[i];

		if ((slot.hash & mask) == bucket)
			to->slots[to->count++] = slot;
		else
			from->slots[kept++] = slot;
	}
	from->count = kept;
	from->mask = to->mask = mask;
	set_used(from);
	set_used(to);
}

/*
 * Add a bucket and move its slots to it. The meta page is locked exclusively,
 * and the array has room for the bucket.
 */
static void
split(IndexView *view, Buffer meta_buffer)
{
	uint32 bucket = parray_take(view->index, ARRAY_HASHES, 1);
	uint32 old = bucket & newest_mask(bucket + 1) >> 1;
	Buffer buffer = parray_lock(view->index, ARRAY_HASHES, bucket);
	Buffer old_buffer = bucket > 0 ? parray_lock(view->index, ARRAY_HASHES, old) : InvalidBuffer;
	Change change;
	HashBucket *to;

	change_begin(&change, view->index);
	meta_set_nitems(meta_data(change_page(&change, meta_buffer, false)), ARRAY_HASHES,
					buckets(view));
	to = (HashBucket *) parray_change(&change, buffer, ARRAY_HASHES, bucket);
	if (bucket > 0)
		move_slots((HashBucket *) parray_change(&change, old_buffer, ARRAY_HASHES, old), to,
				   bucket);
	change_commit(&change);
	if (bucket > 0)
		UnlockReleaseBuffer(old_buffer);
	UnlockReleaseBuffer(buffer);
}

/* Split buckets while the table has fewer than one per DOCUMENTS_PER_BUCKET documents. */
static void
grow(IndexView *view)
{
	const ArrayDemand demand = {ARRAY_HASHES, 1};
	uint32            wanted = parray_nitems(view->index, ARRAY_DOCS) / DOCUMENTS_PER_BUCKET + 1;

	while (buckets(view) < wanted)
	{
		Buffer meta_buffer = meta_lock(view->index, BUFFER_LOCK_EXCLUSIVE);
		bool   has_room;

		parray_refresh(view->index, ARRAY_HASHES, meta_buffer);
		has_room = parray_have_room(view->index, &demand, 1);
		if (has_room && buckets(view) < wanted)
			split(view, meta_buffer);
		UnlockReleaseBuffer(meta_buffer);
		if (has_room)
			return;
		parray_make_room(view->index, &demand, 1);
	}
}

/* ---- entries ---- */

/* Return true if this is the bucket of the hash. bucket is NULL if damage zeroed the page. */
static bool
is_bucket_of(const HashBucket *bucket, uint32 hash, uint32 ordinal)
{
	return bucket != NULL && (hash & bucket->mask) == ordinal;
}

/*
 * Add a slot to a bucket, if it has room. Returns false if the hash no longer
 * belongs to this bucket.
 */
static bool
add_to(IndexView *view, uint32 ordinal, HashSlot slot)
{
	Buffer            buffer = parray_lock(view->index, ARRAY_HASHES, ordinal);
	Page              page = BufferGetPage(buffer);
	const HashBucket *stored = PageIsNew(page) ? NULL : (const HashBucket *) PageGetContents(page);
	bool              is_its = is_bucket_of(stored, slot.hash, ordinal);

	if (is_its && stored->count < HASH_BUCKET_SLOTS)
	{
		Change      change;
		HashBucket *bucket;

		change_begin(&change, view->index);
		bucket = (HashBucket *) parray_change(&change, buffer, ARRAY_HASHES, ordinal);
		bucket->slots[bucket->count++] = slot;
		set_used(bucket);
		change_commit(&change);
	}
	UnlockReleaseBuffer(buffer);
	return is_its;
}

void
hashes_add(IndexView *view, uint32 hash, uint32 doc)
{
	if (hash == 0)
		return;
	grow(view);
	for (int tries = 0; tries < BUCKET_TRIES; tries++)
	{
		if (add_to(view, bucket_of(hash, buckets(view)), (HashSlot) {hash, doc}))
			return;
		refresh_buckets(view);
	}
}

uint32
hashes_find(IndexView *view, uint32 hash, uint32 *docs, uint32 most)
{
	uint32 found = 0;

	for (int tries = 0; tries < BUCKET_TRIES && buckets(view) > 0; tries++)
	{
		uint32            ordinal = bucket_of(hash, buckets(view));
		char             *data;
		Buffer            buffer = parray_read(view->index, ARRAY_HASHES, ordinal, &data);
		const HashBucket *bucket = (const HashBucket *) data;
		bool              is_its = is_bucket_of(bucket, hash, ordinal);

		if (is_its)
		{
			uint32 count = slots_in_use(bucket);

			/* Newest first: a rewritten row may have its document listed twice. */
			for (uint32 i = count; i-- > 0 && found < most;)
				if (bucket->slots[i].hash == hash)
					docs[found++] = bucket->slots[i].doc;
		}
		UnlockReleaseBuffer(buffer);
		if (is_its)
			break;
		refresh_buckets(view);
	}
	return found;
}

static int
compare_slots(const void *a, const void *b)
{
	const HashSlot *x = a;
	const HashSlot *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->doc < y->doc ? -1 : x->doc > y->doc;
}

/* Remove the given slots from one bucket. */
static void
remove_from(IndexView *view, uint32 ordinal, const HashSlot *slots, uint32 nslots)
{
	Buffer     buffer = parray_lock(view->index, ARRAY_HASHES, ordinal);
	HashBucket left = {0};
	uint32     count = 0;

	if (!PageIsNew(BufferGetPage(buffer)))
	{
		const HashBucket *bucket = (const HashBucket *) PageGetContents(BufferGetPage(buffer));

		count = slots_in_use(bucket);
		left.mask = bucket->mask;
		for (uint32 i = 0; i < count; i++)
			if (bsearch(&bucket->slots[i], slots, nslots, sizeof(HashSlot), compare_slots) == NULL)
				left.slots[left.count++] = bucket->slots[i];
	}
	if (left.count < count)
	{
		Change      change;
		HashBucket *bucket;

		change_begin(&change, view->index);
		bucket = (HashBucket *) parray_change(&change, buffer, ARRAY_HASHES, ordinal);
		memcpy(bucket, &left, sizeof(HashBucket));
		set_used(bucket);
		change_commit(&change);
	}
	UnlockReleaseBuffer(buffer);
}

void
hashes_remove(IndexView *view, HashSlot *slots, uint32 nslots, Pace *pace)
{
	qsort(slots, nslots, sizeof(HashSlot), compare_slots);
	refresh_buckets(view);
	for (uint32 ordinal = 0; ordinal < buckets(view); ordinal++)
	{
		pace_delay(view->index, pace);
		remove_from(view, ordinal, slots, nslots);
		/* A split may have moved slots to a new last bucket. */
		if (ordinal + 1 == buckets(view))
			refresh_buckets(view);
	}
}
