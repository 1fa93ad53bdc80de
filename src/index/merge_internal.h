/*-------------------------------------------------------------------------
 *
 * merge_internal.h
 *	  Declarations shared by the merge's files.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_MERGE_INTERNAL_H
#define COLBERT_MERGE_INTERNAL_H

#include "index/docstore.h"
#include "index/merge.h"
#include "portability/instr_time.h"
#include "storage/pace.h"

/* Merge.growth: add all nodes that the index lacks. */
#define GROWTH_ALL UINT32_MAX

/* State of one merge, which runs a series of batches. */
typedef struct Merge
{
	IndexView *view;
	Finder    *finder;
	Finder    *next_finder; /* of the generation that is being filled; NULL: none */
	Pace       pace;
	bool       trained; /* this merge trained the nodes */
	bool       inexact; /* count of postings was inexact before the batch */
	bool       again;  /* the documents are merged already, and not in the queue (merge_settle.c) */
	uint32     growth; /* maximum new nodes per tokens_per_node tokens of the batch */
	bool       stunted; /* the batch could not add all nodes that the index lacks */

	/* A step makes no nodes later than grow_ms milliseconds after its start; 0 in other merges. */
	instr_time start;
	double     grow_ms;

	/*
	 * Copy of the queue's front, taken when the merge began, or the documents to
	 * merge again. at: index of the next document to merge.
	 */
	uint32 *queue;
	uint32  nqueue;
	uint32  at;
	uint64  queued_tokens; /* tokens in the queue, those of the batch included */
	uint64  ndocs_before;  /* documents of the index when the merge began */

	/* The current batch: ndocs documents that it completes, and a part of the next one. */
	uint32 ndocs;
	uint32 posted; /* tokens of the first document that are posted already */
	/*
	 * Tokens of document ndocs that will be posted after this batch; 0 if the
	 * batch holds no part of it.
	 */
	uint32   part;
	uint32   capacity; /* maximum tokens per batch */
	uint32   allocated;
	uint32   ntokens;
	float   *tokens;
	uint32  *owner;   /* document of each token */
	NodeHit *nearest; /* node of each token */
} Merge;

/*
 * Return the number of documents, dead ones included. Under the merge lock only
 * an append changes it.
 */
static inline uint64
merge_documents(const MetaPageData *meta)
{
	return (uint64) meta->documents.live_docs + meta->documents.dead_docs;
}

/* Return true if a queued document needs a merge. */
extern bool merge_is_pending(IndexView *view, uint32 doc, DocEntry *entry);

/*
 * Begin a merge of an index that has nodes: copy at most most_docs documents
 * from the front of the queue, and open the finder.
 */
extern void merge_begin(Merge *merge, IndexView *view, uint32 most_docs);

/* Begin a merge of n documents (palloc'd, ascending) that are merged already. */
extern void merge_begin_again(Merge *merge, IndexView *view, uint32 *docs, uint32 n);

/* Return the maximum tokens of a batch of batch_tokens, bounded by memory. */
extern uint32 merge_capacity(const IndexView *view, uint32 batch_tokens);

/* Merge one batch of at most capacity tokens. */
extern void merge_batch(Merge *merge, uint32 capacity);
extern void merge_end(Merge *merge);

/* ---- merge_settle.c ---- */

/* Return true if a document has been merged, is unsettled, and can be merged again. */
extern bool merge_is_settleable(IndexView *view, uint32 doc, DocEntry *entry);

/* Extend the range of unsettled documents by one, in the view's copy of the meta data. */
extern void settle_doc_later(IndexView *view, uint32 doc);

/*
 * Return true if the batch's documents must be flagged as unsettled: it could
 * not add all nodes, and the index lacks more than it may. Then extend the
 * range by the whole documents. tokens: those of the batch that leave the
 * queue.
 */
extern bool settle_batch_later(const Merge *merge, uint64 tokens);

/* ---- merge_grow.c ---- */

/*
 * Make nodes of some of the batch's tokens if the finder can add nodes and the
 * index has too few. Then move the batch's other tokens to these nodes if they
 * are nearer. Sets merge->stunted. Returns the number of postings of older
 * documents added to the new nodes' lists.
 */
extern uint64 merge_grow(Merge *merge);

/* ---- merge_adopt.c ---- */

/* Working memory that the new nodes of a batch share while they adopt documents. */
typedef struct Adoption Adoption;

extern Adoption *adopt_begin(IndexView *view);
extern void      adopt_end(Adoption *adoption);

/* The count > 0 older nodes nearest to a new node, nearest first. */
typedef struct Around
{
	const NodeHit *nodes;
	uint32         count;
} Around;

/* Number of nearest older nodes whose lists a new node adopts from, and the ef of that search. */
#define NODES_AROUND 4
#define AROUND_EF    32

/*
 * Add the older documents near a new node to its list. vector: the node's
 * vector, dim prepared floats. again: the list may name some of them already;
 * otherwise it is empty. Returns the number of postings added.
 */
extern uint32 adopt_docs(Adoption *adoption, uint32 node, const float *vector, const Around *around,
						 bool again);

/*
 * Finish the adoption of the node that an interrupted merge has added, if there
 * is one.
 */
extern void adopt_again(Merge *merge);

#endif /* COLBERT_MERGE_INTERNAL_H */
