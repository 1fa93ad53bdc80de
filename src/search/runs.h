/*-------------------------------------------------------------------------
 *
 * runs.h
 *	  Score the items of many documents while prefetching the next ones.
 *
 * A document's sketches, or code rows, are consecutive items of a page array.
 * They form one run per page. The runs of all documents are collected first.
 * Then each is scored in place, while the bytes of those ahead are prefetched
 * into the CPU's cache.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_RUNS_H
#define COLBERT_RUNS_H

#include "search/funnel.h"

/* Items of one document on one page. */
typedef struct Run
{
	uint32      which; /* the caller's number of the document */
	bool        first; /* first run of the document; last: its last one */
	bool        last;
	bool        zero; /* the document also has a zero token (DOC_ZERO) */
	uint32      count;
	uint32      slot;
	BlockNumber block;
} Run;

typedef struct RunList
{
	ArrayKind kind;
	/* items scored at a time; as many of a run ahead are prefetched meanwhile */
	uint32 part;
	Run   *runs;
	uint32 count;
	uint32 capacity;
} RunList;

/* Add the runs of a document's sketch blocks or code rows, depending on list->kind. */
extern void runs_add(Search *search, RunList *list, uint32 which, const DocEntry *entry);

/*
 * Score a run of items. Called under a share lock on their page: must not
 * allocate or raise errors.
 */
typedef void (*RunScorer)(Search *search, const Run *run, const uint8 *items, void *arg);

/* Score all runs in order, and empty the list. */
extern void runs_score(Search *search, RunList *list, RunScorer score, void *arg);

#endif /* COLBERT_RUNS_H */
