/*-------------------------------------------------------------------------
 *
 * runs.h
 *	  Scoring the items of many documents, with the next ones on their way.
 *
 * A document's sketches (or code rows) are consecutive items of a page array:
 * a run on one page, or several. The runs of all documents are laid out
 * first; then each is scored in place while the bytes of those ahead are
 * fetched into the CPU's cache.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_RUNS_H
#define COLBERT_RUNS_H

#include "search/funnel.h"

/* Items of one document on one page. */
typedef struct Run
{
	uint32      which; /* number of the document, as the caller counts */
	bool        first; /* of the document's runs */
	bool        last;
	bool        zero; /* the document has a zero token besides (DOC_ZERO) */
	uint32      count;
	uint32      slot;
	BlockNumber block;
} Run;

typedef struct RunList
{
	ArrayKind kind;
	uint32    part; /* items that are scored at a time, while as many of a run ahead are fetched */
	Run      *runs;
	uint32    count;
	uint32    capacity;
} RunList;

/* Lay out the runs of a document's sketch blocks or code rows, as list->kind says. */
extern void runs_add(Search *search, RunList *list, uint32 which, const DocEntry *entry);

/* Score a run of items; called under a share lock on their page: neither allocates nor errors. */
typedef void (*RunScorer)(Search *search, const Run *run, const uint8 *items, void *arg);

/* Score all runs in their order, and empty the list. */
extern void runs_score(Search *search, RunList *list, RunScorer score, void *arg);

#endif /* COLBERT_RUNS_H */
