/*-------------------------------------------------------------------------
 *
 * build_sample.c
 *	  The first pass of a build: counts, and a sample of tokens.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/build.h"
#include "access/tableam.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* Tokens widened at a time. */
#define CHUNK_TOKENS 256

typedef struct Sampling
{
	Build	   *build;
	TokenSample *sample;
	MemoryContext row_context;
} Sampling;

static void
sample_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *arg)
{
	Sampling   *sampling = arg;
	IndexView  *view = sampling->build->view;
	BuildCounts *counts = &sampling->build->counts;
	MemoryContext old;
	MultiVector *mv;
	float	   *tokens;

	if (isnull[0])
	{
		counts->nnulls++;
		return;
	}
	old = MemoryContextSwitchTo(sampling->row_context);
	mv = multivector_from_datum(values[0]);
	view_check_dims(view, mv);
	counts->ndocs++;
	counts->ntokens += mv->ntokens;
	counts->nblocks += sketch_blocks_for(mv->ntokens);

	tokens = palloc(Min(mv->ntokens, CHUNK_TOKENS) * view->dim * sizeof(float));
	for (uint32 first = 0; first < mv->ntokens; first += CHUNK_TOKENS)
	{
		uint32		n = Min(mv->ntokens - first, CHUNK_TOKENS);

		CHECK_FOR_INTERRUPTS();
		view_prepare_tokens(view, mv, first, n, tokens);
		for (uint32 t = 0; t < n; t++)
			sample_add(sampling->sample,
					   sample_hash(ItemPointerGetBlockNumber(tid), ItemPointerGetOffsetNumber(tid), first + t),
					   tokens + (size_t) t * view->dim);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(sampling->row_context);
}

TokenSample *
build_sample(Build *build)
{
	Sampling	sampling = {build};

	sampling.sample = sample_create(build->view->dim, (Size) maintenance_work_mem * 1024 / 4 * 3);
	sampling.row_context = AllocSetContextCreate(CurrentMemoryContext, "colbert build row", ALLOCSET_DEFAULT_SIZES);
	build->reltuples = table_index_build_scan(build->heap, build->index, build->info, false, false,
											  sample_row, &sampling, NULL);
	MemoryContextDelete(sampling.row_context);
	return sampling.sample;
}
