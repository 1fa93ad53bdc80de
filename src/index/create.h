/*-------------------------------------------------------------------------
 *
 * create.h
 *	  A new index: its structure, as it will stand on the meta page.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_CREATE_H
#define COLBERT_CREATE_H

#include "index/view.h"

/*
 * Fill the meta data of an index without documents, of the shape that is asked
 * for: column_dim and the structural options, 0 for those that are chosen here.
 * Tokens that, with their sketches and a few neighbours, do not fit on a page
 * are kept projected to fewer dimensions (projection.h). Errors (22023) if pq_m
 * is too large for these; m is lowered (with a NOTICE) if its neighbours do not fit.
 */
extern void create_meta(const MetaShape *asked, MetaPageData *meta);

/* Make a page the meta page of a new index. */
extern void create_meta_page(Page page, const MetaPageData *meta);

#endif /* COLBERT_CREATE_H */
