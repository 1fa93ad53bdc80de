/*-------------------------------------------------------------------------
 *
 * volatile_plan.h
 *	  Volatility of a finished plan's expressions, sub-plans included.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_VOLATILE_PLAN_H
#define COLBERT_VOLATILE_PLAN_H

#include "nodes/plannodes.h"

/*
 * Return false only if evaluating the quals a second time yields the same
 * result and has no side effect. subplans: those of the PlannedStmt that the
 * quals belong to.
 */
extern bool quals_are_volatile(List *quals, List *subplans);

#endif /* COLBERT_VOLATILE_PLAN_H */
