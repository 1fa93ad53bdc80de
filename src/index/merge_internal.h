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
	uint32     growth;  /* maximum new nodes per tokens_per_node tokens of the batch */

	/* A step makes no nodes later than grow_ms milliseconds after its start; 0 in other merges. */
	instr_time start;
	double     grow_ms;

	/*
	 * Copy of the queue's front, taken when the merge began. at: index of the
	 * next document to merge.
	 */
	uint32 *queue;
	uint32  nqueue;
	uint32  at;

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

/* Return true if a queued document needs a merge. */
extern bool merge_is_pending(IndexView *view, uint32 doc, DocEntry *entry);

/*
 * Begin a merge of an index that has nodes: copy at most most_docs documents
 * from the front of the queue, and open the finder.
 */
extern void merge_begin(Merge *merge, IndexView *view, uint32 most_docs);

/* Merge one batch of at most capacity tokens. */
extern void merge_batch(Merge *merge, uint32 capacity);
extern void merge_end(Merge *merge);

/* ---- merge_grow.c ---- */

/*
 * Make nodes of some of the batch's tokens if the finder can add nodes and the
 * index has too few. Then move the batch's other tokens to these nodes if they
 * are nearer. Returns the number of postings of older documents added to the
 * new nodes' lists.
 */
extern uint64 merge_grow(Merge *merge);

/* ---- merge_adopt.c ---- */

/* Working memory that the new nodes of a batch share while they adopt documents. */
typedef struct Adoption Adoption;

extern Adoption *adopt_begin(IndexView *view);
extern void      adopt_end(Adoption *adoption);

/*
 * Add the older documents near a new node to its list, which must be empty.
 *
 * vector: the node's vector, dim prepared floats. around: the naround > 0
 * older nodes nearest to it, nearest first. Returns the number of postings
 * added.
 */
extern uint32 adopt_docs(Adoption *adoption, uint32 node, const float *vector,
						 const NodeHit *around, uint32 naround);

#endif /* COLBERT_MERGE_INTERNAL_H */
