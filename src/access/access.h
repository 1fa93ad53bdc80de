/*-------------------------------------------------------------------------
 *
 * access.h
 *	  Entry points of the access methods, one file each. handler.c registers
 *	  them with PostgreSQL.
 *
 *	build*.c		CREATE INDEX				options.c	WITH (...)
 *	insert.c		INSERT						update.c	UPDATE that keeps the document
 *	scan.c			ORDER BY maxsim(...)		vacuum.c	VACUUM
 *	merge_worker.c	merges in the background	validate.c	operator classes
 *	index_info.c	colbert_index_info, colbert_merge
 *	partitions.c	indexes of partitioned tables
 *	last_scan.c		colbert_last_scan, colbert_last_scans
 *	totals*.c		counters over all backends: colbert_stat_indexes (totals.h)
 *	explain.c		EXPLAIN (ANALYZE)
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_ACCESS_H
#define COLBERT_ACCESS_H

#include "compat/pg_compat.h"

#include "access/amapi.h"
#include "access/genam.h"
#include "index/view.h"
#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"
#include "search/search.h"

/* Support functions of an operator class. */
#define SUPPORT_SCORE     1 /* the similarity that the index orders DESC (for L2: the distance) */
#define SUPPORT_THRESHOLD 2 /* returns the right operand of STRATEGY_THRESHOLD */
#define SUPPORT_BOUND     3 /* converts a bound of an expression into a bound of its score */
#define SUPPORT_COUNT     3

/* Operators of an operator class: two ordering operators and one search operator. */
#define STRATEGY_NULLS_LAST  1 /* <#>, <=>, <-> */
#define STRATEGY_NULLS_FIRST 2 /* same order, NULL documents first; planner only */
#define STRATEGY_THRESHOLD   3 /* <#~@, <=~@, <-~@: a threshold; planner only */
#define STRATEGY_COUNT       3

/* Values of WITH (...). 0 lets the index choose. */
typedef struct ColbertOptions
{
	int32  vl_len_;
	int    m;
	int    ef_construction;
	int    tokens_per_node;
	int    lists;
	int    quantizer; /* a CodecId */
	int    pq_m;
	int    probes;
	int    ef_search;
	int    candidates;
	int    rerank;
	double recall;
	int    shards;
	int    centroids; /* offset of the name of a table; 0: none */
} ColbertOptions;

/* options.c */
extern void   options_init(void);
extern bytea *colbert_hnsw_options(Datum reloptions, bool validate);
extern bytea *colbert_ivf_options(Datum reloptions, bool validate);

/* Return the options of an index, with defaults for those not set. */
extern ColbertOptions options_get(Relation index);

/* Return the option centroids, or NULL. The string belongs to the relation's cache entry. */
extern const char *options_centroids(Relation index);

/* Split the value of centroids into a schema and a table. Raises 22023 for any other form. */
extern void options_split_table(const char *value, char **schema, char **table);

/* build.c */
extern IndexBuildResult *colbert_build(Relation heap, Relation index, IndexInfo *info);
extern void              colbert_build_empty(Relation index);

/*
 * build_dims.c: install the hook that keeps ALTER TABLE from removing an
 * indexed column's dimensions.
 */
extern void build_dims_init(void);

/* insert.c */
extern bool colbert_insert(Relation index, Datum *values, bool *isnull, ItemPointer heap_tid,
						   Relation heap, IndexUniqueCheck check_unique, bool index_unchanged,
						   IndexInfo *info);

/*
 * update.c: share the document of an updated row.
 *
 * If the row at tid is a new version of a row and keeps its document, add it to
 * the old version's entry and return true. Otherwise return false, with *hash
 * set to the hash of its stored columns, or 0 if there is none.
 */
extern bool update_shares_document(Relation index, Relation heap, ItemPointer tid,
								   const IndexInfo *info, uint32 *hash);

/* Return the hash of a row's indexed columns as stored in the table (hashes.h), or 0 if unknown. */
extern uint32 update_stored_hash(Relation heap, ItemPointer tid, const IndexInfo *info);

/* scan.c */
extern IndexScanDesc colbert_beginscan(Relation index, int nkeys, int norderbys);
extern void          colbert_rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys,
									int norderbys);
extern bool          colbert_gettuple(IndexScanDesc scan, ScanDirection direction);

/* Return the settings of a scan of the index. 0 lets the index choose. */
extern SearchSettings scan_settings(Relation index);

/* Return the number of live documents in an index, from its meta page. */
extern double scan_documents(Relation index);

/* Return only documents whose rows pass the filter, which must outlive the scan. */
extern void colbert_set_filter(IndexScanDesc scan, const RowFilter *filter);

/*
 * Search with these settings instead of those of the session and the index. 0
 * lets the index choose. The settings must outlive the scan.
 */
extern void colbert_set_settings(IndexScanDesc scan, const SearchSettings *settings);
extern void colbert_endscan(IndexScanDesc scan);

/* Requirements of the plan above a scan. */
typedef struct ScanNeeds
{
	OrderNeed (*order)(void *arg); /* called each time the scan starts; NULL: any row may be late */
	uint64 (*rows)(void *arg);     /* the rows that a LIMIT requests; 0: not known */
	/*
	 * Called each time the scan starts: the searches whose rows are merged with
	 * those of this one, and the share of their documents that this index has.
	 * NULL: none.
	 */
	Siblings *(*siblings)(void *arg, double *share);
	void *arg;
	bool  exact_thresholds; /* return every row above a threshold, at any cost */
} ScanNeeds;

/*
 * Set the needs, which must outlive the scan. A scan without needs returns no
 * late rows and applies thresholds exactly.
 */
extern void             colbert_set_needs(IndexScanDesc scan, const ScanNeeds *needs);
extern const ScanNeeds *colbert_scan_needs(IndexScanDesc scan);
extern bool             colbert_has_filter(IndexScanDesc scan);

/* Return the counters of a scan, summed over its searches so far. */
extern SearchCounters colbert_scan_counters(IndexScanDesc scan);

/*
 * last_scan.c: keep these counters for colbert_last_scan. If the filter of a
 * search runs another search, the inner one ends first.
 */
extern void last_scan_keep(const SearchCounters *counters);

/* Keep the counters of a search that begins; the address of the counters identifies it. */
extern void last_scan_begin(const SearchCounters *counters);

/*
 * Return true if the current user may see these counters: the search ran as
 * this user, who may read the whole table.
 */
extern bool last_scan_visible(const SearchCounters *counters);

/*
 * Return true if the current user may read all rows of a table, so that row
 * counts reveal nothing new.
 */
extern bool colbert_table_is_visible(Oid table);

/* explain.c */
extern void explain_init(void);

/* vacuum.c */
extern IndexBulkDeleteResult *colbert_bulkdelete(IndexVacuumInfo        *info,
												 IndexBulkDeleteResult  *stats,
												 IndexBulkDeleteCallback callback,
												 void                   *callback_state);
extern IndexBulkDeleteResult *colbert_vacuumcleanup(IndexVacuumInfo       *info,
													IndexBulkDeleteResult *stats);

/*
 * partitions.c: open an index of this extension. Raises an error (42704, 42809)
 * for any other relation, and for an index of a partitioned table.
 */
extern Relation colbert_open_index(Oid oid, LOCKMODE mode);

/*
 * Raise an error if the file of an index cannot be read: during a concurrent
 * build, in which only the builder may look at its pages, after one that
 * failed, or on a standby, which has no file of an unlogged index.
 */
extern void colbert_check_readable(Relation index);

/* Return true if this server has no pages of an index: that of an unlogged table, on a standby. */
extern bool colbert_is_absent(Relation index);

/* Return true if this is an index of this extension, of a table of any kind. */
extern bool partitions_is_ours(Relation relation);

/* Return true if this is an index of a partitioned table. Raises an error if it is not ours. */
extern bool partitions_is_parent(Oid oid);

/*
 * Return the OIDs of the indexes of its partitions, of partitions of
 * partitions too. They are not locked: locks on many indexes would deadlock
 * with a session that has locked a partition and waits for its index.
 */
extern List *partitions_leaves(Oid parent);

/* Open one of them. Returns NULL if it was dropped meanwhile. */
extern Relation partitions_open_leaf(Oid oid, LOCKMODE mode);

/*
 * Return true, with a NOTICE, if a function that reads the indexes of all
 * partitions must leave this one out, because this server has no pages of it.
 */
extern bool partitions_skip_leaf(Relation index);

/* validate.c */
extern bool colbert_validate(Oid opclass);

/*
 * handler.c: the metric of an index, from its operator class, and its finder,
 * from its access method.
 */
extern Metric     colbert_metric(Relation index);
extern FinderKind colbert_finder(Relation index);

/* build.c: names of the phases of a build. */
extern char *colbert_phase_name(int64 phase);

typedef enum BuildPhase
{
	PHASE_INITIALIZE = 1, /* PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE */
	PHASE_SAMPLE,
	PHASE_TRAIN,
	PHASE_GRAPH,
	PHASE_ENCODE,
	PHASE_POSTINGS,
	PHASE_LOG
} BuildPhase;

#endif /* COLBERT_ACCESS_H */
