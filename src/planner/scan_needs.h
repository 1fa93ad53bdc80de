/*-------------------------------------------------------------------------
 *
 * scan_needs.h
 *	  Requirements of a finished plan on its index scans.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SCAN_NEEDS_H
#define COLBERT_SCAN_NEEDS_H

#include "executor/execdesc.h"

/* Pass the requirements of a started plan on to its scans. */
extern void scan_needs_tell(QueryDesc *query);

#endif /* COLBERT_SCAN_NEEDS_H */
