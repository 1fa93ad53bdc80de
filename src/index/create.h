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

/* What the structural options ask for; 0 = chosen here. */
typedef struct IndexShape
{
	uint32     dim; /* of the column */
	Metric     metric;
	FinderKind finder;
	CodecId    codec;
	uint32     pq_m; /* counts where the codec is pq */
	uint32     m;
	uint32     ef_construction;
	uint32     tokens_per_node;
	uint32     lists;
} IndexShape;

/*
 * Fill the meta data of an index without documents. Tokens that, with their
 * sketches and a few neighbours, do not fit on a page are kept projected to
 * fewer dimensions (projection.h). Errors (22023) where pq_m is too large for
 * these; m is lowered (with a NOTICE) where its neighbours do not fit.
 */
extern void create_meta(const IndexShape *shape, MetaPageData *meta);

/*
 * The dimensions that an index keeps of a column's, which shape.dim counts:
 * all where they fit on a page, or as many as tokens are projected to.
 */
extern uint32 create_kept_dim(const Finder *finder, const Codec *codec, CodecShape shape);

/* Make a page the meta page of a new index. */
extern void create_meta_page(Page page, const MetaPageData *meta);

#endif /* COLBERT_CREATE_H */
