/*-------------------------------------------------------------------------
 *
 * build.h
 *	  CREATE INDEX: what its steps share.
 *
 *	1. sample	one pass over the table: counts, and a sample of tokens
 *	2. train	the mean, centroids by k-means, a graph over them
 *	3. encode	a second pass, by parallel workers too: documents into the
 *				docstore, (node, document) pairs into a sort
 *	4. postings	the sorted pairs into posting lists
 *	5. log		the whole index as page images
 *
 * With one token a node there is nothing to train: in step 3 every token
 * becomes a node. With too few tokens for nodes the documents are pending.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_BUILD_H
#define COLBERT_BUILD_H

#include "access/access.h"
#include "access/tableam.h"
#include "codec/kmeans.h"
#include "index/train.h"
#include "utils/tuplesort.h"

/* How the tokens of a build find their nodes. */
typedef enum BuildMode
{
	BUILD_PENDING,				/* too few tokens: no nodes */
	BUILD_TRAINED,				/* nearest centroid */
	BUILD_EVERY_TOKEN			/* each token becomes a node */
} BuildMode;

/* What the sampling pass counted. */
typedef struct BuildCounts
{
	uint64		ndocs;
	uint64		nnulls;
	uint64		ntokens;
	uint64		nblocks;
} BuildCounts;

typedef struct Build
{
	Relation	heap;
	Relation	index;
	IndexInfo  *info;
	IndexView  *view;
	BuildMode	mode;
	BuildCounts counts;
	KmeansResult trained;
	uint32	   *node_of;		/* of each centroid */
	double		reltuples;
	uint64		postings;
	Assigned	assigned;
} Build;

/* One participant of the encoding pass. */
typedef struct BuildEncoder
{
	IndexView  *view;
	BuildMode	mode;
	KmeansAssigner *assigner;
	const uint32 *node_of;
	void	   *finder;			/* BUILD_EVERY_TOKEN */
	MetaPageData *finder_meta;	/* the finder's own: appending refreshes the view's */
	Tuplesortstate *sort;
	MemoryContext row_context;	/* reset for each row */

	/* Tokens waiting to be assigned together: a batch fills the kernel's chunks. */
	float	   *tokens;			/* capacity x dim */
	uint32	   *owners;			/* document of each */
	uint32	   *nodes;			/* of each, once assigned */
	float	   *keys;			/* of each with its node */
	uint32		ntokens;
	uint32		capacity;

	Assigned	assigned;
	uint64		done;
	bool		report;			/* progress, in the leader */
} BuildEncoder;

/* build_sample.c */
extern TokenSample *build_sample(Build *build);

/* build_encode.c: encode what a scan brings; scan NULL is a scan of one's own. */
extern void build_encoder_init(BuildEncoder *encoder, IndexView *view, BuildMode mode,
							   const KmeansResult *trained, const uint32 *node_of, Tuplesortstate *sort);
extern double build_encode(BuildEncoder *encoder, Relation heap, IndexInfo *info, TableScanDesc scan);
extern void build_encoder_end(BuildEncoder *encoder);

/* Pairs as sortable numbers. */
extern Tuplesortstate *build_sort_begin(int work_mem, SortCoordinate coordinate);

/* build_parallel.c: step 3 with workers. Returns the sort, performed, or NULL where no worker could be had. */
typedef struct BuildLeader BuildLeader;
extern BuildLeader *build_parallel_begin(Build *build, int nworkers);
extern Tuplesortstate *build_parallel_encode(Build *build, BuildLeader *leader);
extern void build_parallel_end(BuildLeader *leader);

#endif							/* COLBERT_BUILD_H */
