/*-------------------------------------------------------------------------
 *
 * build_steps.c
 *	  The steps of a build that the leader and the workers run alike: all
 *	  except step 4.
 *
 * Reserving space, writing the mean and storing the nodes is work for one
 * process: the leader does it, and the others wait.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/build.h"
#include "access/xloginsert.h"
#include "commands/progress.h"
#include "index/docstore.h"
#include "pgstat.h"

/* Number of pages in one work item of logging. */
#define LOG_BLOCKS 1024

void
build_shared_init(BuildShared *shared, const Build *build)
{
	memset(shared, 0, sizeof(BuildShared));
	shared->heap = RelationGetRelid(build->heap);
	shared->index = RelationGetRelid(build->index);
	shared->concurrent = build->info->ii_Concurrent;
	SpinLockInit(&shared->mutex);
	ConditionVariableInit(&shared->started);
	if (build->given != NULL)
	{
		shared->given_centroids = build->given->ncentroids;
		shared->given_parents = build->given->nparents;
	}
	train_sample_init(&shared->sample, &build->view->index->meta,
					  build->given != NULL ? SAMPLE_FOR_STATISTICS : SAMPLE_FOR_NODES);
}

/* Wait until the leader has done its part. The others refresh their view of the index. */
static void
meet_after_leader(Build *build)
{
	if (build->crew == NULL)
		return;
	build->crew->team->barrier(build->crew->team->arg);
	if (!build->leader)
		view_refresh(build->view);
}

static BuildMode
choose_mode(const Build *build)
{
	const MetaPageData *meta = &build->view->index->meta;
	bool                given = build->shared->given_centroids > 0;

	if (build->counts.ntokens < (given ? MIN_TOKENS_FOR_LISTS : train_min_tokens(meta)))
		return BUILD_PENDING;
	return meta->shape.tokens_per_node == 1 ? BUILD_EVERY_TOKEN : BUILD_TRAINED;
}

static void
check_counts(const BuildCounts *counts)
{
	if (counts->ndocs > COLBERT_MAX_ITEMS || counts->nnulls > COLBERT_MAX_ITEMS ||
		counts->ntokens > COLBERT_MAX_ITEMS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("cannot index " UINT64_FORMAT " documents of " UINT64_FORMAT
							   " tokens in one index",
							   counts->ndocs, counts->ntokens),
						errhint("Partition the table.")));
}

/* Reserve space for all documents, and write the parameters that they are encoded with. */
static void
prepare_index(Build *build, const TokenSample *sample, const TokenStatistics *statistics,
			  const float *codebooks)
{
	docstore_presize(build->view, build->counts.ndocs, build->counts.ntokens,
					 build->counts.nblocks);
	if (sample->count > 0)
		view_write_params(build->view, statistics->mean, &statistics->lengths, codebooks);
}

/* Store the centroids as nodes, and write where they come from. */
static void
store_nodes(Build *build)
{
	ColbertIndex *index = build->view->index;

	train_store_nodes(build->view, &build->trained, build->node_of);
	if (build->given == NULL)
		return;
	index->meta.origin.centroids = build->given->table;
	meta_write_nodes(index);
}

/* Step 2: train the centroids, unless they are given. */
static void
train_nodes(Build *build, const TokenSample *sample)
{
	KmeansResult *trained = &build->trained;
	uint32        given = build->shared->given_centroids;

	build_report_phase(build, PHASE_TRAIN);
	if (given > 0)
		given_share(build->view, sample, build->given, given, build->shared->given_parents,
					trained);
	else
		train_centroids(build->view, sample, build->counts.ntokens, trained);
}

/* Free the sample and return its memory to the system. */
static void
drop_sample(Build *build, TokenSample *sample)
{
	sample_free(sample);
	if (build->crew == NULL)
		return;
	dsa_detach(build->crew->sample_area);
	build->crew->sample_area = NULL;
}

/* Store the centroids as nodes. The sample has been freed. */
static void
link_nodes(Build *build)
{
	KmeansResult *trained = &build->trained;
	Team         *team = build_team(build);
	Size          size = mul_size(trained->ncentroids, sizeof(uint32));

	build_report_phase(build, PHASE_GRAPH);
	build->node_of =
		team != NULL ? team->alloc_shared(team->arg, size) : palloc_extended(size, MCXT_ALLOC_HUGE);
	train_near(build->view, team, trained);
	if (build->leader)
		store_nodes(build);
	meet_after_leader(build);
	train_forget_near(team, trained);
}

Tuplesortstate *
build_participate(Build *build)
{
	PlaceList      *places = places_begin(build);
	TokenSample    *sample;
	TokenStatistics statistics;
	float          *codebooks = NULL;

	build_report_phase(build, PHASE_SAMPLE);
	sample = build_sample(build, places);
	check_counts(&build->counts);
	train_statistics(sample, &statistics);
	build->mode = choose_mode(build);
	if (build->mode != BUILD_PENDING)
		codebooks = train_codebooks(build->view, sample);
	if (build->leader)
		prepare_index(build, sample, &statistics, codebooks);
	meet_after_leader(build);
	build_places(build, places);
	if (build->mode == BUILD_TRAINED)
		train_nodes(build, sample);
	drop_sample(build, sample);
	if (build->mode == BUILD_TRAINED)
		link_nodes(build);
	build_report_phase(build, PHASE_ENCODE);
	return build_encode(build);
}

/* Work item: log the page images of LOG_BLOCKS blocks. */
static void
log_blocks(void *arg, uint32 item)
{
	const Build *build = arg;
	BlockNumber  start = item * LOG_BLOCKS;

	if (build->leader)
		pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, start);
	log_newpage_range(build->index, MAIN_FORKNUM, start,
					  Min(build->shared->nblocks, start + LOG_BLOCKS), true);
}

void
build_log(Build *build)
{
	/* Only the leader can decide whether to log: a worker does not know that the index is new. */
	if (build->leader && RelationNeedsWAL(build->index))
		build->shared->nblocks = RelationGetNumberOfBlocks(build->index);
	build_report_phase(build, PHASE_LOG);
	if (build->leader)
		pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_TOTAL, build->shared->nblocks);
	if (build->crew != NULL)
		build->crew->team->barrier(build->crew->team->arg);
	team_run(build_team(build), build->shared->nblocks / LOG_BLOCKS + 1, log_blocks, build);
}
