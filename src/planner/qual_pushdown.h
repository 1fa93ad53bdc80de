/*-------------------------------------------------------------------------
 *
 * qual_pushdown.h
 *	  Push the quals of scan nodes down to their index scans.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_QUAL_PUSHDOWN_H
#define COLBERT_QUAL_PUSHDOWN_H

#include "executor/execdesc.h"

/* Push the quals of a started plan down to its scans. */
extern void qual_pushdown_apply(QueryDesc *query);

#endif /* COLBERT_QUAL_PUSHDOWN_H */
