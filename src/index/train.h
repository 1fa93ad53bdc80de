/*-------------------------------------------------------------------------
 *
 * train.h
 *	  From a sample of tokens to the mean and the nodes of an index.
 *
 * Used by a build and by the first merge of an index that began empty. The
 * participants of a sample's team call these together, and get the same.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_TRAIN_H
#define COLBERT_TRAIN_H

#include "index/sample.h"
#include "index/view.h"
#include "kmeans/kmeans.h"

/* What a sample says of all tokens. */
typedef struct TokenStatistics
{
	float       *mean; /* dim floats, in the current memory context */
	TokenLengths lengths;
} TokenStatistics;

/*
 * Begin a sample for an index, within the part of maintenance_work_mem that
 * is meant for it; nothing in it depends on how many participants there are.
 */
extern void train_sample_init(SampleShared *shared, const MetaPageData *meta);

/* Fewer tokens than this are searched exhaustively: no nodes are made. */
extern uint64 train_min_tokens(const MetaPageData *meta);

extern void train_statistics(const TokenSample *sample, TokenStatistics *statistics);

/* The codebooks of the index's codec, in the current memory context or of the team; NULL where it has none. */
extern float *train_codebooks(const IndexView *view, const TokenSample *sample);

/*
 * Centroids for an index of so many tokens, by two-level k-means. Allocates
 * in the current context, or from the team. Says (NOTICE) where memory kept
 * the sample or the number of centroids below what serves best. A build
 * reports its progress.
 */
extern void train_centroids(const IndexView *view, const TokenSample *sample, uint64 ntokens,
							KmeansResult *result);

/* Make the centroids the nodes of the index, by one process; sets the node of each. view->index->meta is kept up to date. */
extern void train_store_nodes(IndexView *view, const KmeansResult *result, uint32 *node_of);

#endif /* COLBERT_TRAIN_H */
