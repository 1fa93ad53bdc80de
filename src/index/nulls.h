/*-------------------------------------------------------------------------
 *
 * nulls.h
 *	  Rows whose document is NULL.
 *
 * Their TIDs stand on null pages, in the order in which they came. The pages
 * with room for another one form a list, which begins on the meta page. Rows
 * are added to its first page alone, and when that is full it leaves the
 * list. So an insert changes the meta page only when it fills a page or takes
 * a new one: the delta of a generic WAL record compares whole pages, and that
 * of the meta page would be half of what such an insert costs.
 *
 * VACUUM closes the gaps on a page. A reader that copies a page at a time
 * misses no row, for none moves to another page.
 *
 * Lock order: meta page, null page. Whatever moves a page on or off the list
 * holds both.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_NULLS_H
#define COLBERT_NULLS_H

#include "index/view.h"

/* Add a row. A view of view_open_directory will do. Needs no lock held. */
extern void nulls_append(IndexView *view, const ItemPointerData *tid);

/* Copy a null page, of those that view->index->meta counts. */
extern void nulls_copy_page(IndexView *view, uint32 page, NullPage *copy);

/* Count the rows. */
extern uint64 nulls_count(IndexView *view);

/* Remove the dead rows of a page that was copied before. The caller alone removes rows. */
extern void nulls_drop_dead(IndexView *view, uint32 page, const NullPage *copy, const bool *dead);

#endif /* COLBERT_NULLS_H */
