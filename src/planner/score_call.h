/*-------------------------------------------------------------------------
 *
 * score_call.h
 *	  Recognize calls that score, or take the distance of, an index's documents.
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

/*
 * Match an expression to the score or distance that the index orders by.
 * Return false for any other expression.
 */
extern bool score_call_match(PlannerInfo *root, IndexOptInfo *index, Expr *expr, ScoreCall *call);

/*
 * Return the indexed expression if the index holds this document. The document
 * may be that expression itself, or a cast of one to the other that does not
 * change the score. Return NULL otherwise.
 */
extern Node *score_call_document(IndexOptInfo *index, Node *doc);

/*
 * Return true if two expressions yield the same query. Sub-selects that are
 * written alike count as equal, although each is planned and run on its own.
 * So use this only for estimates and the choice of a plan, never for results.
 */
extern bool score_call_same_query(PlannerInfo *root, Node *a, Node *b);

/* Return true if the expression is known before the scan starts. */
extern bool score_call_is_known(PlannerInfo *root, IndexOptInfo *index, Node *expr);

#endif /* COLBERT_SCORE_CALL_H */
