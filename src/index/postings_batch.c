/*-------------------------------------------------------------------------
 *
 * postings_batch.c
 *	  Add postings of many nodes to their lists.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "index/postings.h"
#include "miscadmin.h"

#define ST_SORT          sort_postings
#define ST_ELEMENT_TYPE  Posting
#define ST_COMPARE(a, b) (*(a) < *(b) ? -1 : *(a) > *(b))
#define ST_SCOPE         static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

void
postings_sort(Posting *postings, Size n)
{
	sort_postings(postings, n);
}

Size
postings_add_first(ColbertIndex *index, const Posting *postings, Size n, bool suspect,
				   uint64 *added)
{
	uint32  node = (uint32) (postings[0] >> 32);
	uint32  ndocs = 0;
	Size    end = 1;
	uint32 *docs;

	while (end < n && postings[end] >> 32 == node)
		end++;
	docs = palloc_extended(mul_size(end, sizeof(uint32)), MCXT_ALLOC_HUGE);
	for (Size i = 0; i < end; i++)
		if (ndocs == 0 || docs[ndocs - 1] != (uint32) postings[i])
			docs[ndocs++] = (uint32) postings[i];
	*added += postings_add(index, node, docs, ndocs, suspect);
	pfree(docs);
	return end;
}
