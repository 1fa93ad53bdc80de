/*-------------------------------------------------------------------------
 *
 * counters.h
 *	  Counters of a search, for colbert_last_scan() and EXPLAIN (ANALYZE).
 *
 * Each search has its own counters, so a search in the filter of another one
 * does not change those of the outer search.
 *
 * Stages, counts and settings are listed once, below. The members of
 * SearchCounters, the sum over searches, the columns of colbert_last_scan()
 * and the lines of EXPLAIN follow from the lists. The function's declaration
 * in SQL cannot; test/check-house compares it with them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_COUNTERS_H
#define COLBERT_COUNTERS_H

#include "compat/pg_compat.h"

#include "executor/instrument.h"
#include "portability/instr_time.h"
#include "search/budget.h"

/*
 * The stages, in order: STAGE(constant, prefix, label). The columns of a stage
 * in colbert_last_scan() are its prefix with _ms, _hit, _read and _ahead; the
 * label begins its line in EXPLAIN.
 */
#define SEARCH_STAGES(STAGE)                \
	STAGE(STAGE_FIND, "find", "Find")       \
	STAGE(STAGE_GATHER, "gather", "Gather") \
	STAGE(STAGE_NARROW, "narrow", "Narrow") \
	STAGE(STAGE_RERANK, "rerank", "Rerank") \
	STAGE(STAGE_EXACT, "exact", "Exact")

/*
 * The counts, in EXPLAIN's order: COUNT(name, stage, label). The name is that
 * of the member of SearchCounters and of the column of colbert_last_scan();
 * searches has no column. The label is the name in the stage's line of EXPLAIN.
 *
 * searches: 1, or the searches of a plan node
 * nodes: nodes probed
 * hops: graph nodes expanded
 * postings: posting entries read
 * gathered: documents that the postings name
 * narrowed: documents scored by sketch
 * pending: pending documents scored
 * widenings: times that the search probed more nodes
 * passes: passes through all documents; several if they exceed work_mem
 * reranked, batches: documents scored by code rows, and batches of them
 * fetched: heap rows fetched
 * tested, passed: heap rows that the quals tested before scoring, and passed
 * scored: visible heap rows scored exactly
 * emitted, late: rows returned, and those that came after a worse one
 */
#define SEARCH_COUNTS(COUNT)                    \
	COUNT(searches, STAGE_FIND, "searches")     \
	COUNT(nodes, STAGE_FIND, "nodes")           \
	COUNT(hops, STAGE_FIND, "hops")             \
	COUNT(postings, STAGE_GATHER, "postings")   \
	COUNT(gathered, STAGE_GATHER, "documents")  \
	COUNT(narrowed, STAGE_NARROW, "documents")  \
	COUNT(pending, STAGE_NARROW, "pending")     \
	COUNT(widenings, STAGE_NARROW, "widenings") \
	COUNT(passes, STAGE_NARROW, "passes")       \
	COUNT(reranked, STAGE_RERANK, "documents")  \
	COUNT(batches, STAGE_RERANK, "batches")     \
	COUNT(fetched, STAGE_EXACT, "fetched")      \
	COUNT(tested, STAGE_EXACT, "tested")        \
	COUNT(passed, STAGE_EXACT, "passed")        \
	COUNT(scored, STAGE_EXACT, "scored")        \
	COUNT(emitted, STAGE_EXACT, "emitted")      \
	COUNT(late, STAGE_EXACT, "late")

/* The settings: SETTING(name), the name of the member of SearchSettings and of the column. */
#define SEARCH_SETTINGS(SETTING) \
	SETTING(probes)              \
	SETTING(ef_search)           \
	SETTING(candidates)          \
	SETTING(rerank)

#define STAGE_CONSTANT(constant, prefix, label) constant,
#define COUNT_MEMBER(name, stage, label)        uint64 name;

typedef enum SearchStage
{
	SEARCH_STAGES(STAGE_CONSTANT) STAGE_COUNT
} SearchStage;

/* Counters of one search, or the sum over several. */
typedef struct SearchCounters
{
	bool           valid;
	Oid            index;
	Oid            user;
	SearchSettings asked; /* 0 if the index chose */
	SearchSettings settings;
	uint32         query_tokens;
	bool           exhaustive;
	double         expected_misses; /* of the rows that are probably wanted, when it stopped */
	double         share;           /* of all documents, that the index has */
	SEARCH_COUNTS(COUNT_MEMBER)
	instr_time  time[STAGE_COUNT];
	int64       hit[STAGE_COUNT];   /* pages found in shared_buffers */
	int64       read[STAGE_COUNT];  /* other pages */
	int64       ahead[STAGE_COUNT]; /* requests for pages (storage/readahead.h) */
	BufferUsage began;              /* pages of the backend when the current stage began */
	int64       ahead_began;        /* requests of the backend at that time */
} SearchCounters;

#undef STAGE_CONSTANT
#undef COUNT_MEMBER

/* Entries of the lists, for code that shows or adds up all of them. */
typedef struct SearchCount
{
	const char *name;
	SearchStage stage;
	const char *label;
	size_t      offset; /* in SearchCounters */
} SearchCount;

typedef struct SearchStageName
{
	const char *prefix;
	const char *label;
} SearchStageName;

typedef struct SearchSettingName
{
	const char *name;
	size_t      offset; /* in SearchSettings */
} SearchSettingName;

extern const SearchCount       search_counts[];
extern const int               search_ncounts;
extern const SearchStageName   search_stages[STAGE_COUNT];
extern const SearchSettingName search_settings[];
extern const int               search_nsettings;

static inline uint64
count_value(const SearchCounters *counters, const SearchCount *count)
{
	return *(const uint64 *) ((const char *) counters + count->offset);
}

static inline uint32
setting_value(const SearchSettings *settings, const SearchSettingName *setting)
{
	return *(const uint32 *) ((const char *) settings + setting->offset);
}

/* Add the counters of a later search of the same plan node. */
extern void counters_add(SearchCounters *sum, const SearchCounters *more);

/* Measure the time and the page accesses of a stage. The stages of one search do not overlap. */
extern void counters_start(SearchCounters *counters, instr_time *start);
extern void counters_stop(SearchCounters *counters, SearchStage stage, instr_time start);

#endif /* COLBERT_COUNTERS_H */
