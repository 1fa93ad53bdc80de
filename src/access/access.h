/*-------------------------------------------------------------------------
 *
 * access.h
 *	  The verbs of the access methods: one file each. handler.c tells PostgreSQL of them.
 *
 *	build*.c		CREATE INDEX						options.c	WITH (...)
 *	insert.c		INSERT								update.c	UPDATE that keeps the document
 *	scan.c			ORDER BY maxsim(...)				vacuum.c	VACUUM
 *	merge_worker.c	merges in the background			validate.c	operator classes
 *	index_info.c	colbert_index_info, colbert_merge
 *	last_scan.c		colbert_last_scan
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
#define SUPPORT_SCORE     1 /* the similarity whose DESC the index serves (or, for L2, the distance) */
#define SUPPORT_THRESHOLD 2 /* makes the right operand of STRATEGY_THRESHOLD */
#define SUPPORT_BOUND     3 /* makes the bound of a score of that of an expression around it */
#define SUPPORT_COUNT     3

/* Operators of an operator class: two that order, one that searches. */
#define STRATEGY_NULLS_LAST  1 /* <#>, <=>, <-> */
#define STRATEGY_NULLS_FIRST 2 /* the same order, NULL documents first: the planner's own */
#define STRATEGY_THRESHOLD   3 /* <#~@, <=~@, <-~@: a threshold, the planner's own too */
#define STRATEGY_COUNT       3

/* Values of WITH (...). 0 means that the index chooses. */
typedef struct ColbertOptions
{
	int32 vl_len_;
	int   m;
	int   ef_construction;
	int   tokens_per_node;
	int   lists;
	int   quantizer; /* a CodecId */
	int   pq_m;
	int   probes;
	int   ef_search;
	int   candidates;
	int   rerank;
} ColbertOptions;

/* options.c */
extern void   options_init(void);
extern bytea *colbert_hnsw_options(Datum reloptions, bool validate);
extern bytea *colbert_ivf_options(Datum reloptions, bool validate);

/* The options of an index, defaults where it has none. */
extern ColbertOptions options_get(Relation index);

/* build.c */
extern IndexBuildResult *colbert_build(Relation heap, Relation index, IndexInfo *info);
extern void              colbert_build_empty(Relation index);

/* build_dims.c: refuse to take away the dims of an indexed column. */
extern void build_dims_init(void);

/* insert.c */
extern bool colbert_insert(Relation index, Datum *values, bool *isnull, ItemPointer heap_tid,
						   Relation heap, IndexUniqueCheck check_unique, bool index_unchanged,
						   IndexInfo *info);

/*
 * update.c: if the row at tid is a new version of one whose document it kept,
 * give it that one's entry and return true. Otherwise *hash is that of
 * its stored columns, or 0.
 */
extern bool update_shares_document(Relation index, Relation heap, ItemPointer tid,
								   const IndexInfo *info, bool index_unchanged, uint32 *hash);

/* The hash of what the table stores of a row for the index (hashes.h); 0 if it is unknown. */
extern uint32 update_stored_hash(Relation heap, ItemPointer tid, const IndexInfo *info);

/* scan.c */
extern IndexScanDesc colbert_beginscan(Relation index, int nkeys, int norderbys);
extern void          colbert_rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys,
									int norderbys);
extern bool          colbert_gettuple(IndexScanDesc scan, ScanDirection direction);

/* The settings of a scan of the index, 0 where it is to choose. */
extern SearchSettings scan_settings(Relation index);

/* Of the documents, give only those whose rows pass. filter outlives the scan. */
extern void colbert_set_filter(IndexScanDesc scan, const RowFilter *filter);

/* Search with these settings (0: the index chooses), whatever session and index say. They outlive the scan. */
extern void colbert_set_settings(IndexScanDesc scan, const SearchSettings *settings);
extern void colbert_endscan(IndexScanDesc scan);

/* What the plan above a scan demands of it. */
typedef struct ScanNeeds
{
	OrderNeed (*order)(void *arg); /* asked each time the scan starts; NULL: any row may be late */
	void *arg;
	bool  exact_thresholds; /* give every row above a threshold, whatever it costs */
} ScanNeeds;

/* A scan without needs has no late rows, and exact thresholds. They outlive the scan. */
extern void             colbert_set_needs(IndexScanDesc scan, const ScanNeeds *needs);
extern const ScanNeeds *colbert_scan_needs(IndexScanDesc scan);
extern bool             colbert_has_filter(IndexScanDesc scan);

/* What a scan has done so far, its earlier searches included. */
extern SearchCounters colbert_scan_counters(IndexScanDesc scan);

/* last_scan.c: let colbert_last_scan show these. A search that another one's filter runs ends before that one. */
extern void last_scan_keep(const SearchCounters *counters);

/*
 * Return true if the current user may see these counters: the search ran as
 * this user, who may read the whole table.
 */
extern bool last_scan_visible(const SearchCounters *counters);

/* May the current user read all rows of a table, so that counts of them tell nothing new? */
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

/* index_info.c: open an index of ours; errors (42704, 42809) for anything else. */
extern Relation colbert_open_index(Oid oid, LOCKMODE mode);

/* validate.c */
extern bool colbert_validate(Oid opclass);

/* handler.c: the metric of an index, from its operator class; its finder, from its access method. */
extern Metric     colbert_metric(Relation index);
extern FinderKind colbert_finder(Relation index);

/* build.c: phases of a build. */
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
