/*-------------------------------------------------------------------------
 *
 * build_scale.c
 *	  Choose the scale of a new index (index/scale.h) from documents spread
 *	  over the table.
 *
 * The scale must be known before tokens are sampled. The leader alone chooses
 * it, so that it does not depend on the number of workers.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/build.h"
#include "index/scale.h"
#include "utils/memutils.h"

/* Number of places of the table to read, and number of tokens that suffice per place. */
#define PLACES        16
#define ENOUGH_TOKENS 64

/* Maximum blocks read at a time if no place has a document. */
#define MAX_BLOCKS 1024

typedef struct ScaleScan
{
	LengthSum     lengths;
	uint64        enough; /* documents are skipped once this many tokens are counted */
	MemoryContext row_context;
} ScaleScan;

static void
scale_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *arg)
{
	ScaleScan    *scan = arg;
	MemoryContext old;

	if (isnull[0] || scan->lengths.tokens >= scan->enough)
		return;
	old = MemoryContextSwitchTo(scan->row_context);
	scale_add_lengths(&scan->lengths, multivector_from_datum(values[0]));
	MemoryContextSwitchTo(old);
	MemoryContextReset(scan->row_context);
}

static void
scan_blocks(const Build *build, BlockNumber start, BlockNumber n, ScaleScan *scan)
{
	scan->enough = scan->lengths.tokens + ENOUGH_TOKENS;
	(void) table_index_build_range_scan(build->heap, build->index, build->info, false, false, false,
										start, n, scale_row, scan, NULL);
}

int8
build_scale(const Build *build)
{
	Metric      metric = colbert_metric(build->index);
	BlockNumber nblocks = RelationGetNumberOfBlocks(build->heap);
	BlockNumber start = 0;
	ScaleScan   scan = {0};

	if (metric == METRIC_COSINE)
		return scale_unset(metric);
	scan.row_context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg build row", ALLOCSET_DEFAULT_SIZES);
	for (uint64 place = 0; place < Min(PLACES, nblocks); place++)
		scan_blocks(build, (BlockNumber) (place * nblocks / Min(PLACES, nblocks)), 1, &scan);
	for (BlockNumber n = 1; start < nblocks && scan.lengths.tokens == 0; n = Min(2 * n, MAX_BLOCKS))
	{
		scan_blocks(build, start, Min(n, nblocks - start), &scan);
		start += Min(n, nblocks - start);
	}
	MemoryContextDelete(scan.row_context);
	return scale_choose(metric, &scan.lengths, SCALE_OF_MANY);
}
