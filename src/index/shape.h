/*-------------------------------------------------------------------------
 *
 * shape.h
 *	  What follows from the shape of an index: the sizes of its items, and how
 *	  many dimensions of a token it keeps.
 *
 * Codec and finder of a shape are ones that there are.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SHAPE_H
#define COLBERT_SHAPE_H

#include "nodes/finder.h"

/* Bytes of an array's items; 0 if the index has no such array. */
extern size_t shape_item_size(const MetaShape *shape, ArrayKind kind);

/*
 * The dimensions that an index keeps of the column's: all if every item of
 * tokens fits on a page, or as many as tokens are projected to.
 */
extern uint32 shape_kept_dim(const MetaShape *shape);

#endif /* COLBERT_SHAPE_H */
