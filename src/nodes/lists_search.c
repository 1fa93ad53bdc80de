/*-------------------------------------------------------------------------
 *
 * lists_search.c
 *	  Find the nearest nodes of a chunk of tokens.
 *
 * The parents are scored by a matrix product. The children of each token's
 * best parents are estimated by their edges, and the rows of the nearest
 * estimates are scored.
 *
 * Rows and edges are scored in place, one page at a time under its share lock;
 * nothing is allocated meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "miscadmin.h"
#include "nodes/lists.h"

/* Distance of row prefetching. */
#define ROWS_AHEAD 8

#define ST_SORT         sort_visits
#define ST_ELEMENT_TYPE ListVisit
#define ST_COMPARE(a, b)                                               \
	((a)->parent != (b)->parent ? ((a)->parent < (b)->parent ? -1 : 1) \
								: (a)->token<(b)->token ? -1 : (a)->token>(b)->token)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

#define ST_SORT          sort_ordinals
#define ST_ELEMENT_TYPE  uint32
#define ST_COMPARE(a, b) (*(a) < *(b) ? -1 : *(a) > *(b))
#define ST_SCOPE         static
#define ST_DEFINE
#include "lib/sort_template.h"

/* Empty lists->best and set the number of hits wanted per token. */
static void
reset_best(Lists *lists, uint32 wanted)
{
	for (uint32 t = 0; t < lists->ntokens; t++)
	{
		top_reset(&lists->best[t], wanted, lists->context);
		lists->worst[t] = -INFINITY;
	}
	for (uint32 slot = lists->ntokens; slot < lists->slots; slot++)
		lists->worst[slot] = INFINITY;
}

/*
 * Return true if a row's key exceeds the worst kept key of any token. Mostly
 * it does not, so all tokens are tested at once. slots is a multiple of 16.
 */
static inline bool
any_better(const float *keys, const float *worst, uint32 slots)
{
	IntQuad better = {0};

	for (uint32 slot = 0; slot < slots; slot += QUAD_FLOATS)
		better |= quad_load(keys + slot) > quad_load(worst + slot);
	return quad_any(better);
}

/*
 * Add rows [first, first + nrows), whose keys are in lists->keys, to the
 * best hits of each token.
 */
static void
keep_best(Lists *lists, uint32 first, uint32 nrows)
{
	for (uint32 row = 0; row < nrows; row++)
	{
		const float *keys = lists->keys + (size_t) row * lists->slots;

		if (!any_better(keys, lists->worst, lists->slots))
			continue;
		for (uint32 t = 0; t < lists->ntokens; t++)
		{
			top_add(&lists->best[t], first + row, keys[t]);
			lists->worst[t] = lists->best[t].worst;
		}
	}
}

/* Score a run of rows for all tokens of the chunk. */
static void
score_rows(Lists *lists, ArrayKind array, uint32 first, uint32 count)
{
	while (count > 0)
	{
		uint32 run = Min(parray_run(lists->index, array, first), count);
		char  *data;
		Buffer buffer = parray_read(lists->index, array, first, &data);

		if (data != NULL)
			kernels->sq8_keys(lists->query, (const uint8 *) data, run, true, lists->keys);
		UnlockReleaseBuffer(buffer);
		if (data != NULL)
			keep_best(lists, first, run);
		first += run;
		count -= run;
		CHECK_FOR_INTERRUPTS();
	}
}

/* ---- parents ---- */

/* List the tokens' visits to their best parents, ordered by parent. Returns their number. */
static uint32
plan_visits(Lists *lists, ListVisit *visits)
{
	uint32 n = 0;

	for (uint32 t = 0; t < lists->ntokens; t++)
	{
		const TopHits *best = &lists->best[t];

		for (uint32 i = 0; i < best->count; i++)
			visits[n++] = (ListVisit) {best->hits[i].node, t, best->hits[i].key};
	}
	sort_visits(visits, n);
	return n;
}

ListSpan
lists_read_span(const Lists *lists, uint32 parent)
{
	uint32   ncentroids = parray_nitems(lists->index, ARRAY_CENTROIDS);
	ListSpan span;

	parray_copy_out(lists->index, ARRAY_CHILDREN, parent, 1, &span);
	if (span.first > ncentroids || span.count > ncentroids - span.first)
		lists_corrupted(lists, parent);
	return span;
}

/* ---- edges ---- */

/* Visits to one parent. */
typedef struct VisitGroup
{
	const ListVisit *visits;
	uint32           count;
} VisitGroup;

/* Estimate a block of children for all visiting tokens. */
static void
estimate_block(Lists *lists, const VisitGroup *group, const EdgeBlock *block, ListSpan children)
{
	float estimates[EDGE_LANES];

	for (uint32 i = 0; i < group->count; i++)
	{
		const ListVisit *visit = &group->visits[i];
		TopHits         *guesses = &lists->guesses[visit->token];

		/* Mostly none of the children is among the best. */
		if (!edge_block_estimate(block, lists->edges_query, visit->token, visit->base,
								 guesses->worst, estimates))
			continue;
		for (uint32 lane = 0; lane < children.count; lane++)
			top_add(guesses, children.first + lane, estimates[lane]);
	}
}

/* Estimate all children of the parent of a group of visits. */
static void
estimate_children(Lists *lists, const VisitGroup *group)
{
	ColbertIndex *index = lists->index;
	size_t        item_size = parray_item_size(index, ARRAY_CHILD_EDGES);
	ListSpan      span = lists_read_span(lists, group->visits[0].parent);

	while (span.count > 0)
	{
		uint32 run = Min(parray_run(index, ARRAY_CHILD_EDGES, span.first_block),
						 edge_blocks_for(span.count));
		char  *data;
		Buffer buffer = parray_read(index, ARRAY_CHILD_EDGES, span.first_block, &data);

		for (uint32 i = 0; i < run; i++)
		{
			ListSpan children = {span.first, Min(span.count, EDGE_LANES), span.first_block};

			if (data != NULL)
				estimate_block(lists, group, (EdgeBlock *) (data + i * item_size), children);
			span.first += children.count;
			span.count -= children.count;
		}
		UnlockReleaseBuffer(buffer);
		span.first_block += run;
	}
}

/* ---- rows ---- */

/*
 * List the nodes with the best estimates for any token; each node once, in
 * ascending order. Returns their number.
 */
static uint32
distinct_guesses(Lists *lists, uint32 *nodes)
{
	uint32 n = 0;
	uint32 distinct = 0;

	for (uint32 t = 0; t < lists->ntokens; t++)
	{
		top_thin(&lists->guesses[t]);
		for (uint32 i = 0; i < lists->guesses[t].count; i++)
			nodes[n++] = lists->guesses[t].hits[i].node;
	}
	sort_ordinals(nodes, n);
	for (uint32 i = 0; i < n; i++)
		if (distinct == 0 || nodes[i] != nodes[distinct - 1])
			nodes[distinct++] = nodes[i];
	return distinct;
}

/* Score the rows of these nodes. */
static void
score_nodes(Lists *lists, const uint32 *nodes, uint32 n)
{
	ColbertIndex *index = lists->index;

	for (uint32 from = 0, to; from < n; from = to)
	{
		char  *data;
		Buffer buffer;

		parray_prefetch(index, ARRAY_CENTROIDS, nodes[Min(from + ROWS_AHEAD, n - 1)]);
		buffer = parray_read(index, ARRAY_CENTROIDS, nodes[from], &data);
		for (to = from; to < n && parray_same_page(index, ARRAY_CENTROIDS, nodes[from], nodes[to]);
			 to++)
		{
			if (data == NULL)
				continue;
			kernels->sq8_keys(lists->query,
							  (const uint8 *) data + (nodes[to] - nodes[from]) * lists->row_size, 1,
							  true, lists->keys);
			keep_best(lists, nodes[to], 1);
		}
		UnlockReleaseBuffer(buffer);
		CHECK_FOR_INTERRUPTS();
	}
}

/* ---- entry points ---- */

void
lists_share_edges(Lists *lists, const FindQuery *query)
{
	float factors[LISTS_CHUNK];

	if (query->sketch == NULL || query->ntokens > LISTS_CHUNK)
		return;
	for (uint32 t = 0; t < query->ntokens; t++)
		factors[t] = query->reach / query->scales[t];
	lists->edges_query = kernel_sketch_scale(lists->edges_packed, query->sketch, factors);
}

/* Pack the tokens as a query for edges. */
static void
prepare_edges(Lists *lists, const float *tokens, uint32 ntokens)
{
	uint32 padded = lists->rotation->padded;
	float  constants[LISTS_CHUNK] = {0};

	for (uint32 t = 0; t < ntokens; t++)
		rotation_apply(lists->rotation, tokens + (size_t) t * lists->dim,
					   lists->rotated + (size_t) t * padded);
	lists->edges_query =
		kernel_sketch_pack(lists->edges_packed, lists->rotated, constants, ntokens, padded, false);
}

/*
 * Find the best parents of a chunk of tokens. lists->best receives at most
 * parents hits per token, unsorted.
 */
static void
search_parents(Lists *lists, const float *tokens, uint32 ntokens, uint32 parents)
{
	lists->query = kernel_sq8_pack(lists->packed, tokens, ntokens, lists->dim);
	lists->ntokens = ntokens;
	lists->slots = kernel_sq8_slots(lists->query);
	reset_best(lists, parents);
	score_rows(lists, ARRAY_PARENTS, lists_first_parent(lists), lists_nparents(lists));
	for (uint32 t = 0; t < ntokens; t++)
		top_cut(&lists->best[t]);
}

/* Find the nodes with the best estimates for each token, among the children of its best parents. */
static void
guess_nodes(Lists *lists, uint32 parents, uint32 wanted)
{
	ListVisit *visits = MemoryContextAllocHuge(
		lists->context, mul_size(mul_size(lists->ntokens, parents), sizeof(ListVisit)));
	uint32 nvisits = plan_visits(lists, visits);

	for (uint32 t = 0; t < lists->ntokens; t++)
		top_reset(&lists->guesses[t], wanted, lists->context);
	for (uint32 from = 0, to; from < nvisits; from = to)
	{
		for (to = from + 1; to < nvisits && visits[to].parent == visits[from].parent; to++)
			;
		estimate_children(lists, &(VisitGroup) {visits + from, to - from});
		lists->looked_at++;
		CHECK_FOR_INTERRUPTS();
	}
	pfree(visits);
}

void
lists_search(Lists *lists, const float *tokens, uint32 ntokens, const ListsWidth *width)
{
	uint32  parents = Min(width->parents, lists_nparents(lists));
	uint32  most_guesses = 0;
	uint32 *guessed;

	search_parents(lists, tokens, ntokens, parents);
	if (lists->edges_query == NULL)
		prepare_edges(lists, tokens, ntokens);
	guess_nodes(lists, parents, width->rows);

	for (uint32 t = 0; t < ntokens; t++)
		most_guesses += lists->guesses[t].count;
	guessed =
		MemoryContextAllocHuge(lists->context, mul_size(Max(most_guesses, 1), sizeof(uint32)));
	reset_best(lists, width->nodes);
	score_nodes(lists, guessed, distinct_guesses(lists, guessed));
	for (uint32 t = 0; t < ntokens; t++)
		top_sort(&lists->best[t]);
	pfree(guessed);
	lists->edges_query = NULL;
}
