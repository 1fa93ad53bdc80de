/*-------------------------------------------------------------------------
 *
 * scan_needs.h
 *	  What a finished plan demands of the index scans in it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SCAN_NEEDS_H
#define COLBERT_SCAN_NEEDS_H

#include "executor/execdesc.h"

/* Tell the scans of a plan that has started. */
extern void scan_needs_tell(QueryDesc *query);

#endif /* COLBERT_SCAN_NEEDS_H */
