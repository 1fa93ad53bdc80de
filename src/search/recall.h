/*-------------------------------------------------------------------------
 *
 * recall.h
 *	  Predict how many of the wanted documents a search has not found yet, and
 *	  choose the action that is expected to find most of them per microsecond.
 *
 * A search wants a share of the documents that a LIMIT is likely to request. It
 * may miss a document on three levels: in the pool, among those that wait, and
 * among those that the probed lists rank too low or do not name. The errors of
 * estimates measured in this query predict the first two. The best documents so
 * far predict the third: the share of them that half of the lists would have
 * missed.
 *
 * Plain C without PostgreSQL; never allocates.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_RECALL_H
#define COLBERT_RECALL_H

#include "search/policy.h"

typedef enum RecallAction
{
	RECALL_STOP,
	RECALL_RERANK, /* rerank the best n of the pool */
	RECALL_NARROW, /* narrow the best n waiting documents */
	RECALL_PROBE   /* gather from more lists */
} RecallAction;

typedef struct RecallChoice
{
	RecallAction action;
	uint32_t     n;
	double       misses; /* number of wanted documents expected to be missed if the search stops */
} RecallChoice;

/*
 * Return the work that a search has done, as a multiple of the usual work, at
 * least .4 and at most 3. It may expect this multiple of the misses that its
 * target allows.
 */
extern double recall_effort(const Policy *policy, const FunnelState *state);

/* bar: the code score of the last wanted document. */
extern RecallChoice recall_choose(const Policy *policy, const FunnelState *state,
								  const ScoreBar *bar);

#endif /* COLBERT_RECALL_H */
