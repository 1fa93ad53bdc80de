/*-------------------------------------------------------------------------
 *
 * shape.h
 *	  Values derived from the shape of an index: item sizes and indexed
 *	  dimensions.
 *
 * The codec and the finder of a shape must be valid.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SHAPE_H
#define COLBERT_SHAPE_H

#include "nodes/finder.h"

/* Return the item size of an array, in bytes; 0 if the index does not have it. */
extern size_t shape_item_size(const MetaShape *shape, ArrayKind kind);

/*
 * Return the dimensions of the tokens as indexed: the column's if all items
 * fit on a page, otherwise the number that tokens are projected to.
 */
extern uint32 shape_kept_dim(const MetaShape *shape);

#endif /* COLBERT_SHAPE_H */
