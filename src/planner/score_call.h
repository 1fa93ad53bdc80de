/*-------------------------------------------------------------------------
 *
 * score_call.h
 *	  Is an expression a score, or a distance, of an index's documents?
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SCORE_CALL_H
#define COLBERT_SCORE_CALL_H

#include "compat/pg_compat.h"

#include "nodes/pathnodes.h"

typedef enum ScoreCallKind
{
	CALL_OF_SCORE,   /* larger is nearer: maxsim(doc, query) */
	CALL_OF_DISTANCE /* smaller is nearer: doc <#> query, maxsim_l2(doc, query) */
} ScoreCallKind;

/* A function of two arguments, called by its name or as an operator. */
typedef struct ScoreCall
{
	ScoreCallKind kind;
	Node         *doc;
	Node         *query;
} ScoreCall;

/* Match an expression to what the index orders by. False where it is anything else. */
extern bool score_call_match(PlannerInfo *root, IndexOptInfo *index, Expr *expr, ScoreCall *call);

/*
 * The indexed expression, if the index holds this document: the expression
 * itself, or a cast of one to the other that does not change the score. NULL
 * if it does not.
 */
extern Node *score_call_document(IndexOptInfo *index, Node *doc);

/*
 * Do two expressions give the same query? Sub-selects that are written alike
 * count as equal, though they are planned and run one by one: for estimates
 * and the choice of a plan, never for the result.
 */
extern bool score_call_same_query(PlannerInfo *root, Node *a, Node *b);

/* Is this expression known before the scan starts? */
extern bool score_call_is_known(PlannerInfo *root, IndexOptInfo *index, Node *expr);

#endif /* COLBERT_SCORE_CALL_H */
