/*-------------------------------------------------------------------------
 *
 * lists_search.c
 *	  The nearest nodes of a chunk of tokens: a matrix product with the
 *	  parents, the edges to the children of the best ones, and the rows of
 *	  those that look nearest.
 *
 * Rows and edges are scored in place, a page at a time under its share lock;
 * nothing is allocated meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "miscadmin.h"
#include "nodes/lists.h"

/*
 * To find n nodes, the rows of so many are looked at, those that look nearest
 * by their edges: of 8 nodes .93, of 32 .90 are among them (MedQuAD).
 */
#define ROWS_FOR_NODES(n) (2 * (n) + 16)

/* How many rows ahead are fetched. */
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

/* Empty lists->best, to keep so many hits each. */
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

/* Does a row beat the worst that any token keeps? Mostly it does not: all lanes at once. Slots are a multiple of 16. */
static inline bool
any_better(const float *keys, const float *worst, uint32 slots)
{
	IntQuad better = {0};

	for (uint32 slot = 0; slot < slots; slot += QUAD_FLOATS)
		better |= quad_load(keys + slot) > quad_load(worst + slot);
	return quad_any(better);
}

/* Keep the best of the rows that lists->keys are of. */
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

/* Score a run of rows against the chunk. */
static void
score_rows(Lists *lists, ArrayKind array, uint32 first, uint32 count)
{
	while (count > 0)
	{
		uint32 run = Min(parray_run(&lists->meta->arrays[array], first), count);
		char  *data;
		Buffer buffer = parray_read(lists->index, lists->meta, array, first, &data);

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

/* The tokens' visits to their best parents, by parent; returns how many. */
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
	uint32   ncentroids = lists->meta->arrays[ARRAY_CENTROIDS].nitems;
	ListSpan span;

	parray_copy_out(lists->index, lists->meta, ARRAY_CHILDREN, parent, 1, &span);
	if (span.first > ncentroids || span.count > ncentroids - span.first)
		lists_corrupted(lists, parent);
	return span;
}

/* ---- edges ---- */

/* The visits to one parent. */
typedef struct VisitGroup
{
	const ListVisit *visits;
	uint32           count;
} VisitGroup;

/* A block of children, from centroid first on, for the tokens that visit. */
static void
estimate_block(Lists *lists, const VisitGroup *group, const EdgeBlock *block, ListSpan children)
{
	float estimates[EDGE_LANES];

	for (uint32 i = 0; i < group->count; i++)
	{
		const ListVisit *visit = &group->visits[i];
		TopHits         *guesses = &lists->guesses[visit->token];

		/* Mostly none of them is among the best. */
		if (!edge_block_estimate(block, lists->edges_query, visit->token, visit->base,
								 guesses->worst, estimates))
			continue;
		for (uint32 lane = 0; lane < children.count; lane++)
			top_add(guesses, children.first + lane, estimates[lane]);
	}
}

/* All children of the parent that these visits are to. */
static void
estimate_children(Lists *lists, const VisitGroup *group)
{
	const ArrayMeta *array = &lists->meta->arrays[ARRAY_CHILD_EDGES];
	ListSpan         span = lists_read_span(lists, group->visits[0].parent);

	while (span.count > 0)
	{
		uint32 run = Min(parray_run(array, span.first_block), edge_blocks_for(span.count));
		char  *data;
		Buffer buffer =
			parray_read(lists->index, lists->meta, ARRAY_CHILD_EDGES, span.first_block, &data);

		for (uint32 i = 0; i < run; i++)
		{
			ListSpan children = {span.first, Min(span.count, EDGE_LANES), span.first_block};

			if (data != NULL)
				estimate_block(lists, group, (EdgeBlock *) (data + i * array->item_size), children);
			span.first += children.count;
			span.count -= children.count;
		}
		UnlockReleaseBuffer(buffer);
		span.first_block += run;
	}
}

/* ---- rows ---- */

/* The nodes that look nearest to any token, each once, in their order; returns how many. */
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

/* Score the rows of nodes. */
static void
score_nodes(Lists *lists, const uint32 *nodes, uint32 n)
{
	const ArrayMeta *array = &lists->meta->arrays[ARRAY_CENTROIDS];

	for (uint32 from = 0, to; from < n; from = to)
	{
		char  *data;
		Buffer buffer;

		parray_prefetch(lists->index, lists->meta, ARRAY_CENTROIDS,
						nodes[Min(from + ROWS_AHEAD, n - 1)]);
		buffer = parray_read(lists->index, lists->meta, ARRAY_CENTROIDS, nodes[from], &data);
		for (to = from; to < n && parray_same_page(array, nodes[from], nodes[to]); to++)
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

/* ---- all of it ---- */

/* Tokens as queries for edges. */
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

void
lists_search_parents(Lists *lists, const float *tokens, uint32 ntokens, uint32 parents)
{
	lists->query = kernel_sq8_pack(lists->packed, tokens, ntokens, lists->dim);
	lists->ntokens = ntokens;
	lists->slots = kernel_sq8_slots(lists->query);
	reset_best(lists, parents);
	score_rows(lists, ARRAY_PARENTS, 0, lists->meta->arrays[ARRAY_PARENTS].nitems);
	for (uint32 t = 0; t < ntokens; t++)
		top_cut(&lists->best[t]);
}

/* The nodes that look nearest to each token, among the children of its best parents. */
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
lists_search(Lists *lists, const float *tokens, uint32 ntokens, uint32 nodes, uint32 parents)
{
	uint32  wanted = ROWS_FOR_NODES(nodes);
	uint32  most_guesses = 0;
	uint32 *guessed;

	parents = Min(parents, lists->meta->arrays[ARRAY_PARENTS].nitems);
	lists_search_parents(lists, tokens, ntokens, parents);
	prepare_edges(lists, tokens, ntokens);
	guess_nodes(lists, parents, wanted);

	for (uint32 t = 0; t < ntokens; t++)
		most_guesses += lists->guesses[t].count;
	guessed =
		MemoryContextAllocHuge(lists->context, mul_size(Max(most_guesses, 1), sizeof(uint32)));
	reset_best(lists, nodes);
	score_nodes(lists, guessed, distinct_guesses(lists, guessed));
	for (uint32 t = 0; t < ntokens; t++)
		top_sort(&lists->best[t]);
	pfree(guessed);
}
