/*-------------------------------------------------------------------------
 *
 * lists_assign.c
 *	  Find the nearest node of each of many tokens, for large merges.
 *
 * The best parents of each token give pairs (token, parent), which are grouped
 * by parent. The rows of a parent's children are then read once for all of its
 * tokens. A parent that is much farther than the nearest one rarely has the
 * nearest child, and is left out. kmeans/assign.c works the same way in a
 * build, without pages.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "kmeans/kmeans.h"
#include "miscadmin.h"
#include "nodes/lists.h"

/* Minimum tokens per parent, on average, for which reading all children of all parents pays. */
#define TOKENS_OF_A_PARENT 16

/*
 * Parents are left out if their squared distance is more than this many times
 * that of the nearest, as in a build.
 */
#define FAR_PARENT 1.4f

/* Rows per kernel call, few enough that their keys stay in the CPU's cache. */
#define ROWS_AT_A_TIME 128

/* State of one assignment of many tokens. */
typedef struct Assignment
{
	Lists        *lists;
	MemoryContext context;
	uint32        ntokens;
	NodeHit      *nearest;
	uint8        *codes; /* rows of the tokens, without addend */
	size_t        code_size;
	uint32        first_parent;
	uint32        nparents;
	uint8        *parent_rows;
	uint32       *parents;     /* ntokens x ASSIGN_PARENTS, less first_parent; nparents: none */
	uint32       *group_start; /* nparents + 1 positions in pairs */
	uint32       *pairs;       /* tokens, grouped by parent */
	uint8        *rows;        /* of one parent's children */
	uint32        rows_room;
	float        *keys; /* ROWS_AT_A_TIME x LISTS_CHUNK */
	uint32        reaching[ROWS_AT_A_TIME];
	float  near_keys[ASSIGN_PARENTS][LISTS_CHUNK]; /* of a chunk's best parents, best first */
	uint32 near_parents[ASSIGN_PARENTS][LISTS_CHUNK];
} Assignment;

static void *
allocate(const Assignment *a, size_t n, size_t size)
{
	return MemoryContextAllocHuge(a->context, mul_size(Max(n, 1), size));
}

/*
 * Copy rows of an array. Rows of pages that were never written are zeroes,
 * which is not a valid code; their key is set to -infinity, so that no token
 * is assigned to them.
 */
static void
copy_rows(const Assignment *a, ArrayKind array, uint32 first, uint32 count, uint8 *rows)
{
	const Lists *lists = a->lists;
	const float  nowhere = -INFINITY;

	parray_copy_out(lists->index, array, first, count, rows);
	for (uint32 i = 0; i < count; i++)
	{
		uint8 *row = rows + i * lists->row_size;

		if (row[2 * sizeof(float)] == 0)
			memcpy(row + sizeof(float), &nowhere, sizeof(float));
	}
}

/* Pack n tokens, given by their codes, as the query. */
static void
pack_tokens(Assignment *a, const uint8 *const *codes, uint32 n)
{
	Lists *lists = a->lists;

	lists->query = kernel_sq8_pack_rows(lists->packed, codes, n, lists->dim, false);
	lists->slots = kernel_sq8_slots(lists->query);
}

/* ---- parents ---- */

/* Put a parent among the best of a token, whose last one it replaces. */
static void
put_parent(Assignment *a, uint32 token, uint32 parent, float key)
{
	int i = ASSIGN_PARENTS - 1;

	for (; i > 0 && key > a->near_keys[i - 1][token]; i--)
	{
		a->near_keys[i][token] = a->near_keys[i - 1][token];
		a->near_parents[i][token] = a->near_parents[i - 1][token];
	}
	a->near_keys[i][token] = key;
	a->near_parents[i][token] = parent;
}

/* Find the best parents of the n packed tokens. */
static void
search_parents(Assignment *a, uint32 n)
{
	Lists *lists = a->lists;
	float *worst = a->near_keys[ASSIGN_PARENTS - 1];

	for (int i = 0; i < ASSIGN_PARENTS; i++)
		for (uint32 slot = 0; slot < lists->slots; slot++)
		{
			a->near_keys[i][slot] = slot < n ? -INFINITY : INFINITY;
			a->near_parents[i][slot] = a->nparents;
		}
	for (uint32 from = 0; from < a->nparents; from += ROWS_AT_A_TIME)
	{
		uint32 nrows = Min(a->nparents - from, ROWS_AT_A_TIME);
		uint32 nreaching;

		kernels->sq8_keys(lists->query, a->parent_rows + from * lists->row_size, nrows, true,
						  a->keys);
		nreaching = kernels->keys_at_least(a->keys, nrows, lists->slots, worst, a->reaching);
		for (uint32 i = 0; i < nreaching; i++)
		{
			const float *keys = a->keys + (size_t) a->reaching[i] * lists->slots;

			for (uint32 t = 0; t < n; t++)
				if (keys[t] > worst[t])
					put_parent(a, t, from + a->reaching[i], keys[t]);
		}
		CHECK_FOR_INTERRUPTS();
	}
}

/* Note the best parents of n tokens, from this one on, without those that are far. */
static void
keep_near_parents(Assignment *a, uint32 first, uint32 n)
{
	for (uint32 t = 0; t < n; t++)
	{
		const uint8 *code = a->codes + (first + t) * a->code_size;
		float        squared = kernels->sq8_squared(code, a->lists->dim, false);
		float        farthest = FAR_PARENT * (squared - 2 * a->near_keys[0][t]);
		uint32      *parents = a->parents + (size_t) (first + t) * ASSIGN_PARENTS;

		parents[0] = a->near_parents[0][t];
		for (int i = 1; i < ASSIGN_PARENTS; i++)
			parents[i] =
				squared - 2 * a->near_keys[i][t] > farthest ? a->nparents : a->near_parents[i][t];
	}
}

/* Encode the tokens and find the best parents of each. */
static void
find_parents(Assignment *a, const float *tokens)
{
	Lists *lists = a->lists;

	copy_rows(a, ARRAY_PARENTS, a->first_parent, a->nparents, a->parent_rows);
	for (uint32 first = 0; first < a->ntokens; first += LISTS_CHUNK)
	{
		uint32       n = Min(a->ntokens - first, LISTS_CHUNK);
		const uint8 *codes[LISTS_CHUNK];

		for (uint32 t = 0; t < n; t++)
		{
			uint8 *code = a->codes + (first + t) * a->code_size;

			kernels->sq8_encode(tokens + (size_t) (first + t) * lists->dim, lists->dim, false, 0,
								code);
			codes[t] = code;
		}
		pack_tokens(a, codes, n);
		search_parents(a, n);
		keep_near_parents(a, first, n);
	}
}

/* ---- children ---- */

/* Group the tokens by their parents. */
static void
group_tokens(Assignment *a)
{
	size_t  npairs = (size_t) a->ntokens * ASSIGN_PARENTS;
	uint32 *start = a->group_start;
	uint32  sum = 0;

	memset(start, 0, (a->nparents + 1) * sizeof(uint32));
	for (size_t i = 0; i < npairs; i++)
		start[a->parents[i]]++;
	for (uint32 p = 0; p <= a->nparents; p++)
	{
		uint32 count = start[p];

		start[p] = sum;
		sum += count;
	}
	for (size_t i = 0; i < npairs; i++)
		a->pairs[start[a->parents[i]]++] = (uint32) (i / ASSIGN_PARENTS);

	/* The loop above advanced every start to the start of the next group. */
	memmove(start + 1, start, a->nparents * sizeof(uint32));
	start[0] = 0;
}

/*
 * Update the nearest nodes of the tokens from the keys of nrows rows. best:
 * the maxima of the keys, by token.
 */
static void
keep_nearest(Assignment *a, const float *best, const uint32 *tokens, uint32 n, uint32 first_node,
			 uint32 nrows)
{
	uint32 slots = a->lists->slots;
	uint32 nreaching = kernels->keys_at_least(a->keys, nrows, slots, best, a->reaching);

	for (uint32 i = 0; i < nreaching; i++)
	{
		const float *keys = a->keys + (size_t) a->reaching[i] * slots;

		for (uint32 t = 0; t < n; t++)
			if (keys[t] == best[t] && keys[t] > a->nearest[tokens[t]].key)
				a->nearest[tokens[t]] = (NodeHit) {first_node + a->reaching[i], keys[t]};
	}
}

/* Find the nearest node of up to LISTS_CHUNK tokens among the children of a parent. */
static void
search_children(Assignment *a, ListSpan span, const uint32 *tokens, uint32 n)
{
	Lists       *lists = a->lists;
	const uint8 *codes[LISTS_CHUNK];
	float        best[LISTS_CHUNK];

	for (uint32 t = 0; t < n; t++)
		codes[t] = a->codes + tokens[t] * a->code_size;
	pack_tokens(a, codes, n);
	for (uint32 slot = 0; slot < lists->slots; slot++)
		best[slot] = slot < n ? a->nearest[tokens[slot]].key : INFINITY;
	for (uint32 from = 0; from < span.count; from += ROWS_AT_A_TIME)
	{
		uint32 nrows = Min(span.count - from, ROWS_AT_A_TIME);

		kernels->sq8_keys(lists->query, a->rows + from * lists->row_size, nrows, true, a->keys);
		kernels->keys_max(a->keys, nrows, lists->slots, best);
		keep_nearest(a, best, tokens, n, span.first + from, nrows);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Read the rows of a span. */
static void
read_rows(Assignment *a, ListSpan span)
{
	if (span.count > a->rows_room)
	{
		if (a->rows != NULL)
			pfree(a->rows);
		a->rows = allocate(a, span.count, a->lists->row_size);
		a->rows_room = span.count;
	}
	copy_rows(a, ARRAY_CENTROIDS, span.first, span.count, a->rows);
}

/* Compare the children of a parent, counted from the first, with all of its tokens. */
static void
search_parent(Assignment *a, uint32 parent)
{
	uint32   at = a->group_start[parent];
	uint32   end = a->group_start[parent + 1];
	ListSpan span;

	if (at == end)
		return;
	span = lists_read_span(a->lists, a->first_parent + parent);
	read_rows(a, span);
	for (; at < end; at += LISTS_CHUNK)
		search_children(a, span, a->pairs + at, Min(end - at, LISTS_CHUNK));
}

bool
lists_assign_pays(const Lists *lists, uint32 ntokens)
{
	return (uint64) ntokens * ASSIGN_PARENTS >= (uint64) lists_nparents(lists) * TOKENS_OF_A_PARENT;
}

void
lists_assign_many(Lists *lists, const float *tokens, uint32 ntokens, NodeHit *nearest)
{
	Assignment a = {.lists = lists,
					.ntokens = ntokens,
					.nearest = nearest,
					.first_parent = lists_first_parent(lists),
					.nparents = lists_nparents(lists)};

	a.context =
		AllocSetContextCreate(lists->context, "colbert_pg assignment", ALLOCSET_DEFAULT_SIZES);
	a.code_size = kernel_sq8_row_size(lists->dim, false);
	a.codes = allocate(&a, ntokens, a.code_size);
	a.parent_rows = allocate(&a, a.nparents, lists->row_size);
	a.parents = allocate(&a, mul_size(ntokens, ASSIGN_PARENTS), sizeof(uint32));
	a.pairs = allocate(&a, mul_size(ntokens, ASSIGN_PARENTS), sizeof(uint32));
	a.group_start = allocate(&a, (size_t) a.nparents + 2, sizeof(uint32));
	a.keys = allocate(&a, ROWS_AT_A_TIME * LISTS_CHUNK, sizeof(float));
	find_parents(&a, tokens);
	group_tokens(&a);
	for (uint32 i = 0; i < ntokens; i++)
		nearest[i] = (NodeHit) {INVALID_ORDINAL, -INFINITY};
	for (uint32 p = 0; p < a.nparents; p++)
		search_parent(&a, p);
	for (uint32 i = 0; i < ntokens; i++)
		if (nearest[i].node == INVALID_ORDINAL)
			lists_corrupted(lists, 0);
	MemoryContextDelete(a.context);
}
