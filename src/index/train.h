/*-------------------------------------------------------------------------
 *
 * train.h
 *	  Train the mean, the codebooks and the nodes of an index from a sample of
 *	  tokens.
 *
 * Used by a build and by the first merge of an index built empty. The
 * participants of a sample's team call these functions together and get the
 * same results.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_TRAIN_H
#define COLBERT_TRAIN_H

#include "index/sample.h"
#include "index/view.h"
#include "kmeans/kmeans.h"

/* Statistics of all tokens, estimated from a sample. */
typedef struct TokenStatistics
{
	float       *mean; /* dim floats, in the current memory context */
	TokenLengths lengths;
} TokenStatistics;

/* Purpose of a sample. Nodes need more tokens than the mean and the codebooks do. */
typedef enum SampleUse
{
	SAMPLE_FOR_NODES,
	SAMPLE_FOR_STATISTICS
} SampleUse;

/*
 * Initialise a sample for an index, within its part of maintenance_work_mem.
 * The result does not depend on the number of participants.
 */
extern void train_sample_init(SampleShared *shared, const MetaPageData *meta, SampleUse use);

/* Return the minimum tokens for nodes. Fewer tokens are searched exhaustively. */
extern uint64 train_min_tokens(const MetaPageData *meta);

/* Minimum tokens for nodes whose number or vectors are given. */
#define MIN_TOKENS_FOR_LISTS 2048

/* Offer the tokens of a document to a sample. read: docstore_vectors or docstore_coded_vectors. */
typedef void (*VectorReader)(IndexView *view, const DocEntry *entry, uint32 first, uint32 n,
							 float *out);
extern void train_sample_document(IndexView *view, TokenSample *sample, const DocEntry *entry,
								  VectorReader read);

/* Return the number of nodes that maintenance_work_mem allows for an index of ntokens tokens. */
extern uint64 train_possible_nodes(const IndexView *view, uint64 ntokens);

/* Return the same, but no more nodes than the sampled tokens are enough for. */
extern uint64 train_good_nodes(const IndexView *view, uint64 ntokens);

/* Compute the statistics of a sample. */
extern void train_statistics(const TokenSample *sample, TokenStatistics *statistics);

/*
 * Train the codebooks of the index's codec. Returns them in the current memory
 * context or the team's memory; NULL if the codec has none.
 */
extern float *train_codebooks(const IndexView *view, const TokenSample *sample);

/*
 * Train centroids for an index of ntokens tokens by two-level k-means.
 *
 * Allocates in the current memory context or in the team's memory. Emits a
 * NOTICE if memory limits the sample or the number of centroids. A build
 * reports its progress.
 */
extern void train_centroids(const IndexView *view, const TokenSample *sample, uint64 ntokens,
							KmeansResult *result);

/*
 * Give the centroids of a graph the length of the tokens, encode them again,
 * and set result->shrinks; NULL for lists, and if lengths differ. A phase of
 * the sample's team.
 */
extern void train_restore_lengths(const IndexView *view, const TokenSample *sample,
								  KmeansResult *result);

/*
 * Find the centroids near each of trained ones, if the finder's nodes are stored
 * with their help and there is memory; and free them. Both are phases of the
 * team. The caller has freed the sample, whose memory the former may take.
 */
extern void train_near(const IndexView *view, Team *team, KmeansResult *result);
extern void train_forget_near(Team *team, KmeansResult *result);

/*
 * Store the centroids as the nodes of the index; node_of is set to the node of
 * each. Called by one process. Updates the view's meta data.
 */
extern void train_store_nodes(IndexView *view, const KmeansResult *result, uint32 *node_of);

#endif /* COLBERT_TRAIN_H */
