/*-------------------------------------------------------------------------
 *
 * build_parallel.c
 *	  The parallel workers of a build: start them, share state with them, and
 *	  end them.
 *
 * One parallel context serves all steps. Its segment holds the structs of fixed
 * size and the start of a dynamic area. Centroids and the memory of training
 * are allocated in that area when they are needed, so it grows only to their
 * size. The sample has an area of its own, which is released before documents
 * are encoded.
 *
 * The participants are the leader and the workers that could be started.
 * Workers wait until their number is known.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/build.h"
#include "access/parallel.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lwlock.h"
#include "tcop/tcopprot.h"
#include "utils/snapmgr.h"

/* Keys of the table of contents. */
#define KEY_SHARED       UINT64CONST(0xC01B000000000001)
#define KEY_SORT         UINT64CONST(0xC01B000000000002)
#define KEY_AREA         UINT64CONST(0xC01B000000000003)
#define KEY_QUERY        UINT64CONST(0xC01B000000000004)
#define KEY_WAL_USAGE    UINT64CONST(0xC01B000000000005)
#define KEY_BUFFER_USAGE UINT64CONST(0xC01B000000000006)
#define KEY_SCANS        UINT64CONST(0xC01B000000000010) /* plus the pass */

/* Size of the area's part in the context's segment. */
#define AREA_SIZE (128 * 1024)

struct BuildLeader
{
	ParallelContext *context;
	BuildCrew        crew;
	BuildShared     *shared;
	Snapshot         snapshot;
	int              participants;
	WalUsage        *wal_usage;
	BufferUsage     *buffer_usage;
};

/* ---- the leader ---- */

static void
estimate(BuildLeader *leader, const Build *build)
{
	ParallelContext   *context = leader->context;
	shm_toc_estimator *e = &context->estimator;

	shm_toc_estimate_chunk(e, sizeof(BuildShared));
	for (int pass = 0; pass < BUILD_PASSES; pass++)
		shm_toc_estimate_chunk(e, table_parallelscan_estimate(build->heap, leader->snapshot));
	shm_toc_estimate_chunk(e, tuplesort_estimate_shared(context->nworkers + 1));
	shm_toc_estimate_chunk(e, AREA_SIZE);
	shm_toc_estimate_chunk(e, mul_size(sizeof(WalUsage), context->nworkers));
	shm_toc_estimate_chunk(e, mul_size(sizeof(BufferUsage), context->nworkers));
	shm_toc_estimate_chunk(e, strlen(debug_query_string ? debug_query_string : "") + 1);
	shm_toc_estimate_keys(e, 6 + BUILD_PASSES);
}

static void *
place(ParallelContext *context, uint64 key, Size size)
{
	void *chunk = shm_toc_allocate(context->toc, size);

	shm_toc_insert(context->toc, key, chunk);
	return chunk;
}

/* Allocate and fill the chunks of the context's segment. */
static void
share(BuildLeader *leader, const Build *build)
{
	ParallelContext *context = leader->context;
	const char      *query = debug_query_string ? debug_query_string : "";
	Size             scan_size = table_parallelscan_estimate(build->heap, leader->snapshot);
	Size             sort_size = tuplesort_estimate_shared(context->nworkers + 1);

	leader->shared = place(context, KEY_SHARED, sizeof(BuildShared));
	build_shared_init(leader->shared, build);
	for (int pass = 0; pass < BUILD_PASSES; pass++)
	{
		leader->crew.scans[pass] = place(context, KEY_SCANS + pass, scan_size);
		table_parallelscan_initialize(build->heap, leader->crew.scans[pass], leader->snapshot);
	}
	leader->crew.sort = place(context, KEY_SORT, sort_size);
	tuplesort_initialize_shared(leader->crew.sort, context->nworkers + 1, context->seg);
	leader->crew.area = dsa_create_in_place(place(context, KEY_AREA, AREA_SIZE), AREA_SIZE,
											LWTRANCHE_PARALLEL_QUERY_DSA, context->seg);
	leader->crew.sample_area = dsa_create(LWTRANCHE_PARALLEL_QUERY_DSA);
	leader->shared->sample_area = dsa_get_handle(leader->crew.sample_area);
	leader->wal_usage =
		place(context, KEY_WAL_USAGE, mul_size(sizeof(WalUsage), context->nworkers));
	leader->buffer_usage =
		place(context, KEY_BUFFER_USAGE, mul_size(sizeof(BufferUsage), context->nworkers));
	strcpy(place(context, KEY_QUERY, strlen(query) + 1), query);
}

static void
end_context(BuildLeader *leader)
{
	if (leader->crew.sample_area != NULL)
		dsa_detach(leader->crew.sample_area);
	if (leader->crew.area != NULL)
		dsa_detach(leader->crew.area);
	if (IsMVCCSnapshot(leader->snapshot))
		UnregisterSnapshot(leader->snapshot);
	DestroyParallelContext(leader->context);
	ExitParallelMode();
}

/* Tell the workers the number of participants. */
static void
start_team(BuildLeader *leader)
{
	BuildShared *shared = leader->shared;

	build_team_init(&shared->team, leader->participants);
	SpinLockAcquire(&shared->mutex);
	shared->participants = leader->participants;
	SpinLockRelease(&shared->mutex);
	ConditionVariableBroadcast(&shared->started);
	leader->crew.team =
		build_team_open(&shared->team, leader->crew.area, leader->participants, true);
}

BuildLeader *
build_parallel_begin(Build *build, int nworkers)
{
	BuildLeader *leader = palloc0(sizeof(BuildLeader));

	EnterParallelMode();
	leader->context = CreateParallelContext("colbert_pg", "colbert_build_worker", nworkers);
	leader->snapshot =
		build->info->ii_Concurrent ? RegisterSnapshot(GetTransactionSnapshot()) : SnapshotAny;
	estimate(leader, build);
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
	start_team(leader);
	build->crew = &leader->crew;
	build->shared = leader->shared;
	return leader;
}

Tuplesortstate *
build_parallel_sort(BuildLeader *leader)
{
	SortCoordinate  coordinate = palloc0(sizeof(SortCoordinateData));
	Tuplesortstate *sort;

	/* After this barrier, all participants have sorted their pairs and added their counts. */
	leader->crew.team->barrier(leader->crew.team->arg);
	coordinate->isWorker = false;
	coordinate->nParticipants = leader->participants;
	coordinate->sharedsort = leader->crew.sort;
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

/* Wait until the leader knows the number of participants, and return it. */
static int
wait_for_start(BuildShared *shared)
{
	int participants;

	for (;;)
	{
		SpinLockAcquire(&shared->mutex);
		participants = shared->participants;
		SpinLockRelease(&shared->mutex);
		if (participants > 0)
			break;
		ConditionVariableSleep(&shared->started, WAIT_EVENT_PARALLEL_CREATE_INDEX_SCAN);
	}
	ConditionVariableCancelSleep();
	return participants;
}

PGDLLEXPORT void colbert_build_worker(dsm_segment *seg, shm_toc *toc);

void
colbert_build_worker(dsm_segment *seg, shm_toc *toc)
{
	BuildShared *shared = shm_toc_lookup(toc, KEY_SHARED, false);
	WalUsage    *wal_usage = shm_toc_lookup(toc, KEY_WAL_USAGE, false);
	BufferUsage *buffer_usage = shm_toc_lookup(toc, KEY_BUFFER_USAGE, false);
	LOCKMODE     heap_lock = shared->concurrent ? ShareUpdateExclusiveLock : ShareLock;
	LOCKMODE     index_lock = shared->concurrent ? RowExclusiveLock : AccessExclusiveLock;
	BuildCrew    crew = {0};
	Build        build = {.shared = shared, .crew = &crew};

	debug_query_string = shm_toc_lookup(toc, KEY_QUERY, false);
	pgstat_report_activity(STATE_RUNNING, debug_query_string);
	build.heap = table_open(shared->heap, heap_lock);
	build.index = index_open(shared->index, index_lock);
	build.info = BuildIndexInfo(build.index);
	build.info->ii_Concurrent = shared->concurrent;
	build.view = view_open(build.index, true, VIEW_WITHOUT_PENDING);

	crew.area = dsa_attach_in_place(shm_toc_lookup(toc, KEY_AREA, false), seg);
	crew.sample_area = dsa_attach(shared->sample_area);
	for (int pass = 0; pass < BUILD_PASSES; pass++)
		crew.scans[pass] = shm_toc_lookup(toc, KEY_SCANS + pass, false);
	crew.sort = shm_toc_lookup(toc, KEY_SORT, false);
	tuplesort_attach_shared(crew.sort, seg);
	crew.team = build_team_open(&shared->team, crew.area, wait_for_start(shared), false);

	InstrStartParallelQuery();
	tuplesort_end(build_participate(&build));
	crew.team->barrier(crew.team->arg);
	build_log(&build);
	InstrEndParallelQuery(&buffer_usage[ParallelWorkerNumber], &wal_usage[ParallelWorkerNumber]);

	dsa_detach(crew.area);
	index_close(build.index, index_lock);
	table_close(build.heap, heap_lock);
}
