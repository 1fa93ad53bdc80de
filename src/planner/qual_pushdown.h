/*-------------------------------------------------------------------------
 *
 * qual_pushdown.h
 *	  The WHERE clause reaches the scan.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_QUAL_PUSHDOWN_H
#define COLBERT_QUAL_PUSHDOWN_H

#include "executor/execdesc.h"

/* Push the quals of a plan that has started down to its scans. */
extern void qual_pushdown_apply(QueryDesc *query);

#endif /* COLBERT_QUAL_PUSHDOWN_H */
