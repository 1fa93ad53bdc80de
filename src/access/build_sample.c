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

/* Number of tokens prepared at a time. */
#define CHUNK_TOKENS 256

typedef struct Sampling
{
	Build        *build;
	BuildCounts   counts; /* counts of this participant */
	TokenSample  *sample;
	PlaceList    *places;
	MemoryContext row_context;
} Sampling;

static void
sample_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *arg)
{
	Sampling          *sampling = arg;
	IndexView         *view = sampling->build->view;
	BuildCounts       *counts = &sampling->counts;
	MemoryContext      old;
	const MultiVector *mv;
	float             *tokens;
	float             *sum;

	if (isnull[0])
	{
		counts->nnulls++;
		return;
	}
	old = MemoryContextSwitchTo(sampling->row_context);
	mv = view_indexed_tokens(view, multivector_from_datum(values[0]));
	counts->ndocs++;
	counts->ntokens += mv->ntokens;
	counts->nblocks += sketch_blocks_for(mv->ntokens);

	tokens = palloc(Min(mv->ntokens, CHUNK_TOKENS) * view->dim * sizeof(float));
	sum = palloc0(view->dim * sizeof(float));
	for (uint32 first = 0; first < mv->ntokens; first += CHUNK_TOKENS)
	{
		uint32 n = Min(mv->ntokens - first, CHUNK_TOKENS);

		CHECK_FOR_INTERRUPTS();
		view_prepare_tokens(view, mv, first, n, tokens);
		docstore_add_tokens(view, tokens, n, sum);
		for (uint32 t = 0; t < n; t++)
			sample_add(sampling->sample,
					   sample_hash(ItemPointerGetBlockNumber(tid), ItemPointerGetOffsetNumber(tid),
								   first + t),
					   tokens + (size_t) t * view->dim);
	}
	MemoryContextSwitchTo(old);
	places_add(sampling->places, tid, mv->ntokens, sum);
	MemoryContextReset(sampling->row_context);
}

/* Add this participant's counts to the shared sums. */
static void
add_counts(BuildShared *shared, const BuildCounts *counts)
{
	SpinLockAcquire(&shared->mutex);
	shared->counts.ndocs += counts->ndocs;
	shared->counts.nnulls += counts->nnulls;
	shared->counts.ntokens += counts->ntokens;
	shared->counts.nblocks += counts->nblocks;
	SpinLockRelease(&shared->mutex);
}

TokenSample *
build_sample(Build *build, PlaceList *places)
{
	Sampling sampling = {.build = build, .places = places};

	sampling.sample =
		sample_open(&build->shared->sample, build->crew != NULL ? build->crew->sample_area : NULL,
					build_team(build));
	sampling.row_context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg build row", ALLOCSET_DEFAULT_SIZES);
	if (build->leader)
		COLBERT_PAUSE("leader-samples");
	(void) table_index_build_scan(build->heap, build->index, build->info, build->crew != NULL,
								  build->leader, sample_row, &sampling,
								  build_scan(build, PASS_SAMPLE));
	MemoryContextDelete(sampling.row_context);
	add_counts(build->shared, &sampling.counts);

	/* All participants meet in sample_gather, so the sums are complete afterwards. */
	sample_gather(sampling.sample);
	build->counts = build->shared->counts;
	return sampling.sample;
}
