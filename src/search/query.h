/*-------------------------------------------------------------------------
 *
 * query.h
 *	  The query of a search, prepared for every stage.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_QUERY_H
#define COLBERT_QUERY_H

#include "index/view.h"
#include "search/directions.h"

/* The query, prepared for every stage. */
typedef struct SearchQuery
{
	WeightedTokens     tokens;     /* distinct ones, prepared: for code rows */
	WeightedTokens     directions; /* the same without near copies: for nodes and sketches */
	float             *keys;       /* scratch: best keys, enough for any kernel's slots */
	KernelSketchQuery *sketch;
	float             *state; /* scratch of the sketch scan */
	CodecQuery        *rows;  /* of the codec; NULL where it has no rows */
} SearchQuery;

/* Allocates in the current context. */
extern void query_prepare(IndexView *view, const MultiVector *mv, SearchQuery *query);

/*
 * The score of documents whose tokens are so short beside the query's that
 * rounding leaves nothing of them; NaN where there is no such score.
 */
extern double query_blank_score(const IndexView *view, const SearchQuery *query);

/* The score of a document from query->keys, which are those of these tokens. */
extern float query_score(const IndexView *view, const SearchQuery *query,
						 const WeightedTokens *tokens);

#endif /* COLBERT_QUERY_H */
