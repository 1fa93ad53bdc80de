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

/* Add zeroed pages at the end of a relation's main fork: smgrzeroextend came with 16. */
#if PG_VERSION_NUM >= 160000
#define compat_zero_extend(smgr, start, npages) \
	smgrzeroextend(smgr, MAIN_FORKNUM, start, npages, false)
#else
#define compat_zero_extend(smgr, start, npages) \
	do { \
		PGAlignedBlock compat_zero_ = {{0}}; \
		for (uint32 compat_i_ = 0; compat_i_ < (npages); compat_i_++) \
			smgrextend(smgr, MAIN_FORKNUM, (start) + compat_i_, compat_zero_.data, false); \
	} while (0)
#endif

#endif							/* COLBERT_PG_COMPAT_H */
