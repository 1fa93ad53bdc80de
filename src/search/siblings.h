/*-------------------------------------------------------------------------
 *
 * siblings.h
 *	  Facts shared by the searches of one statement whose rows are merged into
 *	  one order, as those of the partitions of a table.
 *
 * All of them look for the wanted rows together: the best code scores of all
 * determine the score to beat, and their expected misses count together. They
 * run one after the other in one process, so each sees those that began before
 * it. The first search of a round, of which each rescan begins another, forgets
 * the round before.
 *
 * Errors of estimates are learned together by searches whose indexes have the
 * same codec.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SIBLINGS_H
#define COLBERT_SIBLINGS_H

#include "codec/codec.h"
#include "multivector/multivector.h"
#include "search/policy.h"
#include "search/query.h"
#include "search/search.h"

struct Siblings
{
	MemoryContext context; /* reset for each round */
	uint64        round;

	/* of the searches that joined this round */
	MultiVector *query; /* copy; NULL: none has joined */
	SharedQuery  prepared;
	Metric       metric;
	double       share; /* share of the documents that they search */
	/*
	 * Of those whose codec is that of the first: best code scores of reranked
	 * documents, and their share. The best scores of a coarser codec are higher,
	 * because they are those with the largest errors.
	 */
	CodecId       code_codec;
	CandidateList codes;
	double        code_share;
	uint64        changes;                     /* times that the members above changed */
	double        likely[POLICY_LIKELY_LIMIT]; /* best exact scores, descending */
	uint32        nlikely;
	uint64        returned; /* rows returned */
	uint32        givers;   /* searches that returned a row */
	double        misses;   /* expected misses of those that have settled */

	/* errors of estimates, of the searches with this codec */
	bool        has_codec;
	CodecId     codec;
	EstimateFit sketch_fit;
	ErrorStats  score_errors;
	EstimateFit score_fit;
	PairSums    pairs; /* estimates and sketch scores */
};

/* Allocates in the current context, which must outlive the searches. */
extern Siblings *siblings_create(void);
extern void      siblings_begin_round(Siblings *siblings);

/*
 * Join the searches of this round with a share of the documents. Returns false
 * if the others have another query or metric, so that scores are not
 * comparable.
 */
extern bool siblings_join(Siblings *siblings, const MultiVector *query, Metric metric,
						  CodecId codec, double share);

extern void siblings_add_code(Siblings *siblings, float score);

/* Return the nth best code score, or -INFINITY if there are fewer. */
extern double siblings_nth_code(Siblings *siblings, uint32 n);

/* Add the exact score of a row that passed the filter. */
extern void siblings_add_row(Siblings *siblings, double score);

/* Count a row that a search returned. */
extern void siblings_give(Siblings *siblings, bool first);

/* Take the errors that all have learned, and leave what this search has learned since. */
extern void siblings_take_errors(const Siblings *siblings, CodecId codec, FunnelState *state);
extern void siblings_leave_errors(Siblings *siblings, CodecId codec, const FunnelState *state);

#endif /* COLBERT_SIBLINGS_H */
