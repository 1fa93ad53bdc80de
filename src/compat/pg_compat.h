/*-------------------------------------------------------------------------
 *
 * pg_compat.h
 *	  The one place that knows that PostgreSQL has versions.
 *
 * Supported: 15, 17, 18. No other file mentions PG_VERSION_NUM.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_PG_COMPAT_H
#define COLBERT_PG_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "colbert_pg needs PostgreSQL 15 or later"
#endif

#ifdef WORDS_BIGENDIAN
#error "colbert_pg stores floats as they stand in memory and needs a little-endian machine"
#endif

/* The macros of varlena moved out of postgres.h in 16. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* Input functions report errors softly since 16, for COPY that skips bad rows; before that there is ERROR. */
#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"
#else
#define errsave(context, ...)        \
	do                               \
	{                                \
		(void) (context);            \
		ereport(ERROR, __VA_ARGS__); \
	} while (0)
#endif

/* Add zeroed pages at the end of a relation's main fork: smgrzeroextend came with 16. */
#if PG_VERSION_NUM >= 160000
#define compat_zero_extend(smgr, start, npages) \
	smgrzeroextend(smgr, MAIN_FORKNUM, start, npages, false)
#else
#define compat_zero_extend(smgr, start, npages)                                            \
	do                                                                                     \
	{                                                                                      \
		PGAlignedBlock compat_zero_ = {{0}};                                               \
		for (uint32 compat_i_ = 0; compat_i_ < (npages); compat_i_++)                      \
			smgrextend(smgr, MAIN_FORKNUM, (start) + compat_i_, compat_zero_.data, false); \
	} while (0)
#endif

/* Pages that a relation is extended by between two checks for interrupts: some milliseconds' worth. Before 16 they are written. */
#if PG_VERSION_NUM >= 160000
#define COMPAT_EXTEND_STEP (8 * 1024 * 1024 / BLCKSZ)
#else
#define COMPAT_EXTEND_STEP (1024 * 1024 / BLCKSZ)
#endif

/* The palloc'd path of a relation's file: its locator was renamed in 16, and a struct is returned since 18. */
#if PG_VERSION_NUM >= 180000
#define compat_relation_path(rel) \
	pstrdup(relpathbackend((rel)->rd_locator, (rel)->rd_backend, MAIN_FORKNUM).str)
#elif PG_VERSION_NUM >= 160000
#define compat_relation_path(rel) relpathbackend((rel)->rd_locator, (rel)->rd_backend, MAIN_FORKNUM)
#else
#define compat_relation_path(rel) relpathbackend((rel)->rd_node, (rel)->rd_backend, MAIN_FORKNUM)
#endif

/* tuplesort_getdatum took a copy argument in 16. */
#if PG_VERSION_NUM >= 160000
#define compat_tuplesort_getdatum(state, value, isnull) \
	tuplesort_getdatum(state, true, false, value, isnull, NULL)
#else
#define compat_tuplesort_getdatum(state, value, isnull) \
	tuplesort_getdatum(state, true, value, isnull, NULL)
#endif

/* The physical name of a relation, in its SMgrRelation, was renamed in 16. */
#if PG_VERSION_NUM >= 160000
#define compat_smgr_locator smgr_rlocator.locator
#else
#define compat_smgr_locator smgr_rnode.node
#endif

/* vacuum_delay_point learned whether it runs for ANALYZE in 18. */
#if PG_VERSION_NUM >= 180000
#define compat_vacuum_delay_point()  vacuum_delay_point(false)
#define compat_analyze_delay_point() vacuum_delay_point(true)
#else
#define compat_vacuum_delay_point()  vacuum_delay_point()
#define compat_analyze_delay_point() vacuum_delay_point()
#endif

/* Whether an access method builds in parallel is asked of it since 17; before, it decides itself. */
#if PG_VERSION_NUM >= 170000
#define compat_set_build_parallel(am) ((am)->amcanbuildparallel = true)
#else
#define compat_set_build_parallel(am) ((void) (am))
#endif

/* Ownership of all kinds of objects is asked of one function since 16. */
#if PG_VERSION_NUM >= 160000
#define compat_object_ownercheck(class, object, role) object_ownercheck(class, object, role)
#else
#define compat_object_ownercheck(class, object, role) pg_class_ownercheck(object, role)
#endif

/* Whether a path key descends: strategies gave way to comparison types in 18. */
#if PG_VERSION_NUM >= 180000
#define compat_pathkey_descends(pathkey) ((pathkey)->pk_cmptype == COMPARE_GT)
#else
#define compat_pathkey_descends(pathkey) ((pathkey)->pk_strategy == BTGreaterStrategyNumber)
#endif

/* Members of an equivalence class, with those of a child relation, which stand apart since 18. */
#if PG_VERSION_NUM >= 180000
#define CompatMemberIterator                    EquivalenceMemberIterator
#define compat_members_begin(it, class, relids) setup_eclass_member_iterator(it, class, relids)
#define compat_members_next(it, class)          eclass_member_iterator_next(it)
#else
#define CompatMemberIterator                    int
#define compat_members_begin(it, class, relids) ((void) (*(it) = 0))
#define compat_members_next(it, class) \
	(*(it) < list_length((class)->ec_members) ? list_nth((class)->ec_members, (*(it))++) : NULL)
#endif

/* Costs are compared after the number of disabled nodes since 18: more than any path that is worth having. */
#if PG_VERSION_NUM >= 180000
#define compat_disable_path(path) ((path)->disabled_nodes = 2)
#else
#define compat_disable_path(path) ((void) (path))
#endif

/* ReadRecentBuffer takes a relation's locator, which was renamed in 16. */
#if PG_VERSION_NUM >= 160000
#define compat_read_recent_buffer(rel, block, buffer) \
	ReadRecentBuffer((rel)->rd_locator, MAIN_FORKNUM, block, buffer)
#else
#define compat_read_recent_buffer(rel, block, buffer) \
	ReadRecentBuffer((rel)->rd_node, MAIN_FORKNUM, block, buffer)
#endif

/* Whether the storage of a relation was created in this transaction, so that no other process sees it; renamed in 16. */
#if PG_VERSION_NUM >= 160000
#define compat_created_here(rel)                         \
	((rel)->rd_createSubid != InvalidSubTransactionId || \
	 (rel)->rd_firstRelfilelocatorSubid != InvalidSubTransactionId)
#else
#define compat_created_here(rel)                         \
	((rel)->rd_createSubid != InvalidSubTransactionId || \
	 (rel)->rd_firstRelfilenodeSubid != InvalidSubTransactionId)
#endif

/* Whether this process is an autovacuum worker: renamed, and declared elsewhere, in 17. */
#if PG_VERSION_NUM >= 170000
#define compat_is_autovacuum_worker() AmAutoVacuumWorkerProcess()
#else
#define compat_is_autovacuum_worker() IsAutoVacuumWorkerProcess()
#endif

/* Before a declaration: the function does not return. */
#if PG_VERSION_NUM >= 180000
#define compat_noreturn pg_noreturn
#else
#define compat_noreturn pg_attribute_noreturn()
#endif

/* ConditionalLockTuple was given a way to log a failure in 18. */
#if PG_VERSION_NUM >= 180000
#define compat_conditional_lock_tuple(rel, tid, mode) ConditionalLockTuple(rel, tid, mode, false)
#else
#define compat_conditional_lock_tuple(rel, tid, mode) ConditionalLockTuple(rel, tid, mode)
#endif

/* An anti join may build its hash table of the rows that it gives since 16: then the outer side is the negated one. */
#if PG_VERSION_NUM >= 160000
#define compat_negates_outer(join_type) ((join_type) == JOIN_RIGHT_ANTI)
#else
#define compat_negates_outer(join_type) ((void) (join_type), false)
#endif

/* Aggregates with an ORDER BY of their own may be given rows that are in that order already since 16. */
#if PG_VERSION_NUM >= 160000
#define compat_is_presorted(aggregate) ((aggregate)->aggpresorted)
#else
#define compat_is_presorted(aggregate) ((void) (aggregate), false)
#endif

/*
 * Before a statement is planned, run conditions are kept in its windows; since 17 in the window functions. The bound of
 * one is what it compares a window function with.
 */
#if PG_VERSION_NUM >= 170000
#define compat_run_condition(window, function) ((function)->runCondition)
#define compat_run_bound(condition)            ((Node *) castNode(WindowFuncRunCondition, condition)->arg)
#else
#define compat_run_condition(window, function) ((window)->runCondition)
#define compat_run_bound(condition)                                         \
	((Node *) (IsA(linitial(castNode(OpExpr, condition)->args), WindowFunc) \
				   ? llast(castNode(OpExpr, condition)->args)               \
				   : linitial(castNode(OpExpr, condition)->args)))
#endif

/* Begin the scan of an index scan node; since 18 with its counters. */
#if PG_VERSION_NUM >= 180000
#define compat_index_beginscan(node, snapshot)                                         \
	index_beginscan((node)->ss.ss_currentRelation, (node)->iss_RelationDesc, snapshot, \
					&(node)->iss_Instrument, (node)->iss_NumScanKeys, (node)->iss_NumOrderByKeys)
#else
#define compat_index_beginscan(node, snapshot)                                         \
	index_beginscan((node)->ss.ss_currentRelation, (node)->iss_RelationDesc, snapshot, \
					(node)->iss_NumScanKeys, (node)->iss_NumOrderByKeys)
#endif

/* Begin an index scan that only orders; since 18 there may be counters. */
#if PG_VERSION_NUM >= 180000
#define compat_index_beginscan_ordered(heap, index, snapshot, norderbys) \
	index_beginscan(heap, index, snapshot, NULL, 0, norderbys)
#else
#define compat_index_beginscan_ordered(heap, index, snapshot, norderbys) \
	index_beginscan(heap, index, snapshot, 0, norderbys)
#endif

/* What runs with the rights of a table's owner searches no schemas that others choose, since 17. */
#if PG_VERSION_NUM >= 170000
#define compat_restrict_search_path() RestrictSearchPath()
#else
#define compat_restrict_search_path() ((void) 0)
#endif

/* EXPLAIN counts the searches of an index scan since 18. */
#if PG_VERSION_NUM >= 180000
#define compat_count_search(scan)            \
	do                                       \
	{                                        \
		if ((scan)->instrument != NULL)      \
			(scan)->instrument->nsearches++; \
	} while (0)
#else
#define compat_count_search(scan) ((void) (scan))
#endif

/*
 * Raise "snapshot too old" if a scan reads a page, share-locked, that changed
 * after its snapshot, and the snapshot is older than old_snapshot_threshold.
 * 17 has no such setting. Needs storage/bufmgr.h and utils/snapmgr.h.
 */
#if PG_VERSION_NUM >= 170000
#define compat_old_snapshots_expire() false
#define compat_test_old_snapshot(snapshot, rel, page) \
	((void) (snapshot), (void) (rel), (void) (page))
#else
#define compat_old_snapshots_expire()                 (old_snapshot_threshold >= 0)
#define compat_test_old_snapshot(snapshot, rel, page) TestForOldSnapshot(snapshot, rel, page)
#endif

/* EXPLAIN asks extensions about nodes since 18. */
#if PG_VERSION_NUM >= 180000
#define COMPAT_EXPLAIN_PER_NODE
#endif

/* The wait event of a parallel build's leader moved with the generated wait events of 17. */
#include "utils/wait_event.h"

/*
 * A build for tests (make faults) lets calls of the server fail, and waits at
 * named points, to bring about what hardly ever happens. Here they are nothing.
 */
#ifdef COLBERT_FAULTS
#include "faults.h"
#else
#define COLBERT_PAUSE(name) ((void) 0)
#endif

#endif /* COLBERT_PG_COMPAT_H */
