/*-------------------------------------------------------------------------
 *
 * build.h
 *	  CREATE INDEX: what its steps share.
 *
 *	1. sample	one pass over the table: counts, and a sample of tokens
 *	2. train	the mean, centroids by k-means, a graph over them
 *	3. encode	a second pass: documents into the docstore, (node, document)
 *				pairs into a sort
 *	4. postings	the sorted pairs into posting lists
 *	5. log		the whole index as page images
 *
 * With one token a node there is nothing to train: in step 3 every token
 * becomes a node. With too few tokens for nodes the documents are pending.
 *
 * The leader and its parallel workers run all steps but the fourth together,
 * as a team (kmeans/team.h), and by the same functions. Whether there are workers,
 * and how many, makes no difference to the nodes nor to what they lead to:
 * only the ordinals of documents depend on who came first, and with them
 * which of equal candidates is cut off.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_BUILD_H
#define COLBERT_BUILD_H

#include "access/access.h"
#include "access/tableam.h"
#include "index/train.h"
#include "kmeans/kmeans.h"
#include "storage/barrier.h"
#include "storage/condition_variable.h"
#include "storage/spin.h"
#include "utils/tuplesort.h"

/* How the tokens of a build find their nodes. */
typedef enum BuildMode
{
	BUILD_PENDING,    /* too few tokens: no nodes */
	BUILD_TRAINED,    /* nearest centroid */
	BUILD_EVERY_TOKEN /* each token becomes a node */
} BuildMode;

/* What the sampling pass counted. */
typedef struct BuildCounts
{
	uint64 ndocs;
	uint64 nnulls;
	uint64 ntokens;
	uint64 nblocks;
} BuildCounts;

/* Passes over the table. */
typedef enum BuildPass
{
	PASS_SAMPLE,
	PASS_ENCODE,
	BUILD_PASSES
} BuildPass;

/* What a team of processes shares: see build_team.c. */
typedef struct TeamShared
{
	Barrier          barrier;
	pg_atomic_uint64 items;
	dsa_pointer      memory; /* on its way from the leader to the others */
} TeamShared;

/* What the participants of a build share; one that is alone has it for itself. */
typedef struct BuildShared
{
	Oid  heap;
	Oid  index;
	bool concurrent;

	slock_t           mutex;
	ConditionVariable started;      /* the number of participants is known */
	int               participants; /* 0: not yet */
	BuildCounts       counts;       /* sums over the participants */
	double            reltuples;
	Assigned          assigned;
	bool        broken_hot_chain; /* a participant met one: old snapshots must not use the index */
	BlockNumber nblocks;          /* of the index, to be logged */

	TeamShared   team;
	dsa_handle   sample_area;
	SampleShared sample;
} BuildShared;

/* How a participant reaches the others. */
typedef struct BuildCrew
{
	Team                 *team;
	dsa_area             *area;
	dsa_area             *sample_area; /* NULL: no longer needed */
	ParallelTableScanDesc scans[BUILD_PASSES];
	Sharedsort           *sort;
} BuildCrew;

/* A participant. */
typedef struct Build
{
	Relation     heap;
	Relation     index;
	IndexInfo   *info;
	IndexView   *view;
	BuildShared *shared;
	BuildCrew   *crew; /* NULL: alone */
	bool         leader;
	BuildMode    mode;
	BuildCounts  counts; /* of the whole table, after step 1 */
	KmeansResult trained;
	uint32      *node_of;   /* of each centroid */
	double       reltuples; /* of the whole table, at the end */
	uint64       postings;
} Build;

static inline int
build_participants(const Build *build)
{
	return build->crew != NULL ? build->crew->team->nparticipants : 1;
}

static inline Team *
build_team(const Build *build)
{
	return build->crew != NULL ? build->crew->team : NULL;
}

/* A scan of this participant's part of the table; NULL, a scan of one's own, where it is alone. */
static inline TableScanDesc
build_scan(const Build *build, BuildPass pass)
{
	return build->crew != NULL ? table_beginscan_parallel(build->heap, build->crew->scans[pass])
							   : NULL;
}

/* One participant of the encoding pass. */
typedef struct BuildEncoder
{
	IndexView       *view;
	Relation         heap;
	const IndexInfo *info;
	BuildMode        mode;
	KmeansAssigner  *assigner;
	const uint32    *node_of;
	Finder          *finder; /* BUILD_EVERY_TOKEN */
	Tuplesortstate  *sort;
	MemoryContext    row_context; /* reset for each row */

	/* Tokens waiting to be assigned together: a batch fills the kernel's chunks. */
	float  *tokens; /* capacity x dim */
	uint32 *owners; /* document of each */
	uint32 *nodes;  /* of each, once assigned */
	float  *keys;   /* of each with its node */
	uint32  ntokens;
	uint32  capacity;

	Assigned assigned;
	uint64   done;
	bool     report; /* progress, in the leader */
} BuildEncoder;

/* build.c: reported by the leader. */
extern void build_report_phase(const Build *build, BuildPhase phase);

/* build_steps.c: steps 1 to 3. Returns the participant's sort, performed. */
extern Tuplesortstate *build_participate(Build *build);

/* Step 5, when the leader has written the last page. */
extern void build_log(Build *build);

/* build_scale.c: what the meta page says of the scale. */
extern int8 build_scale(const Build *build);

/* build_sample.c: step 1, and the sums of all participants' counts. */
extern TokenSample *build_sample(Build *build);

/* build_encode.c: step 3 */
extern Tuplesortstate *build_encode(Build *build);

/* Pairs as sortable numbers. */
extern Tuplesortstate *build_sort_begin(int work_mem, SortCoordinate coordinate);

/* build_dims.c: of the indexed column or expression. An error if it has none, with a hint that names the cast. */
extern uint32 build_declared_dims(Relation index);

/* build_team.c */
extern void  build_team_init(TeamShared *shared, int participants);
extern Team *build_team_open(TeamShared *shared, dsa_area *area, int participants, bool leader);

/* build_parallel.c: workers, as many as can be had. Returns NULL, and changes nothing, where that is none. */
typedef struct BuildLeader BuildLeader;
extern BuildLeader        *build_parallel_begin(Build *build, int nworkers);
extern Tuplesortstate     *build_parallel_sort(BuildLeader *leader);
extern void                build_parallel_end(BuildLeader *leader);

/*
 * build_fallback.c: run build_index with workers. Return false, with a NOTICE
 * and an empty relation, if there was too little dynamic shared memory.
 */
extern bool build_try_parallel(Build *build, int nworkers,
							   void (*build_index)(Build *build, int nworkers));

/* Set up what a build shares. */
extern void build_shared_init(BuildShared *shared, const Build *build);

#endif /* COLBERT_BUILD_H */
