/*-------------------------------------------------------------------------
 *
 * build.h
 *	  CREATE INDEX: the state that its steps share.
 *
 *	1. sample	one pass over the table: counts, a sample of tokens, and the
 *				place of each document in the index, near to like documents
 *	2. train	the mean, centroids by k-means or from a table, a graph over them
 *	3. encode	a second pass: documents into the docstore, (node, document)
 *				pairs into a sort
 *	4. postings	the sorted pairs into posting lists
 *	5. log		the whole index as page images
 *
 * With tokens_per_node = 1 nothing is trained: in step 3 every token becomes a
 * node. If there are too few tokens for nodes, the documents stay pending.
 *
 * The leader and its parallel workers run all steps except step 4 together, as
 * a team (kmeans/team.h), in the same functions. The nodes, the documents in
 * their lists and the places of documents do not depend on the number of
 * workers. Without places (build_places.c), the ordinals of documents depend on
 * which participant came first, and therefore which of several equal candidates
 * is cut off.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_BUILD_H
#define COLBERT_BUILD_H

#include "access/access.h"
#include "access/tableam.h"
#include "index/docstore.h"
#include "index/given.h"
#include "kmeans/kmeans.h"
#include "storage/barrier.h"
#include "storage/condition_variable.h"
#include "storage/spin.h"
#include "utils/tuplesort.h"

/* How the tokens of a build get their nodes. */
typedef enum BuildMode
{
	BUILD_PENDING,    /* too few tokens: no nodes */
	BUILD_TRAINED,    /* nearest centroid */
	BUILD_EVERY_TOKEN /* each token becomes a node */
} BuildMode;

/* Counts of the sampling pass. */
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

/* Shared state of a team of processes (build_team.c). */
typedef struct TeamShared
{
	Barrier          barrier;
	pg_atomic_uint64 items;
	dsa_pointer      memory; /* an allocation that the leader passes to the others */
} TeamShared;

/* State shared by all participants of a build. A build without workers has its own copy. */
typedef struct BuildShared
{
	Oid  heap;
	Oid  index;
	bool concurrent;

	slock_t           mutex;
	ConditionVariable started;      /* signaled when participants is set */
	int               participants; /* number of participants; 0: not known yet */
	BuildCounts       counts;       /* sums over the participants */
	uint64            nplaces;      /* documents listed by build_places.c */
	bool              unplaced;     /* a participant had no room for all of its documents */
	double            reltuples;
	Assigned          assigned;
	/* a participant met a broken HOT chain: old snapshots must not use the index */
	bool        broken_hot_chain;
	BlockNumber nblocks; /* blocks of the index to be logged */

	/* Counts of the centroids that were read from a table; 0: none. */
	uint32 given_centroids;
	uint32 given_parents;

	TeamShared   team;
	dsa_handle   sample_area;
	SampleShared sample;
} BuildShared;

/* A participant's access to the others. */
typedef struct BuildCrew
{
	Team                 *team;
	dsa_area             *area;
	dsa_area             *sample_area; /* NULL: no longer needed */
	ParallelTableScanDesc scans[BUILD_PASSES];
	Sharedsort           *sort;
} BuildCrew;

/* Components of a document's mean that determine its place. */
#define PLACE_DIMS 32

/* A document of the table, and where it goes in the index. */
typedef struct BuildPlace
{
	ItemPointerData tid;
	bool            taken; /* the document is appended */
	uint32          ntokens;
	DocPlace        place;
	int8            mean[PLACE_DIMS]; /* first components of the rotated mean, as shares of the
									   * largest */
} BuildPlace;

/* State of one participant. */
typedef struct Build
{
	Relation              heap;
	Relation              index;
	IndexInfo            *info;
	IndexView            *view;
	BuildShared          *shared;
	BuildCrew            *crew; /* NULL: no workers */
	bool                  leader;
	BuildMode             mode;
	const GivenCentroids *given;  /* NULL: none, or a worker */
	BuildCounts           counts; /* counts of the whole table; valid after step 1 */
	BuildPlace           *places; /* by row; shared by all participants. NULL: the table\'s order */
	uint32                nplaces;
	KmeansResult          trained;
	uint32               *node_of;   /* node of each centroid */
	double                reltuples; /* rows of the whole table; valid at the end */
	uint64                postings;
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

/*
 * Begin a scan of this participant's part of the table. Returns NULL if there
 * are no workers: table_index_build_scan then scans the whole table.
 */
static inline TableScanDesc
build_scan(const Build *build, BuildPass pass)
{
	return build->crew != NULL
			   ? compat_table_beginscan_parallel(build->heap, build->crew->scans[pass])
			   : NULL;
}

/* State of one participant in the encoding pass. */
typedef struct BuildEncoder
{
	const Build    *build;
	IndexView      *view;
	KmeansAssigner *assigner;
	const uint32   *node_of;
	Finder         *finder; /* only for BUILD_EVERY_TOKEN */
	Tuplesortstate *sort;
	MemoryContext   row_context; /* reset per row */

	/* Tokens to be assigned together: a batch fills the kernel's chunks. */
	float  *tokens; /* capacity x dim */
	uint32 *owners; /* document of each token */
	uint32 *nodes;  /* node of each token, once assigned */
	float  *keys;   /* key of each token with its node */
	uint32  ntokens;
	uint32  capacity;

	Assigned assigned;
	uint64   done;
} BuildEncoder;

/* build.c: report a phase. Only the leader reports. */
extern void build_report_phase(const Build *build, BuildPhase phase);

/* build_steps.c: run steps 1 to 3. Returns this participant's sort, performed. */
extern Tuplesortstate *build_participate(Build *build);

/* Run step 5. All participants call this; it starts when the leader has written the last page. */
extern void build_log(Build *build);

/* build_scale.c: choose the scale of a new index, as stored in the meta page. */
extern int8 build_scale(const Build *build);

/*
 * build_places.c: documents get places in the index near to like ones, so that a
 * search, which scores like documents, reads fewer pages. A participant lists the
 * documents that it samples, and forgets all if they take too much memory.
 */
typedef struct PlaceList PlaceList;
extern PlaceList        *places_begin(const Build *build);

/* List a document. sum: of its prepared tokens. */
extern void places_add(PlaceList *list, ItemPointer tid, uint32 ntokens, const float *sum);

/*
 * Order the documents of all participants and take their places, if there is
 * room for all, and free the list. All participants call this.
 */
extern void build_places(Build *build, PlaceList *list);

/*
 * Return the place of a document, or NULL if it is not known: the table was
 * scanned with another snapshot, or has no places.
 */
extern BuildPlace *build_find_place(const Build *build, ItemPointer tid, uint32 ntokens);

/* Free the places of documents that the second pass has not met. The leader calls this. */
extern void build_free_places(const Build *build);

/*
 * build_sample.c: run step 1, and list this participant's documents. Sets
 * build->counts to the sums over all participants.
 */
extern TokenSample *build_sample(Build *build, PlaceList *places);

/*
 * build_centroids.c: read the table that the option centroids names. Returns
 * NULL if there is none. Also returns NULL, with a WARNING, if the table cannot
 * be used and the build is a rebuild or a restore; otherwise that is an error.
 */
extern const GivenCentroids *build_read_centroids(const Build *build);

/* build_encode.c: run step 3. Returns this participant's sort, performed. */
extern Tuplesortstate *build_encode(Build *build);

/* Begin a sort of (node, document) pairs, each packed into an int8. */
extern Tuplesortstate *build_sort_begin(int work_mem, SortCoordinate coordinate);

/*
 * build_dims.c: return the declared dimensions of the indexed column or
 * expression. If it has none, raise an error whose hint names the cast to use.
 */
extern uint32 build_declared_dims(Relation index);

/* build_team.c */
extern void  build_team_init(TeamShared *shared, int participants);
extern Team *build_team_open(TeamShared *shared, dsa_area *area, int participants, bool leader);

/*
 * build_parallel.c: start up to nworkers workers. Returns NULL and changes
 * nothing if none can be started.
 */
typedef struct BuildLeader BuildLeader;
extern BuildLeader        *build_parallel_begin(Build *build, int nworkers);
extern Tuplesortstate     *build_parallel_sort(BuildLeader *leader);
extern void                build_parallel_end(BuildLeader *leader);

/*
 * build_fallback.c: run build_index with workers. Returns false, with a NOTICE
 * and an empty relation, if there was too little dynamic shared memory.
 */
extern bool build_try_parallel(Build *build, int nworkers,
							   void (*build_index)(Build *build, int nworkers));

/* Initialize the shared state of a build. */
extern void build_shared_init(BuildShared *shared, const Build *build);

#endif /* COLBERT_BUILD_H */
