/*-------------------------------------------------------------------------
 *
 * candidates.h
 *	  Lists of documents with their estimates.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_CANDIDATES_H
#define COLBERT_CANDIDATES_H

#include <stdint.h>

/* A document and its estimate; larger is nearer. */
typedef struct Candidate
{
	uint32_t doc;
	float    score;
} Candidate;

typedef struct CandidateList
{
	Candidate *items;
	uint32_t   count;
	uint32_t   capacity;
} CandidateList;

extern void candidates_add(CandidateList *list, uint32_t doc, float score);

/* Move the best n (by score, then lower ordinal) to the front, in no particular order. */
extern void candidates_select(Candidate *items, uint32_t count, uint32_t n);
extern void candidates_sort_by_doc(CandidateList *list);

/* Return the nth best score, or -INFINITY if there are fewer. Moves the best n to the front. */
extern double candidates_nth(CandidateList *list, uint32_t n);

#endif /* COLBERT_CANDIDATES_H */
