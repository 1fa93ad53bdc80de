/*-------------------------------------------------------------------------
 *
 * qual_pushdown.h
 *	  What the extension adds to running a plan: the WHERE clause reaches the
 *	  scan.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_LEND_QUALS_H
#define COLBERT_LEND_QUALS_H

/* Install the hook; at load. */
extern void qual_pushdown_init(void);

#endif /* COLBERT_LEND_QUALS_H */
