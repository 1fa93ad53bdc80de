/*-------------------------------------------------------------------------
 *
 * totals.h
 *	  Cumulative counters of each index, over the searches of all backends.
 *
 * They are in shared memory, which exists only if the library is in
 * shared_preload_libraries and colbert.stat_indexes is not 0. A restart and a
 * crash set them to zero.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_TOTALS_H
#define COLBERT_TOTALS_H

#include "compat/pg_compat.h"

#include "datatype/timestamp.h"
#include "search/counters.h"
#include "storage/spin.h"

/* An index of a database, or the database itself with InvalidOid. */
typedef struct TotalsKey
{
	Oid database;
	Oid index;
} TotalsKey;

/* Counters of the searches of one index. */
typedef struct IndexTotals
{
	TotalsKey      key; /* first, as the table requires */
	slock_t        mutex;
	TimestampTz    since;        /* when counting began */
	TimestampTz    last_search;  /* start of the statement of the last search */
	uint64         aborted;      /* searches that an error, a cancellation or a rollback ended */
	uint64         exhaustive;   /* searches that went through every document */
	uint64         query_tokens; /* of all searches */
	double         expected_misses;
	SearchCounters sum; /* counts and stages; the other members are those of the last search */
} IndexTotals;

/* The use of the shared memory. */
typedef struct TotalsUse
{
	int         indexes; /* with counters, in all databases */
	uint64      evicted; /* times that an index lost its counters to another one */
	TimestampTz since;   /* start of the server */
} TotalsUse;

/* Request and set up the shared memory, at the start of the server. */
extern void totals_init(void);

/* Return true if there are counters. */
extern bool totals_exist(void);

/*
 * Add the counters of a search that has ended. Raises no error, so that it may
 * run while a transaction aborts.
 */
extern void totals_add(const SearchCounters *search, bool aborted);

/* Return copies of the counters of all indexes of this database, allocated at once. */
extern IndexTotals *totals_read(int *count);

/* Set the counters of an index of this database to zero, or those of all with InvalidOid. */
extern void totals_reset(Oid index);

/* Return true if an index has counters. */
extern bool totals_have(TotalsKey key);

/* Remove an index, or a database. */
extern void totals_remove(TotalsKey key);

extern TotalsUse totals_use(void);

/* totals_drop.c: install the hooks that remove the entries of dropped indexes and databases. */
extern void totals_drop_init(void);

#endif /* COLBERT_TOTALS_H */
