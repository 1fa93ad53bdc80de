/*-------------------------------------------------------------------------
 *
 * lists_search.c
 *	  The nearest nodes of a chunk of tokens: a matrix product with the
 *	  parents, then with the children of the best ones.
 *
 * Rows are scored in place, a page at a time under its share lock; nothing is
 * allocated meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "index/lists.h"
#include "miscadmin.h"

/* Slots are a multiple of 16. The compilers that we build with know vectors on every machine. */
typedef float Lanes __attribute__((vector_size(16), aligned(4), may_alias));
typedef int64 LaneBits __attribute__((vector_size(16)));
#define LANES (sizeof(Lanes) / sizeof(float))

/* Empty the pools, to keep so many hits each. */
static void
reset_pools(Lists *lists, uint32 capacity)
{
	for (uint32 t = 0; t < lists->ntokens; t++)
	{
		pool_reset(&lists->pools[t], capacity, lists->context);
		lists->worst[t] = -INFINITY;
	}
	for (uint32 slot = lists->ntokens; slot < lists->slots; slot++)
		lists->worst[slot] = INFINITY;
}

/* Does a row beat the worst that any token keeps? Mostly it does not: all lanes at once. */
static inline bool
any_better(const float *keys, const float *worst, uint32 slots)
{
	LaneBits	better = {0};

	for (uint32 slot = 0; slot < slots; slot += LANES)
		better |= (LaneBits) (*(const Lanes *) (keys + slot) > *(const Lanes *) (worst + slot));
	return (better[0] | better[1]) != 0;
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
			if (!(keys[t] > lists->worst[t]))
				continue;
			pool_add(&lists->pools[t], first + row, keys[t]);
			lists->worst[t] = pool_worst(&lists->pools[t]);
		}
	}
}

/* Score a run of rows against the chunk. */
static void
score_rows(Lists *lists, ArrayKind array, uint32 first, uint32 count)
{
	while (count > 0)
	{
		uint32		run = Min(parray_run(&lists->meta->arrays[array], first), count);
		char	   *data;
		Buffer		buffer = parray_read(lists->index, lists->meta, array, first, &data);

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

/* The parents in the pools, each once, in their order; returns how many. */
static uint32
chosen_parents(const Lists *lists, uint32 *parents)
{
	uint32		n = 0;
	uint32		distinct = 0;

	for (uint32 t = 0; t < lists->ntokens; t++)
		for (uint32 i = 0; i < lists->pools[t].count; i++)
			parents[n++] = lists->pools[t].hits[i].node;
	qsort(parents, n, sizeof(uint32), compare_ordinals);
	for (uint32 i = 0; i < n; i++)
		if (distinct == 0 || parents[i] != parents[distinct - 1])
			parents[distinct++] = parents[i];
	return distinct;
}

/* The children of a parent, checked. */
static ListSpan
read_span(const Lists *lists, uint32 parent)
{
	uint32		ncentroids = lists->meta->arrays[ARRAY_CENTROIDS].nitems;
	ListSpan	span;

	parray_copy_out(lists->index, lists->meta, ARRAY_CHILDREN, parent, 1, &span);
	if (span.first > ncentroids || span.count > ncentroids - span.first)
		lists_corrupted(lists, parent);
	return span;
}

/* Score the children of these parents; those of neighbours are one run. */
static void
score_children(Lists *lists, const uint32 *parents, uint32 nparents)
{
	ListSpan	run = {0, 0};

	for (uint32 i = 0; i < nparents; i++)
	{
		ListSpan	span = read_span(lists, parents[i]);

		if (span.first != run.first + run.count)
		{
			score_rows(lists, ARRAY_CENTROIDS, run.first, run.count);
			run.first = span.first;
			run.count = 0;
		}
		run.count += span.count;
	}
	score_rows(lists, ARRAY_CENTROIDS, run.first, run.count);
}

void
lists_search(Lists *lists, const float *tokens, uint32 ntokens, uint32 nodes, uint32 parents)
{
	uint32		nparents = lists->meta->arrays[ARRAY_PARENTS].nitems;
	uint32	   *chosen;
	uint32		nchosen;

	parents = Min(parents, nparents);
	lists->query = kernel_sq8_pack(lists->packed, tokens, ntokens, lists->dim);
	lists->ntokens = ntokens;
	lists->slots = kernel_sq8_slots(lists->query);
	reset_pools(lists, parents);
	score_rows(lists, ARRAY_PARENTS, 0, nparents);

	chosen = MemoryContextAllocHuge(lists->context, mul_size(mul_size(ntokens, parents), sizeof(uint32)));
	nchosen = chosen_parents(lists, chosen);
	reset_pools(lists, nodes);
	score_children(lists, chosen, nchosen);
	lists->looked_at += nchosen;
	pfree(chosen);
}
