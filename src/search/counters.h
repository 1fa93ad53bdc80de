/*-------------------------------------------------------------------------
 *
 * counters.h
 *	  What a search has done: colbert_last_scan(), EXPLAIN (ANALYZE).
 *
 * Each search has its own counters, so a search within the filter of another
 * one changes none of the outer search's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_COUNTERS_H
#define COLBERT_COUNTERS_H

#include "compat/pg_compat.h"

#include "executor/instrument.h"
#include "portability/instr_time.h"
#include "search/budget.h"

typedef enum SearchStage
{
	STAGE_FIND,
	STAGE_GATHER,
	STAGE_NARROW,
	STAGE_RERANK,
	STAGE_EXACT,
	STAGE_COUNT
} SearchStage;

/* What a search has done: colbert_last_scan(), EXPLAIN (ANALYZE). */
typedef struct SearchCounters
{
	bool           valid;
	Oid            index;
	Oid            user;
	uint32         searches; /* that are counted here: one, or those of a plan node */
	SearchSettings asked;    /* 0 where the index chose */
	SearchSettings settings;
	uint32         query_tokens;
	uint64         hops;     /* graph nodes expanded */
	uint64         nodes;    /* nodes probed */
	uint64         postings; /* posting entries read */
	uint64         gathered; /* documents they named */
	uint64         pending;  /* pending documents scored */
	uint64         narrowed; /* documents scored by sketch */
	uint64         reranked; /* documents scored by code rows */
	uint64         fetched;  /* heap rows asked for */
	uint64         scored;   /* visible ones, scored exactly */
	uint64         emitted;
	uint64         late;
	uint32         widenings;
	bool           exhaustive;
	uint64         tested; /* heap rows tested by the quals before they were scored */
	uint64         passed; /* those that passed */
	uint32     passes; /* through every document; more than one where work_mem could not hold all */
	uint64     batches; /* that were reranked */
	instr_time time[STAGE_COUNT];
	int64      hit[STAGE_COUNT];  /* pages found in shared_buffers */
	int64      read[STAGE_COUNT]; /* and others */
	BufferUsage began;            /* pages of the backend when the current stage began */
} SearchCounters;

/* Add the counters of a later search of the same plan node. */
extern void counters_add(SearchCounters *sum, const SearchCounters *more);

/* Measure the time and the pages of a stage. The stages of one search do not overlap. */
extern void counters_start(SearchCounters *counters, instr_time *start);
extern void counters_stop(SearchCounters *counters, SearchStage stage, instr_time start);

#endif /* COLBERT_COUNTERS_H */
