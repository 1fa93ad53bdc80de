/*-------------------------------------------------------------------------
 *
 * build_parallel.c
 *	  The encoding pass of a build, with parallel workers.
 *
 * The leader trains the centroids and puts them into shared memory. Workers
 * and leader share the scan of the table; each appends documents (the meta
 * page hands out places) and sorts its pairs, and the leader merges the sorts.
 * Ordinals depend on who came first; nodes, graph and answers do not.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/build.h"
#include "access/parallel.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/condition_variable.h"
#include "storage/spin.h"
#include "tcop/tcopprot.h"
#include "utils/snapmgr.h"

/* Keys of the table of contents. */
#define KEY_SHARED		UINT64CONST(0xC01B000000000001)
#define KEY_SORT		UINT64CONST(0xC01B000000000002)
#define KEY_CENTROIDS	UINT64CONST(0xC01B000000000003)
#define KEY_QUERY		UINT64CONST(0xC01B000000000004)
#define KEY_WAL_USAGE	UINT64CONST(0xC01B000000000005)
#define KEY_BUFFER_USAGE UINT64CONST(0xC01B000000000006)

/* Followed by the descriptor of the parallel table scan. */
typedef struct BuildShared
{
	Oid			heap;
	Oid			index;
	bool		concurrent;
	int			sort_work_mem;
	uint32		nparents;
	uint32		ncentroids;
	uint32		dim;

	slock_t		mutex;
	ConditionVariable done;
	int			participants_done;
	double		reltuples;
	Assigned	assigned;
} BuildShared;

#define SHARED_SCAN(shared) \
	((ParallelTableScanDesc) ((char *) (shared) + BUFFERALIGN(sizeof(BuildShared))))

struct BuildLeader
{
	ParallelContext *context;
	BuildShared *shared;
	Sharedsort *sort;
	Snapshot	snapshot;
	int			participants;
	WalUsage   *wal_usage;
	BufferUsage *buffer_usage;
};

/* ---- centroids in shared memory ---- */

static Size
centroids_size(const KmeansResult *trained, uint32 dim)
{
	Size		vectors = mul_size(add_size(trained->nparents, trained->ncentroids), mul_size(dim, sizeof(float)));
	Size		ordinals = mul_size(add_size(trained->nparents + 1, trained->ncentroids), sizeof(uint32));

	return add_size(vectors, ordinals);
}

/* Where the parts stand: parents, centroids, child_start, node_of. */
static void
centroids_layout(char *memory, uint32 dim, KmeansResult *trained, uint32 **node_of)
{
	trained->parents = (float *) memory;
	trained->centroids = trained->parents + (size_t) trained->nparents * dim;
	trained->child_start = (uint32 *) (trained->centroids + (size_t) trained->ncentroids * dim);
	*node_of = trained->child_start + trained->nparents + 1;
}

static void
centroids_copy(char *memory, const Build *build)
{
	const KmeansResult *from = &build->trained;
	uint32		dim = build->view->dim;
	KmeansResult to = {.nparents = from->nparents, .ncentroids = from->ncentroids};
	uint32	   *node_of;

	centroids_layout(memory, dim, &to, &node_of);
	memcpy(to.parents, from->parents, (size_t) from->nparents * dim * sizeof(float));
	memcpy(to.centroids, from->centroids, (size_t) from->ncentroids * dim * sizeof(float));
	memcpy(to.child_start, from->child_start, ((size_t) from->nparents + 1) * sizeof(uint32));
	memcpy(node_of, build->node_of, (size_t) from->ncentroids * sizeof(uint32));
}

/* ---- the leader ---- */

static void
estimate(ParallelContext *context, Build *build, Snapshot snapshot)
{
	shm_toc_estimator *e = &context->estimator;

	shm_toc_estimate_chunk(e, add_size(BUFFERALIGN(sizeof(BuildShared)),
									   table_parallelscan_estimate(build->heap, snapshot)));
	shm_toc_estimate_chunk(e, tuplesort_estimate_shared(context->nworkers + 1));
	shm_toc_estimate_chunk(e, centroids_size(&build->trained, build->view->dim));
	shm_toc_estimate_chunk(e, mul_size(sizeof(WalUsage), context->nworkers));
	shm_toc_estimate_chunk(e, mul_size(sizeof(BufferUsage), context->nworkers));
	shm_toc_estimate_chunk(e, strlen(debug_query_string ? debug_query_string : "") + 1);
	shm_toc_estimate_keys(e, 6);
}

static void *
place(ParallelContext *context, uint64 key, Size size)
{
	void	   *chunk = shm_toc_allocate(context->toc, size);

	shm_toc_insert(context->toc, key, chunk);
	return chunk;
}

/* Fill the shared memory. */
static void
share(BuildLeader *leader, Build *build)
{
	ParallelContext *context = leader->context;
	const char *query = debug_query_string ? debug_query_string : "";
	Size		scan_size = table_parallelscan_estimate(build->heap, leader->snapshot);
	Size		centroids = centroids_size(&build->trained, build->view->dim);
	Size		sort_size = tuplesort_estimate_shared(context->nworkers + 1);
	BuildShared *shared = place(context, KEY_SHARED, add_size(BUFFERALIGN(sizeof(BuildShared)), scan_size));

	memset(shared, 0, sizeof(BuildShared));
	shared->heap = RelationGetRelid(build->heap);
	shared->index = RelationGetRelid(build->index);
	shared->concurrent = build->info->ii_Concurrent;
	shared->sort_work_mem = Max(maintenance_work_mem / 2 / (context->nworkers + 1), 64);
	shared->nparents = build->trained.nparents;
	shared->ncentroids = build->trained.ncentroids;
	shared->dim = build->view->dim;
	SpinLockInit(&shared->mutex);
	ConditionVariableInit(&shared->done);
	table_parallelscan_initialize(build->heap, SHARED_SCAN(shared), leader->snapshot);
	leader->shared = shared;

	leader->sort = place(context, KEY_SORT, sort_size);
	tuplesort_initialize_shared(leader->sort, context->nworkers + 1, context->seg);
	centroids_copy(place(context, KEY_CENTROIDS, centroids), build);
	leader->wal_usage = place(context, KEY_WAL_USAGE, mul_size(sizeof(WalUsage), context->nworkers));
	leader->buffer_usage = place(context, KEY_BUFFER_USAGE, mul_size(sizeof(BufferUsage), context->nworkers));
	strcpy(place(context, KEY_QUERY, strlen(query) + 1), query);
}

static void
end_context(BuildLeader *leader)
{
	if (IsMVCCSnapshot(leader->snapshot))
		UnregisterSnapshot(leader->snapshot);
	DestroyParallelContext(leader->context);
	ExitParallelMode();
}

BuildLeader *
build_parallel_begin(Build *build, int nworkers)
{
	BuildLeader *leader = palloc0(sizeof(BuildLeader));

	EnterParallelMode();
	leader->context = CreateParallelContext("colbert_pg", "colbert_build_worker", nworkers);
	leader->snapshot = build->info->ii_Concurrent ? RegisterSnapshot(GetTransactionSnapshot()) : SnapshotAny;
	estimate(leader->context, build, leader->snapshot);
	InitializeParallelDSM(leader->context);
	if (leader->context->seg == NULL)
	{
		end_context(leader);
		return NULL;
	}
	share(leader, build);
	LaunchParallelWorkers(leader->context);
	if (leader->context->nworkers_launched == 0)
	{
		WaitForParallelWorkersToFinish(leader->context);
		end_context(leader);
		return NULL;
	}
	leader->participants = leader->context->nworkers_launched + 1;
	WaitForParallelWorkersToAttach(leader->context);
	return leader;
}

/* A participant's share: encode what its part of the scan brings, sort it, and say so. */
static void
participate(BuildShared *shared, Sharedsort *sharedsort, BuildEncoder *encoder, Relation heap, IndexInfo *info)
{
	double		reltuples;

	info->ii_Concurrent = shared->concurrent;
	reltuples = build_encode(encoder, heap, info, table_beginscan_parallel(heap, SHARED_SCAN(shared)));
	build_encoder_end(encoder);
	tuplesort_performsort(encoder->sort);
	tuplesort_end(encoder->sort);

	SpinLockAcquire(&shared->mutex);
	shared->participants_done++;
	shared->reltuples += reltuples;
	shared->assigned.tokens += encoder->assigned.tokens;
	shared->assigned.squares += encoder->assigned.squares;
	SpinLockRelease(&shared->mutex);
	ConditionVariableSignal(&shared->done);
}

static Tuplesortstate *
participant_sort(BuildShared *shared, Sharedsort *sharedsort)
{
	SortCoordinate coordinate = palloc0(sizeof(SortCoordinateData));

	coordinate->isWorker = true;
	coordinate->nParticipants = -1;
	coordinate->sharedsort = sharedsort;
	return build_sort_begin(shared->sort_work_mem, coordinate);
}

static void
wait_for_participants(BuildLeader *leader)
{
	BuildShared *shared = leader->shared;

	for (;;)
	{
		int			done;

		SpinLockAcquire(&shared->mutex);
		done = shared->participants_done;
		SpinLockRelease(&shared->mutex);
		if (done == leader->participants)
			break;
		ConditionVariableSleep(&shared->done, WAIT_EVENT_PARALLEL_CREATE_INDEX_SCAN);
	}
	ConditionVariableCancelSleep();
}

Tuplesortstate *
build_parallel_encode(Build *build, BuildLeader *leader)
{
	SortCoordinate coordinate = palloc0(sizeof(SortCoordinateData));
	BuildEncoder encoder;
	Tuplesortstate *sort;

	build_encoder_init(&encoder, build->view, build->mode, &build->trained, build->node_of,
					   participant_sort(leader->shared, leader->sort));
	encoder.report = true;
	participate(leader->shared, leader->sort, &encoder, build->heap, build->info);
	wait_for_participants(leader);
	build->reltuples = leader->shared->reltuples;
	build->assigned = leader->shared->assigned;

	coordinate->isWorker = false;
	coordinate->nParticipants = leader->participants;
	coordinate->sharedsort = leader->sort;
	sort = build_sort_begin(maintenance_work_mem / 2, coordinate);
	tuplesort_performsort(sort);
	return sort;
}

void
build_parallel_end(BuildLeader *leader)
{
	WaitForParallelWorkersToFinish(leader->context);
	for (int i = 0; i < leader->context->nworkers_launched; i++)
		InstrAccumParallelQuery(&leader->buffer_usage[i], &leader->wal_usage[i]);
	end_context(leader);
}

/* ---- a worker ---- */

PGDLLEXPORT void colbert_build_worker(dsm_segment *seg, shm_toc *toc);

void
colbert_build_worker(dsm_segment *seg, shm_toc *toc)
{
	BuildShared *shared = shm_toc_lookup(toc, KEY_SHARED, false);
	Sharedsort *sort = shm_toc_lookup(toc, KEY_SORT, false);
	KmeansResult trained = {.nparents = shared->nparents, .ncentroids = shared->ncentroids};
	WalUsage   *wal_usage = shm_toc_lookup(toc, KEY_WAL_USAGE, false);
	BufferUsage *buffer_usage = shm_toc_lookup(toc, KEY_BUFFER_USAGE, false);
	uint32	   *node_of;
	BuildEncoder encoder;
	Relation	heap;
	Relation	index;

	debug_query_string = shm_toc_lookup(toc, KEY_QUERY, false);
	pgstat_report_activity(STATE_RUNNING, debug_query_string);
	heap = table_open(shared->heap, shared->concurrent ? ShareUpdateExclusiveLock : ShareLock);
	index = index_open(shared->index, shared->concurrent ? RowExclusiveLock : AccessExclusiveLock);

	centroids_layout(shm_toc_lookup(toc, KEY_CENTROIDS, false), shared->dim, &trained, &node_of);
	tuplesort_attach_shared(sort, seg);
	InstrStartParallelQuery();
	build_encoder_init(&encoder, view_open(index, true, VIEW_WITHOUT_PENDING), BUILD_TRAINED, &trained, node_of,
					   participant_sort(shared, sort));
	participate(shared, sort, &encoder, heap, BuildIndexInfo(index));
	InstrEndParallelQuery(&buffer_usage[ParallelWorkerNumber], &wal_usage[ParallelWorkerNumber]);

	index_close(index, shared->concurrent ? RowExclusiveLock : AccessExclusiveLock);
	table_close(heap, shared->concurrent ? ShareUpdateExclusiveLock : ShareLock);
}
