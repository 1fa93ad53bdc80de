/*-------------------------------------------------------------------------
 *
 * train.h
 *	  From a sample of tokens to the mean and the nodes of an index.
 *
 * Used by a build and by the first merge of an index that began empty. The
 * sample is chosen by a hash of each token's place, so it does not depend on
 * the order in which tokens come, nor on who brings them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_TRAIN_H
#define COLBERT_TRAIN_H

#include "codec/kmeans.h"
#include "index/view.h"

typedef struct TokenSample
{
	MemoryContext context;
	uint32		dim;
	uint64		limit;			/* tokens at the most */
	uint64		count;
	uint64		capacity;
	uint32		threshold;		/* tokens whose hash is below it are in */
	uint32	   *hashes;
	uint16	   *vectors;		/* count x dim binary16 */
	uint64		offered;
} TokenSample;

/* Room for as many tokens as bytes allow, at least one. */
extern TokenSample *sample_create(uint32 dim, Size bytes);

/* Offer a token; hash is of its place. */
extern void sample_add(TokenSample *sample, uint32 hash, const float *token);
extern uint32 sample_hash(BlockNumber block, OffsetNumber offset, uint32 token);
extern void sample_free(TokenSample *sample);

/* Fewer tokens than this are searched exhaustively: no nodes are made. */
extern uint64 train_min_tokens(const MetaPageData *meta);

/* The mean of the sample, dim floats; returns the root mean square of its lengths. */
extern float train_mean(const TokenSample *sample, float *mean);

/*
 * Centroids for an index of so many tokens, by two-level k-means. Allocates
 * in the current context. Says (NOTICE) where memory kept the sample or the
 * number of centroids below what serves best.
 */
extern void train_centroids(const IndexView *view, TokenSample *sample, uint64 ntokens, KmeansResult *result);

/* Callbacks for k-means: palloc in the current context, and interrupts. */
extern const KmeansHooks train_hooks;

/* Make the centroids the nodes of the index; returns the node of each. view->meta is kept up to date. */
extern uint32 *train_store_nodes(IndexView *view, const KmeansResult *result);

#endif							/* COLBERT_TRAIN_H */
