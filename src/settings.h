/*-------------------------------------------------------------------------
 *
 * settings.h
 *	  The colbert.* configuration parameters.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SETTINGS_H
#define COLBERT_SETTINGS_H

#include "compat/pg_compat.h"

/* 0: use the index's option, or else 0.97. */
extern double colbert_recall;
extern int    colbert_shards;

/* 0: use the index's option, or else let the index choose. */
extern int colbert_probes;
extern int colbert_ef_search;
extern int colbert_candidates;
extern int colbert_rerank;

/* Statements that must not miss a row above a threshold. */
typedef enum ExactThresholds
{
	EXACT_THRESHOLDS_OFF,
	EXACT_THRESHOLDS_AUTO, /* those that modify rows by a threshold, or negate it */
	EXACT_THRESHOLDS_ON
} ExactThresholds;

extern int colbert_exact_thresholds;

/* Maximum pending tokens, and whether a background worker merges what inserts leave pending. */
extern int  colbert_pending_limit;
extern bool colbert_background_merge;

/* Form of a multivector's text output. */
typedef enum MultiVectorOutput
{
	MULTIVECTOR_OUTPUT_JSON,
	MULTIVECTOR_OUTPUT_HEX
} MultiVectorOutput;

extern int colbert_multivector_output;

/* Maximum indexes with cumulative counters. Fixed when the server starts. */
extern int colbert_stat_indexes;

extern void settings_init(void);

#endif /* COLBERT_SETTINGS_H */
