/*-------------------------------------------------------------------------
 *
 * query.h
 *	  Prepare the query of a search for every stage.
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
	WeightedTokens     tokens;     /* distinct prepared tokens, for code rows */
	WeightedTokens     directions; /* the same without near copies, for nodes and sketches */
	float             *keys;       /* scratch: best keys, enough for any kernel's slots */
	KernelSketchQuery *sketch;
	float             *state; /* scratch of the sketch kernels */
	CodecQuery        *rows;  /* for the codec; NULL if it has no rows */
} SearchQuery;

/*
 * A query that the first of several searches prepared, and what it depends on
 * apart from the query and the metric. Searches of indexes that are alike take
 * it over.
 */
typedef struct SharedQuery
{
	MemoryContext context; /* holds the members below until every search has ended */
	bool          is_prepared;
	MetaShape     shape;
	int32         scale_log2;
	float         token_norm;
	float        *mean;
	SearchQuery   query;
} SharedQuery;

/*
 * Prepare a query, or take over as much as possible of a shared one; the first
 * search prepares it. shared: NULL if no other search has this query. Allocates
 * in the current context.
 */
extern void query_prepare(IndexView *view, const MultiVector *mv, SharedQuery *shared,
						  SearchQuery *query);

/*
 * Return the score of documents whose tokens are so short compared with the
 * query's that they vanish in rounding, or NaN if the metric has no such score.
 * Overwrites query->keys.
 */
extern double query_blank_score(const IndexView *view, const SearchQuery *query);

/*
 * Return the score of a document from query->keys, which holds the best key of
 * each of these tokens.
 */
extern float query_score(const IndexView *view, const SearchQuery *query,
						 const WeightedTokens *tokens);

#endif /* COLBERT_QUERY_H */
