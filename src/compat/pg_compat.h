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

#endif							/* COLBERT_PG_COMPAT_H */
