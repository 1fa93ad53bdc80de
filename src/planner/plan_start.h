/*-------------------------------------------------------------------------
 *
 * plan_start.h
 *	  Work of the extension when the executor starts a plan.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_PLAN_START_H
#define COLBERT_PLAN_START_H

/* Install the hook; called once, when the library is loaded. */
extern void plan_start_init(void);

#endif /* COLBERT_PLAN_START_H */
