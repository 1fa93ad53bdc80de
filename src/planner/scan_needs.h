/*-------------------------------------------------------------------------
 *
 * scan_needs.h
 *	  What a finished plan demands of the index scans in it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SCAN_NEEDS_H
#define COLBERT_SCAN_NEEDS_H

/* Install the hook; called once, when the library is loaded, after qual_pushdown_init(). */
extern void scan_needs_init(void);

#endif /* COLBERT_SCAN_NEEDS_H */
