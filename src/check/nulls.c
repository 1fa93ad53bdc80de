/*-------------------------------------------------------------------------
 *
 * nulls.c
 *	  Check the rows whose document is NULL: their pages, and the list of pages
 *	  with room.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "check/check.h"

/* Walk the list of pages with room, and mark them. */
static void
walk_list(Check *check, uint8 *listed)
{
	uint32 page = check->view->index->meta.documents.null_head;

	while (page != INVALID_ORDINAL)
	{
		if (page >= check->nnull_pages || check->nulls[page].count >= NULLS_PER_PAGE)
		{
			findings_add(check->findings, FINDING_ERROR, page,
						 "list of null pages with room contains a page without room");
			return;
		}
		if (bit_test(listed, page))
		{
			findings_add(check->findings, FINDING_ERROR, page,
						 "list of null pages with room contains a cycle");
			return;
		}
		bit_set(listed, page);
		page = check->nulls[page].next;
	}
}

static void
check_rows(Check *check, uint32 page)
{
	const NullPage *nulls = &check->nulls[page];

	for (uint32 i = 0; i < nulls->count; i++)
		if (!ItemPointerIsValid(&nulls->tids[i]))
		{
			findings_add(check->findings, FINDING_ERROR, page,
						 "row %u of the null page is no row of the table", i);
			return;
		}
}

void
check_nulls(Check *check)
{
	uint8 *listed = check_bits(check->nnull_pages);

	check_use(check, ARRAY_NULLS, 0, check->nnull_pages);
	walk_list(check, listed);
	for (uint32 page = 0; page < check->nnull_pages; page++)
		if (check->nulls[page].count > NULLS_PER_PAGE)
			findings_add(check->findings, FINDING_ERROR, page, "null page has %u rows",
						 check->nulls[page].count);
		else
		{
			check_rows(check, page);
			if (check->nulls[page].count < NULLS_PER_PAGE && !bit_test(listed, page))
				findings_add(check->findings, FINDING_WARNING, page,
							 "null page with room is not on their list");
		}
}
