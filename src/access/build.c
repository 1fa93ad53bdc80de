/*-------------------------------------------------------------------------
 *
 * build.c
 *	  CREATE INDEX: the order of its steps (build.h describes each step).
 *
 * Pages are written without WAL, since no other session accesses them yet. The
 * whole index is logged at the end. On an error the transaction drops the whole
 * relation, so nothing here cleans up after itself. The exception is a parallel
 * build that restarts without workers (build_fallback.c).
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/build.h"
#include "access/xloginsert.h"
#include "base/array.h"
#include "catalog/index.h"
#include "commands/progress.h"
#include "index/create.h"
#include "index/postings.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "pgstat.h"
#include "storage/smgr.h"

/* Number of (node, document) pairs between two progress reports. */
#define REPORTED_PAIRS 1024

void
build_report_phase(const Build *build, BuildPhase phase)
{
	static const int params[] = {
		PROGRESS_CREATEIDX_SUBPHASE,
		PROGRESS_CREATEIDX_TUPLES_TOTAL,
		PROGRESS_CREATEIDX_TUPLES_DONE,
	};
	const int64 values[] = {phase, 0, 0};

	if (build->leader)
		pgstat_progress_update_multi_param(lengthof(params), params, values);
}

char *
colbert_phase_name(int64 phase)
{
	switch (phase)
	{
		case PHASE_INITIALIZE:
			return "initializing";
		case PHASE_SAMPLE:
			return "sampling tokens";
		case PHASE_TRAIN:
			return "training centroids";
		case PHASE_GRAPH:
			return "building graph";
		case PHASE_ENCODE:
			return "encoding documents";
		case PHASE_POSTINGS:
			return "writing postings";
		case PHASE_LOG:
			return "logging index";
		default:
			return NULL;
	}
}

/* Set the meta data of a new, empty index. */
static void
new_meta(Relation index, MetaPageData *meta)
{
	ColbertOptions options = options_get(index);
	MetaShape      shape = {
			 .column_dim = build_declared_dims(index),
			 .metric = colbert_metric(index),
			 .finder = colbert_finder(index),
			 .codec = options.quantizer,
			 .pq_m = options.pq_m,
			 .m = options.m,
			 .ef_construction = options.ef_construction,
			 .tokens_per_node = options.tokens_per_node,
			 .lists = options.lists,
    };

	create_meta(&shape, meta);
}

static void
write_meta_page(const Build *build)
{
	MetaPageData meta;
	Buffer       buffer;

	new_meta(build->index, &meta);
	meta.documents.scale_log2 = build_scale(build);
	buffer = ReadBuffer(build->index, P_NEW);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	create_meta_page(BufferGetPage(buffer), &meta);
	MarkBufferDirty(buffer);
	UnlockReleaseBuffer(buffer);
}

void
colbert_build_empty(Relation index)
{
	MetaPageData   meta;
	PGAlignedBlock block;

	/* This is the init fork of an unlogged index, which generic WAL never logs. */
	new_meta(index, &meta);
	create_meta_page((Page) block.data, &meta);
	compat_set_checksum((Page) block.data, META_BLOCK);
	smgrextend(RelationGetSmgr(index), INIT_FORKNUM, META_BLOCK, block.data, true);
	log_newpage(&RelationGetSmgr(index)->compat_smgr_locator, INIT_FORKNUM, META_BLOCK,
				(Page) block.data, true);
	smgrimmedsync(RelationGetSmgr(index), INIT_FORKNUM);
}

/* Step 4: write the posting lists from the sorted pairs, node by node. */
static void
write_postings(Build *build, Tuplesortstate *sort)
{
	PostingsBuilder *builder;
	PostingBuffer    docs = {0};
	uint32           node = INVALID_ORDINAL;
	int64            done = 0;
	Datum            value;
	bool             isnull;

	build_report_phase(build, PHASE_POSTINGS);
	pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_TOTAL, build->counts.ntokens);
	view_refresh(build->view);
	builder = postings_build_begin(build->view->index);
	docs.capacity = 1024;
	docs.docs = palloc(docs.capacity * sizeof(uint32));
	while (compat_tuplesort_getdatum(sort, &value, &isnull))
	{
		uint64 pair = (uint64) DatumGetInt64(value);
		uint32 doc = (uint32) pair;

		CHECK_FOR_INTERRUPTS();
		if (++done % REPORTED_PAIRS == 0)
			pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, done);
		if (node != pair >> 32 && docs.count > 0)
		{
			postings_build_add(builder, node, docs.docs, docs.count);
			build->postings += docs.count;
			docs.count = 0;
		}
		node = (uint32) (pair >> 32);
		/* Several tokens of a document may belong to the node. */
		if (docs.count > 0 && docs.docs[docs.count - 1] == doc)
			continue;
		docs.docs = array_reserve(docs.docs, &docs.capacity, (Size) docs.count + 1, sizeof(uint32),
								  CurrentMemoryContext);
		docs.docs[docs.count++] = doc;
	}
	if (docs.count > 0)
		postings_build_add(builder, node, docs.docs, docs.count);
	build->postings += docs.count;
	postings_build_end(builder);
	build->view->index->meta.nodes.postings = build->postings;
	build->view->index->meta.nodes.trained = build->shared->assigned;
	meta_write_nodes(build->view->index);
}

/*
 * Return the number of workers that the planner would use. Return 0 if every
 * token becomes a node, because workers would have little to do.
 */
static int
workers_for(const Build *build)
{
	if (build->view->index->meta.shape.tokens_per_node == 1)
		return 0;
	return Min(
		plan_create_index_workers(RelationGetRelid(build->heap), RelationGetRelid(build->index)),
		SAMPLE_PARTICIPANTS - 1);
}

/* Create an index without documents and open a view of it. */
static void
begin_index(Build *build)
{
	build_report_phase(build, PHASE_INITIALIZE);
	write_meta_page(build);
	build->view = view_open(build->index, true, VIEW_WITHOUT_PENDING);
}

/* Run all steps of a build. */
static void
build_index(Build *build, int nworkers)
{
	BuildLeader    *leader = nworkers > 0 ? build_parallel_begin(build, nworkers) : NULL;
	Tuplesortstate *sort;

	if (leader == NULL)
	{
		build->shared = palloc(sizeof(BuildShared));
		build_shared_init(build->shared, build);
	}
	sort = build_participate(build);
	if (leader != NULL)
	{
		tuplesort_end(sort);
		sort = build_parallel_sort(leader);
	}
	build_free_places(build);
	if (build->mode != BUILD_PENDING)
		write_postings(build, sort);
	tuplesort_end(sort);
	storage_set_settled(build->view->index, RelationGetNumberOfBlocks(build->index));
	build_log(build);
	build->reltuples = build->shared->reltuples;
	build->info->ii_BrokenHotChain |= build->shared->broken_hot_chain;
	if (leader != NULL)
		build_parallel_end(leader);
}

IndexBuildResult *
colbert_build(Relation heap, Relation index, IndexInfo *info)
{
	const Build           begun = {.heap = heap, .index = index, .info = info, .leader = true};
	Build                 build = begun;
	IndexBuildResult     *result = palloc(sizeof(IndexBuildResult));
	const GivenCentroids *given;
	int                   nworkers;

	if (RelationGetNumberOfBlocks(index) != 0)
		elog(ERROR, "index \"%s\" already contains data", RelationGetRelationName(index));

	begin_index(&build);
	build.given = given = build_read_centroids(&build);
	nworkers = workers_for(&build);
	if (nworkers == 0)
		build_index(&build, 0);
	else if (!build_try_parallel(&build, nworkers, build_index))
	{
		build = begun;
		begin_index(&build);
		build.given = given;
		build_index(&build, 0);
	}

	result->heap_tuples = build.reltuples;
	result->index_tuples = build.counts.ndocs + build.counts.nnulls;
	return result;
}
