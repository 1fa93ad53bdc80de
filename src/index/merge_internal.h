/*-------------------------------------------------------------------------
 *
 * merge_internal.h
 *	  What the files of the merge share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_MERGE_INTERNAL_H
#define COLBERT_MERGE_INTERNAL_H

#include "index/docstore.h"
#include "index/merge.h"
#include "storage/pace.h"

/* Merge.growth: all nodes that the index is short of. */
#define GROWTH_ALL UINT32_MAX

typedef struct Merge
{
	IndexView *view;
	Finder    *finder;
	Pace       pace;
	bool       trained; /* this merge has made the nodes */
	bool       inexact; /* the number of postings was inexact before the batch */
	uint32
		growth; /* nodes that a batch may add, as a multiple of those that its tokens are worth */

	/* The front of the queue, as copied when the merge began; at is the next one to be merged. */
	uint32 *queue;
	uint32  nqueue;
	uint32  at;

	/* The batch: ndocs whole documents, the first without the tokens that have postings, and a part of the next. */
	uint32   ndocs;
	uint32   posted;   /* tokens of the first document that have postings */
	uint32   part;     /* tokens of the document after the last one that will have */
	uint32   capacity; /* most tokens of a batch */
	uint32   allocated;
	uint32   ntokens;
	float   *tokens;
	uint32  *owner;   /* document of each token */
	NodeHit *nearest; /* node of each token */
} Merge;

/* Return true if a queued document needs a merge. */
extern bool merge_is_pending(IndexView *view, uint32 doc, DocEntry *entry);

/* Begin to merge: copy at most most_docs of the queue's front, and open the finder. The index has nodes. */
extern void merge_begin(Merge *merge, IndexView *view, uint32 most_docs);

/* Merge one batch of at most capacity tokens. */
extern void merge_batch(Merge *merge, uint32 capacity);
extern void merge_end(Merge *merge);

/* ---- merge_grow.c ---- */

/*
 * Make nodes of some of the batch's tokens, if the finder adds nodes and the
 * index is short of them, and assign the batch to these too. Returns the
 * postings of older documents that the new nodes have got.
 */
extern uint64 merge_grow(Merge *merge);

/* ---- merge_adopt.c ---- */

/* What the new nodes of a batch share while they adopt. */
typedef struct Adoption Adoption;

extern Adoption *adopt_begin(IndexView *view);
extern void      adopt_end(Adoption *adoption);

/*
 * List, at a new node whose list is empty, the documents around it that are
 * near to it. around: the naround > 0 older nodes nearest to its vector (dim
 * prepared floats), nearest first. Returns the postings added.
 */
extern uint32 adopt_docs(Adoption *adoption, uint32 node, const float *vector,
						 const NodeHit *around, uint32 naround);

#endif /* COLBERT_MERGE_INTERNAL_H */
