/*-------------------------------------------------------------------------
 *
 * planner.h
 *	  Index paths for orders that core does not match to an index.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_PLANNER_H
#define COLBERT_PLANNER_H

/* Install the hook; called once, when the library is loaded. */
extern void planner_init(void);

#endif /* COLBERT_PLANNER_H */
