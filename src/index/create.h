/*-------------------------------------------------------------------------
 *
 * create.h
 *	  Set up the meta data of a new index.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_CREATE_H
#define COLBERT_CREATE_H

#include "index/view.h"

/*
 * Fill the meta data of an index without documents.
 *
 * asked: column_dim and the structural options; 0 for options chosen here. If
 * tokens with their sketches and a few neighbours do not fit on a page, the
 * index projects them to fewer dimensions (projection.h). Raises 22023 if pq_m
 * is too large for these. Lowers m, with a NOTICE, if the neighbours do not
 * fit on a page.
 */
extern void create_meta(const MetaShape *asked, MetaPageData *meta);

/* Initialise a page as the meta page of a new index. */
extern void create_meta_page(Page page, const MetaPageData *meta);

#endif /* COLBERT_CREATE_H */
