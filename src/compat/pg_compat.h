/*-------------------------------------------------------------------------
 *
 * pg_compat.h
 *	  Differences between PostgreSQL major versions; no other file tests
 *	  PG_VERSION_NUM.
 *
 * Supported versions: 15, 17 and 18; of 19, the release candidate.
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

/*
 * 19's copyObject uses typeof_unqual if the server's compiler has it. It is C23,
 * and this is C11: copyObject then returns void *.
 */
#undef HAVE_TYPEOF_UNQUAL

/* 16 moved the varlena macros out of postgres.h. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/*
 * Since 16, input functions report errors softly, so that COPY can skip bad
 * rows. Older versions raise an ERROR.
 */
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

/* Append zeroed pages to a relation's main fork. smgrzeroextend is new in 16. */
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

/*
 * Pages to extend a relation by between two interrupt checks: a few
 * milliseconds of work. Versions before 16 write every page, hence the smaller
 * step.
 */
#if PG_VERSION_NUM >= 160000
#define COMPAT_EXTEND_STEP (8 * 1024 * 1024 / BLCKSZ)
#else
#define COMPAT_EXTEND_STEP (1024 * 1024 / BLCKSZ)
#endif

/* Return the palloc'd path of a relation's file. 16 renamed the locator; 18 returns a struct. */
#if PG_VERSION_NUM >= 180000
#define compat_relation_path(rel) \
	pstrdup(relpathbackend((rel)->rd_locator, (rel)->rd_backend, MAIN_FORKNUM).str)
#elif PG_VERSION_NUM >= 160000
#define compat_relation_path(rel) relpathbackend((rel)->rd_locator, (rel)->rd_backend, MAIN_FORKNUM)
#else
#define compat_relation_path(rel) relpathbackend((rel)->rd_node, (rel)->rd_backend, MAIN_FORKNUM)
#endif

/* 16 added a "copy" argument to tuplesort_getdatum. */
#if PG_VERSION_NUM >= 160000
#define compat_tuplesort_getdatum(state, value, isnull) \
	tuplesort_getdatum(state, true, false, value, isnull, NULL)
#else
#define compat_tuplesort_getdatum(state, value, isnull) \
	tuplesort_getdatum(state, true, value, isnull, NULL)
#endif

/* 16 renamed the member of SMgrRelation that holds the relation's physical name. */
#if PG_VERSION_NUM >= 160000
#define compat_smgr_locator smgr_rlocator.locator
#else
#define compat_smgr_locator smgr_rnode.node
#endif

/* 18 added an argument to vacuum_delay_point that says whether it runs for ANALYZE. */
#if PG_VERSION_NUM >= 180000
#define compat_vacuum_delay_point()  vacuum_delay_point(false)
#define compat_analyze_delay_point() vacuum_delay_point(true)
#else
#define compat_vacuum_delay_point()  vacuum_delay_point()
#define compat_analyze_delay_point() vacuum_delay_point()
#endif

/*
 * Declare that the access method builds in parallel. Versions before 17 have
 * no such flag: the access method decides on its own.
 */
#if PG_VERSION_NUM >= 170000
#define compat_set_build_parallel(am) ((am)->amcanbuildparallel = true)
#else
#define compat_set_build_parallel(am) ((void) (am))
#endif

/* Since 16, one function checks the ownership of objects of every kind. */
#if PG_VERSION_NUM >= 160000
#define compat_object_ownercheck(class, object, role) object_ownercheck(class, object, role)
#else
#define compat_object_ownercheck(class, object, role) pg_class_ownercheck(object, role)
#endif

/* Return true if a path key is descending. 18 replaced strategy numbers by comparison types. */
#if PG_VERSION_NUM >= 180000
#define compat_pathkey_descends(pathkey) ((pathkey)->pk_cmptype == COMPARE_GT)
#else
#define compat_pathkey_descends(pathkey) ((pathkey)->pk_strategy == BTGreaterStrategyNumber)
#endif

/*
 * Iterate over the members of an equivalence class, including those of a child
 * relation, which 18 stores separately.
 */
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

/*
 * Return the outer join that a left join is, among relids; 0 for other joins.
 * Since 16, columns of the inner side that are used above the join refer to it.
 */
#if PG_VERSION_NUM >= 160000
#define compat_left_join(jointype, extra) ((jointype) == JOIN_LEFT ? (extra)->sjinfo->ojrelid : 0)
#else
#define compat_left_join(jointype, extra) ((void) (extra), 0)
#endif

/*
 * Return an expression that is used above such a join as it is below the join.
 * Needs rewrite/rewriteManip.h.
 */
#if PG_VERSION_NUM >= 160000
#define compat_below_join(expr, join)                                                              \
	((join) != 0 ? (Expr *) remove_nulling_relids((Node *) (expr), bms_make_singleton(join), NULL) \
				 : (expr))
#else
#define compat_below_join(expr, join) ((void) (join), (expr))
#endif

/*
 * Mark a path as disabled. Since 18 the planner compares the number of
 * disabled nodes before the costs; 2 is more than any usable path has.
 */
#if PG_VERSION_NUM >= 180000
#define compat_disable_path(path) ((path)->disabled_nodes = 2)
#else
#define compat_disable_path(path) ((void) (path))
#endif

/* ReadRecentBuffer takes a relation's locator, which 16 renamed. */
#if PG_VERSION_NUM >= 160000
#define compat_read_recent_buffer(rel, block, buffer) \
	ReadRecentBuffer((rel)->rd_locator, MAIN_FORKNUM, block, buffer)
#else
#define compat_read_recent_buffer(rel, block, buffer) \
	ReadRecentBuffer((rel)->rd_node, MAIN_FORKNUM, block, buffer)
#endif

/*
 * Return true if this transaction created the relation's storage, so that no
 * other process can see it. 16 renamed one of the members.
 */
#if PG_VERSION_NUM >= 160000
#define compat_created_here(rel)                         \
	((rel)->rd_createSubid != InvalidSubTransactionId || \
	 (rel)->rd_firstRelfilelocatorSubid != InvalidSubTransactionId)
#else
#define compat_created_here(rel)                         \
	((rel)->rd_createSubid != InvalidSubTransactionId || \
	 (rel)->rd_firstRelfilenodeSubid != InvalidSubTransactionId)
#endif

/* Return true in an autovacuum worker. 17 renamed the macro and moved it to another header. */
#if PG_VERSION_NUM >= 170000
#define compat_is_autovacuum_worker() AmAutoVacuumWorkerProcess()
#else
#define compat_is_autovacuum_worker() IsAutoVacuumWorkerProcess()
#endif

/*
 * Flag of a background worker that DROP DATABASE and the like end. Before 19,
 * there is none.
 */
#if PG_VERSION_NUM >= 190000
#define COMPAT_BGWORKER_INTERRUPTIBLE BGWORKER_INTERRUPTIBLE
#else
#define COMPAT_BGWORKER_INTERRUPTIBLE 0
#endif

/* The name of the setting that limits the time of a transaction; NULL before 17. */
#if PG_VERSION_NUM >= 170000
#define COMPAT_TRANSACTION_TIMEOUT "transaction_timeout"
#else
#define COMPAT_TRANSACTION_TIMEOUT NULL
#endif

/* Declare a function that does not return; goes in front of the declaration. */
#if PG_VERSION_NUM >= 180000
#define compat_noreturn pg_noreturn
#else
#define compat_noreturn pg_attribute_noreturn()
#endif

/* 18 added an argument to ConditionalLockTuple that makes it log a failure. */
#if PG_VERSION_NUM >= 180000
#define compat_conditional_lock_tuple(rel, tid, mode) ConditionalLockTuple(rel, tid, mode, false)
#else
#define compat_conditional_lock_tuple(rel, tid, mode) ConditionalLockTuple(rel, tid, mode)
#endif

/*
 * Return true if the join returns inner rows without a match in the outer
 * side. Such right anti joins, which hash the returned side, are new in 16.
 */
#if PG_VERSION_NUM >= 160000
#define compat_negates_outer(join_type) ((join_type) == JOIN_RIGHT_ANTI)
#else
#define compat_negates_outer(join_type) ((void) (join_type), false)
#endif

/*
 * Return true if the aggregate relies on its input being sorted by the
 * aggregate's own ORDER BY. The planner arranges for that since 16.
 */
#if PG_VERSION_NUM >= 160000
#define compat_is_presorted(aggregate) ((aggregate)->aggpresorted)
#else
#define compat_is_presorted(aggregate) ((void) (aggregate), false)
#endif

/*
 * Return the run conditions of a window function in a query that is not
 * planned yet. They belong to the window clause before 17, to the window
 * function since. compat_run_bound returns the value that a run condition
 * compares the window function with.
 */
#if PG_VERSION_NUM >= 170000
#define compat_run_condition(window, function) ((function)->runCondition)

#define compat_run_bound(condition) ((Node *) castNode(WindowFuncRunCondition, condition)->arg)
#else
#define compat_run_condition(window, function) ((window)->runCondition)
#define compat_run_bound(condition)                                         \
	((Node *) (IsA(linitial(castNode(OpExpr, condition)->args), WindowFunc) \
				   ? llast(castNode(OpExpr, condition)->args)               \
				   : linitial(castNode(OpExpr, condition)->args)))
#endif

/*
 * Begin the scan of an index scan node. 18 adds its instrumentation, 19 tells
 * the table whether the statement only reads it.
 */
#if PG_VERSION_NUM >= 190000
#define compat_index_beginscan(node, snapshot)                                                   \
	index_beginscan((node)->ss.ss_currentRelation, (node)->iss_RelationDesc, snapshot,           \
					(node)->iss_Instrument, (node)->iss_NumScanKeys, (node)->iss_NumOrderByKeys, \
					ScanRelIsReadOnly(&(node)->ss) ? SO_HINT_REL_READ_ONLY : SO_NONE)
#elif PG_VERSION_NUM >= 180000
#define compat_index_beginscan(node, snapshot)                                         \
	index_beginscan((node)->ss.ss_currentRelation, (node)->iss_RelationDesc, snapshot, \
					&(node)->iss_Instrument, (node)->iss_NumScanKeys, (node)->iss_NumOrderByKeys)
#else
#define compat_index_beginscan(node, snapshot)                                         \
	index_beginscan((node)->ss.ss_currentRelation, (node)->iss_RelationDesc, snapshot, \
					(node)->iss_NumScanKeys, (node)->iss_NumOrderByKeys)
#endif

/* Begin an index scan that has scan keys only; 18 adds instrumentation, 19 flags. */
#if PG_VERSION_NUM >= 190000
#define compat_index_beginscan_keys(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, NULL, nkeys, 0, SO_NONE)
#elif PG_VERSION_NUM >= 180000
#define compat_index_beginscan_keys(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, NULL, nkeys, 0)
#else
#define compat_index_beginscan_keys(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, nkeys, 0)
#endif

/* Begin an index scan that has ORDER BY operators but no scan keys, likewise. */
#if PG_VERSION_NUM >= 190000
#define compat_index_beginscan_ordered(heap, index, snapshot, norderbys) \
	index_beginscan(heap, index, snapshot, NULL, 0, norderbys, SO_NONE)
#elif PG_VERSION_NUM >= 180000
#define compat_index_beginscan_ordered(heap, index, snapshot, norderbys) \
	index_beginscan(heap, index, snapshot, NULL, 0, norderbys)
#else
#define compat_index_beginscan_ordered(heap, index, snapshot, norderbys) \
	index_beginscan(heap, index, snapshot, 0, norderbys)
#endif

/* Begin to scan a table, or to fetch its rows by their locations; 19 added flags. */
#if PG_VERSION_NUM >= 190000
#define compat_table_beginscan(rel, snap)            table_beginscan(rel, snap, 0, NULL, SO_NONE)
#define compat_table_beginscan_parallel(rel, shared) table_beginscan_parallel(rel, shared, SO_NONE)
#define compat_table_fetch_begin(rel)                table_index_fetch_begin(rel, SO_NONE)
#else
#define compat_table_beginscan(rel, snap)            table_beginscan(rel, snap, 0, NULL)
#define compat_table_beginscan_parallel(rel, shared) table_beginscan_parallel(rel, shared)
#define compat_table_fetch_begin(rel)                table_index_fetch_begin(rel)
#endif

/*
 * Return the routine that an access method's handler gives to core, for a
 * static one. Core keeps it since 19; before, it copies and frees it.
 */
#if PG_VERSION_NUM >= 190000
#define compat_am_routine(am) (am)
#else
#define compat_am_routine(am) \
	((IndexAmRoutine *) memcpy(palloc(sizeof(IndexAmRoutine)), am, sizeof(IndexAmRoutine)))
#endif

/*
 * Return true if this process holds the content lock of a shared buffer. Since
 * 19 the lock is no LWLock. Needs storage/buf_internals.h before 19, and
 * storage/bufmgr.h.
 */
#if PG_VERSION_NUM >= 190000
#define compat_buffer_is_locked(buffer) BufferIsLockedByMe(buffer)
#else
#define compat_buffer_is_locked(buffer) \
	LWLockHeldByMe(BufferDescriptorGetContentLock(GetBufferDescriptor((buffer) - 1)))
#endif

/*
 * Read the state of a buffer's header, or exchange it if it is still the
 * expected one. It has 64 bits since 19. Needs storage/buf_internals.h.
 */
#if PG_VERSION_NUM >= 190000
#define CompatBufferState              uint64
#define compat_buffer_state_read(desc) pg_atomic_read_u64(&(desc)->state)
#define compat_buffer_state_exchange(desc, expected, state_) \
	pg_atomic_compare_exchange_u64(&(desc)->state, expected, state_)
#else
#define CompatBufferState              uint32
#define compat_buffer_state_read(desc) pg_atomic_read_u32(&(desc)->state)
#define compat_buffer_state_exchange(desc, expected, state_) \
	pg_atomic_compare_exchange_u32(&(desc)->state, expected, state_)
#endif

/* Set the checksum of a page that no other process sees. 19 renamed the function. */
#if PG_VERSION_NUM >= 190000
#define compat_set_checksum(page, block) PageSetChecksum(page, block)
#else
#define compat_set_checksum(page, block) PageSetChecksumInplace(page, block)
#endif

/* Create a hash table in shared memory, of a fixed size. 19 has one size instead of two. */
#if PG_VERSION_NUM >= 190000
#define compat_shared_hash(name, size, control, flags) ShmemInitHash(name, size, control, flags)
#else
#define compat_shared_hash(name, size, control, flags) \
	ShmemInitHash(name, size, size, control, flags)
#endif

/* Complete a tuple descriptor that was filled entry by entry. 19 needs it. */
#if PG_VERSION_NUM >= 190000
#define compat_finish_desc(desc) TupleDescFinalize(desc)
#else
#define compat_finish_desc(desc) ((void) (desc))
#endif

/* Return true if a planned statement writes to a table. 19 keeps a set instead of a list. */
#if PG_VERSION_NUM >= 190000
#define compat_has_targets(plan) (!bms_is_empty((plan)->resultRelationRelids))
#else
#define compat_has_targets(plan) ((plan)->resultRelations != NIL)
#endif

/*
 * Estimate the cost of a nested loop that neither memoizes nor materializes its
 * inner side. Since 19 the caller names this strategy, and core counts the node
 * as disabled if the strategy is.
 */
#if PG_VERSION_NUM >= 190000
#define compat_cost_nestloop(root, workspace, jointype, outer, inner, extra)                       \
	initial_cost_nestloop(root, workspace, jointype, PGS_NESTLOOP_PLAIN | PGS_CONSIDER_NONPARTIAL, \
						  outer, inner, extra)
#else
#define compat_cost_nestloop(root, workspace, jointype, outer, inner, extra) \
	initial_cost_nestloop(root, workspace, jointype, outer, inner, extra)
#endif

/* Return true if a table's own clauses match one row of a unique index. 19 has fewer arguments. */
#if PG_VERSION_NUM >= 190000
#define compat_has_unique_index(root, rel) relation_has_unique_index_for(root, rel, NIL, NULL)
#else
#define compat_has_unique_index(root, rel) relation_has_unique_index_for(root, rel, NIL, NIL, NIL)
#endif

/*
 * Restrict search_path while code runs with the rights of a table's owner, so
 * that other users' schemas are not searched. Does nothing before 17.
 */
#if PG_VERSION_NUM >= 170000
#define compat_restrict_search_path() RestrictSearchPath()
#else
#define compat_restrict_search_path() ((void) 0)
#endif

/* Split a qualified name as SQL writes it. 16 added a context for soft errors. */
#if PG_VERSION_NUM >= 160000
#define compat_qualified_names(text) stringToQualifiedNameList(text, NULL)
#else
#define compat_qualified_names(text) stringToQualifiedNameList(text)
#endif

/* Check a privilege on a schema. 16 made one function of those for each kind of object. */
#if PG_VERSION_NUM >= 160000
#define compat_namespace_aclcheck(oid, role, mode) \
	object_aclcheck(NamespaceRelationId, oid, role, mode)
#else
#define compat_namespace_aclcheck(oid, role, mode) pg_namespace_aclcheck(oid, role, mode)
#endif

/* Count one search of an index scan for EXPLAIN, which reports them since 18. */
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
 * Raise "snapshot too old" if a share-locked page changed after the scan's
 * snapshot was taken, and the snapshot is older than old_snapshot_threshold.
 * 17 removed that setting. Needs storage/bufmgr.h and utils/snapmgr.h.
 */
#if PG_VERSION_NUM >= 170000
#define compat_old_snapshots_expire() false
#define compat_test_old_snapshot(snapshot, rel, page) \
	((void) (snapshot), (void) (rel), (void) (page))
#else
#define compat_old_snapshots_expire()                 (old_snapshot_threshold >= 0)
#define compat_test_old_snapshot(snapshot, rel, page) TestForOldSnapshot(snapshot, rel, page)
#endif

/* Since 18, EXPLAIN calls a hook for each node. */
#if PG_VERSION_NUM >= 180000
#define COMPAT_EXPLAIN_PER_NODE
#endif

/* 17 moved the wait event of a parallel build's leader to the generated wait events. */
#include "utils/wait_event.h"

/*
 * A test build (make faults) can make calls into the server fail, and waits at
 * named points, to reproduce rare failures and races. In a normal build these
 * points do nothing.
 */
#ifdef COLBERT_FAULTS
#include "faults.h"
#else
#define COLBERT_PAUSE(name) ((void) 0)
#endif

#endif /* COLBERT_PG_COMPAT_H */
