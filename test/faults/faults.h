/*-------------------------------------------------------------------------
 *
 * faults.h
 *	  Fault injection in a test build (make faults).
 *
 * Calls of the server that allocate, read, lock or can be interrupted can be
 * made to fail, one site at a time. pg_compat.h includes this file at its end
 * if COLBERT_FAULTS is defined, so that every source file calls these macros
 * instead of the functions. The headers that declare the functions must come
 * first, so that their declarations are not expanded.
 *
 * A site is a file, a line and a name. Session settings, which parallel
 * workers inherit, choose the failing site and the number of the failing call,
 * or a file that lists all sites (faults.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_FAULTS_H
#define COLBERT_FAULTS_H

#include "access/generic_xlog.h"
#include "access/parallel.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xloginsert.h"
#include "catalog/index.h"
#include "commands/vacuum.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/freespace.h"
#include "storage/lmgr.h"
#include "storage/smgr.h"
#include "utils/builtins.h"
#include "utils/dsa.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplesort.h"
#include "utils/tuplestore.h"

typedef enum FaultKind
{
	FAULT_MEMORY,   /* an out-of-memory error */
	FAULT_NULL,     /* the same, but returns NULL because the caller asked for that */
	FAULT_INTERRUPT /* a cancel request */
} FaultKind;

typedef struct FaultSite
{
	const char *file;
	int         line;
	const char *name;
	uint64      calls;      /* since the settings last changed */
	uint64      generation; /* number of that change */
} FaultSite;

/*
 * Count a call of a site. If the settings choose this call, raise an error, or
 * return true for FAULT_NULL.
 */
extern bool faults_visit(FaultSite *site, FaultKind kind);

/* Wait at a named point, if the settings name it. */
extern void faults_pause(const char *name);

/*
 * Maximum number of items of a page array, and maximum pages by which an array
 * grows unless it needs more.
 */
extern int faults_max_items;
extern int faults_extent_pages;

#define COLBERT_PAUSE(name)  faults_pause(name)
#define COLBERT_MAX_ITEMS    ((uint32) faults_max_items)
#define COLBERT_EXTENT_PAGES ((uint32) faults_extent_pages)

/* Few extents per map page, so that small arrays have several map pages. */
#define COLBERT_MAP_EXTENTS 48

/* Few pages per slice of documents that are merged again. */
#define COLBERT_LOOK_PAGES 2

#define FAULT_AT(name, kind)                                       \
	({                                                             \
		static FaultSite fault_site_ = {__FILE__, __LINE__, name}; \
		faults_visit(&fault_site_, kind);                          \
	})
#define FAULT(name, call) (FAULT_AT(name, FAULT_MEMORY), call)

#undef CHECK_FOR_INTERRUPTS
#define CHECK_FOR_INTERRUPTS()                             \
	do                                                     \
	{                                                      \
		FAULT_AT("CHECK_FOR_INTERRUPTS", FAULT_INTERRUPT); \
		if (INTERRUPTS_PENDING_CONDITION())                \
			ProcessInterrupts();                           \
	} while (0)

/* Memory. */
#define palloc(...)  FAULT("palloc", palloc(__VA_ARGS__))
#define palloc0(...) FAULT("palloc0", palloc0(__VA_ARGS__))
#define palloc_extended(size, flags)                                                      \
	(FAULT_AT("palloc_extended", (flags) & MCXT_ALLOC_NO_OOM ? FAULT_NULL : FAULT_MEMORY) \
		 ? NULL                                                                           \
		 : palloc_extended(size, flags))
#define repalloc(...)           FAULT("repalloc", repalloc(__VA_ARGS__))
#define repalloc_huge(...)      FAULT("repalloc_huge", repalloc_huge(__VA_ARGS__))
#define MemoryContextAlloc(...) FAULT("MemoryContextAlloc", MemoryContextAlloc(__VA_ARGS__))
#define MemoryContextAllocZero(...) \
	FAULT("MemoryContextAllocZero", MemoryContextAllocZero(__VA_ARGS__))
#define MemoryContextAllocHuge(...) \
	FAULT("MemoryContextAllocHuge", MemoryContextAllocHuge(__VA_ARGS__))
#define MemoryContextAllocExtended(context, size, flags)               \
	(FAULT_AT("MemoryContextAllocExtended",                            \
			  (flags) & MCXT_ALLOC_NO_OOM ? FAULT_NULL : FAULT_MEMORY) \
		 ? NULL                                                        \
		 : MemoryContextAllocExtended(context, size, flags))
#define AllocSetContextCreateInternal(...) \
	FAULT("AllocSetContextCreate", AllocSetContextCreateInternal(__VA_ARGS__))
#define pstrdup(...)          FAULT("pstrdup", pstrdup(__VA_ARGS__))
#define psprintf(...)         FAULT("psprintf", psprintf(__VA_ARGS__))
#define cstring_to_text(...)  FAULT("cstring_to_text", cstring_to_text(__VA_ARGS__))
#define lappend(...)          FAULT("lappend", lappend(__VA_ARGS__))
#define pg_detoast_datum(...) FAULT("pg_detoast_datum", pg_detoast_datum(__VA_ARGS__))
#define pg_detoast_datum_packed(...) \
	FAULT("pg_detoast_datum_packed", pg_detoast_datum_packed(__VA_ARGS__))
#ifdef dsa_create /* a macro since 17 */
#define dsa_create_ext(...) FAULT("dsa_create", dsa_create_ext(__VA_ARGS__))
#define dsa_create_in_place_ext(...) \
	FAULT("dsa_create_in_place", dsa_create_in_place_ext(__VA_ARGS__))
#else
#define dsa_create(...)          FAULT("dsa_create", dsa_create(__VA_ARGS__))
#define dsa_create_in_place(...) FAULT("dsa_create_in_place", dsa_create_in_place(__VA_ARGS__))
#endif
#define dsa_attach(...)          FAULT("dsa_attach", dsa_attach(__VA_ARGS__))
#define dsa_attach_in_place(...) FAULT("dsa_attach_in_place", dsa_attach_in_place(__VA_ARGS__))
#define dsa_allocate_extended(area, size, flags)                                      \
	(FAULT_AT("dsa_allocate", (flags) & DSA_ALLOC_NO_OOM ? FAULT_NULL : FAULT_MEMORY) \
		 ? InvalidDsaPointer                                                          \
		 : dsa_allocate_extended(area, size, flags))

/* Pages, files and locks. */
#define ReadBuffer(...)           FAULT("ReadBuffer", ReadBuffer(__VA_ARGS__))
#define ReadBufferExtended(...)   FAULT("ReadBufferExtended", ReadBufferExtended(__VA_ARGS__))
#define LockBuffer(...)           FAULT("LockBuffer", LockBuffer(__VA_ARGS__))
#define XLogBeginInsert(...)      FAULT("XLogBeginInsert", XLogBeginInsert(__VA_ARGS__))
#define LockTuple(...)            FAULT("LockTuple", LockTuple(__VA_ARGS__))
#define ConditionalLockTuple(...) FAULT("ConditionalLockTuple", ConditionalLockTuple(__VA_ARGS__))
#define LockRelationForExtension(...) \
	FAULT("LockRelationForExtension", LockRelationForExtension(__VA_ARGS__))
#define RelationGetNumberOfBlocksInFork(...) \
	FAULT("RelationGetNumberOfBlocks", RelationGetNumberOfBlocksInFork(__VA_ARGS__))
#define smgrextend(...)           FAULT("smgrextend", smgrextend(__VA_ARGS__))
#define smgrzeroextend(...)       FAULT("smgrzeroextend", smgrzeroextend(__VA_ARGS__))
#define smgrimmedsync(...)        FAULT("smgrimmedsync", smgrimmedsync(__VA_ARGS__))
#define log_newpage(...)          FAULT("log_newpage", log_newpage(__VA_ARGS__))
#define log_newpage_range(...)    FAULT("log_newpage_range", log_newpage_range(__VA_ARGS__))
#define GetPageWithFreeSpace(...) FAULT("GetPageWithFreeSpace", GetPageWithFreeSpace(__VA_ARGS__))
#define RecordPageWithFreeSpace(...) \
	FAULT("RecordPageWithFreeSpace", RecordPageWithFreeSpace(__VA_ARGS__))
#define FreeSpaceMapVacuumRange(...) \
	FAULT("FreeSpaceMapVacuumRange", FreeSpaceMapVacuumRange(__VA_ARGS__))

/* Other server functions that allocate, read or wait. */
#define BeginInternalSubTransaction(...) \
	FAULT("BeginInternalSubTransaction", BeginInternalSubTransaction(__VA_ARGS__))
#define BuildIndexInfo(...)      FAULT("BuildIndexInfo", BuildIndexInfo(__VA_ARGS__))
#define CreateExecutorState(...) FAULT("CreateExecutorState", CreateExecutorState(__VA_ARGS__))
#define CreateParallelContext(...) \
	FAULT("CreateParallelContext", CreateParallelContext(__VA_ARGS__))
#define InitializeParallelDSM(...) \
	FAULT("InitializeParallelDSM", InitializeParallelDSM(__VA_ARGS__))
#define LaunchParallelWorkers(...) \
	FAULT("LaunchParallelWorkers", LaunchParallelWorkers(__VA_ARGS__))
#define WaitForParallelWorkersToAttach(...) \
	FAULT("WaitForParallelWorkersToAttach", WaitForParallelWorkersToAttach(__VA_ARGS__))
#define WaitForParallelWorkersToFinish(...) \
	FAULT("WaitForParallelWorkersToFinish", WaitForParallelWorkersToFinish(__VA_ARGS__))
#define RegisterSnapshot(...) FAULT("RegisterSnapshot", RegisterSnapshot(__VA_ARGS__))
#define table_index_build_scan(...) \
	FAULT("table_index_build_scan", table_index_build_scan(__VA_ARGS__))
#define table_index_fetch_begin(...) \
	FAULT("table_index_fetch_begin", table_index_fetch_begin(__VA_ARGS__))
#define table_index_fetch_tuple(...) \
	FAULT("table_index_fetch_tuple", table_index_fetch_tuple(__VA_ARGS__))
#define table_slot_create(...) FAULT("table_slot_create", table_slot_create(__VA_ARGS__))
#define tuplesort_begin_datum(...) \
	FAULT("tuplesort_begin_datum", tuplesort_begin_datum(__VA_ARGS__))
#define tuplesort_begin_heap(...) FAULT("tuplesort_begin_heap", tuplesort_begin_heap(__VA_ARGS__))
#define tuplesort_putdatum(...)   FAULT("tuplesort_putdatum", tuplesort_putdatum(__VA_ARGS__))
#define tuplesort_puttupleslot(...) \
	FAULT("tuplesort_puttupleslot", tuplesort_puttupleslot(__VA_ARGS__))
#define tuplesort_performsort(...) \
	FAULT("tuplesort_performsort", tuplesort_performsort(__VA_ARGS__))
#define tuplesort_getdatum(...) FAULT("tuplesort_getdatum", tuplesort_getdatum(__VA_ARGS__))
#define tuplesort_gettupleslot(...) \
	FAULT("tuplesort_gettupleslot", tuplesort_gettupleslot(__VA_ARGS__))
#define tuplestore_putvalues(...) FAULT("tuplestore_putvalues", tuplestore_putvalues(__VA_ARGS__))
#define vacuum_delay_point(...)                          \
	do                                                   \
	{                                                    \
		FAULT_AT("vacuum_delay_point", FAULT_INTERRUPT); \
		faults_pause("vacuum-delay");                    \
		vacuum_delay_point(__VA_ARGS__);                 \
	} while (0)

#endif /* COLBERT_FAULTS_H */
